"""The loops behind the fast way through a tile and a GDPU slice, compiled by numba.

What they compute is defined elsewhere, in plain numpy: `modulator`, `pcm_array`, `adc`,
`read_noise`, `ldpu`, `gdpu`, `fp16`. A few vectors go through a tile together, and all between
pulses and results stays in the processor's first cache. Nearly every loop runs over the columns of
one vector and has no branches and few arrays, so that the compiler makes vector instructions of
it; where it would not, `simd` has them. `philox` draws the noise.

A charge is a sum of products of int16 in int32, exact in any order.

Conversion is done in float64, in counts. That is exact: a charge (25 bits with its sign) times a
gain (24 bits), an offset (16 bits) and noise (a sample of 14 bits times 16) are multiples of
2**-32 count, and their sum is below 2**18 counts: 50 bits, of which float64 holds 53. Offset and
noise alone are multiples of 2**-18 count and fit into int32. Cutting off a fraction floors all but
negative values, of which none is left after limiting.

binary16 numbers are float64 values that happen to be binary16 numbers; `fp16.fma` proves that the
sum with a product may be rounded to float64 first.

A product and the sum it goes to may become one instruction ("contract"): every product here is
exact, so its rounding is no loss.

Constants that might change are arguments: compiled code is kept on disk, and compiled again when
this file changes but not when another one does.
"""

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from caduceus.golden.fast import philox, simd
from caduceus.golden.fast.arguments import Analog, Digital, Noise
from caduceus.golden.fast.simd import part

PARTS = "b02121713637bdd9"
"""Digest of `philox` and `simd`, which a test compares: when they change, this file does."""


def _entry(loop: Callable) -> Callable:
    """The loop in machine code: from the disk if it is there, compiled by its first call if not."""
    try:
        return njit(cache=True, nogil=True, fastmath={"contract"})(loop)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return njit(nogil=True, fastmath={"contract"})(loop)


TOGETHER = 4
"""Vectors whose products are summed together: their sums fill the processor's registers."""
VECTOR = 16
"""Columns are filled up to a multiple of this: the loops take so many at a time."""

# binary16 against binary64, which numba's cache may know: neither ever changes.
_EXTRA_BITS = np.int64(42)
_EXPONENT = np.int64(0x7FF << 52)
_ALIGNER = 1.5 * 2.0**42
_SMALLEST_NORMAL = 2.0**-14
_OVERFLOW = 65520.0
"""From here on, the nearest binary16 value is infinity."""
_BIAS_RATIO = 2.0 ** (15 - 1023)
_MAGNITUDE, _SIGN, _INFINITY, _NAN = 0x7FFF, 0x8000, 0x7C00, 0x7E00
_WHOLE = 1.5 * 2.0**52
"""The sum with it has no room for a fraction: it is rounded to nearest, ties to even."""


@part
def _nearest(real: float) -> float:
    """The binary16 value nearest to `real`, below `_OVERFLOW`; zeros may lose their sign."""
    # A number so much larger leaves room for just the bits to keep: the sum with it is rounded
    # there, and the difference is exact. One and a half, so that the sum has the same exponent
    # with numbers of either sign.
    large = np.int64(np.float64(real).view(np.int64) & _EXPONENT).view(np.float64)
    large = _ALIGNER * (large if large > _SMALLEST_NORMAL else _SMALLEST_NORMAL)
    return (real + large) - large


@part
def _rounded(real: float) -> float:
    """The binary16 value nearest to `real`; zeros keep their sign; infinities and NaN stay."""
    nearest = np.inf if abs(real) >= _OVERFLOW else _nearest(real)
    return np.copysign(nearest, real)


@part
def _bits(value: float) -> int:
    """Bits of a binary16 value."""
    sign = _SIGN if np.float64(value).view(np.int64) < 0 else 0
    bits = np.float64(abs(value) * _BIAS_RATIO).view(np.int64) >> _EXTRA_BITS
    bits = _INFINITY if bits > _INFINITY else bits
    return np.uint16(bits | sign if value == value else _NAN)


@part
def _value(bits: int) -> float:
    """What binary16 bits stand for."""
    magnitude = np.int64(bits) & _MAGNITUDE
    value = np.int64(magnitude << _EXTRA_BITS).view(np.float64) * (1 / _BIAS_RATIO)
    value = np.inf if magnitude == _INFINITY else value
    value = np.nan if magnitude > _INFINITY else value
    return -value if np.int64(bits) & _SIGN else value


@part
def _relu(value: float) -> float:
    """+0 for what has a sign, -0 included; NaN passes."""
    return 0.0 if value <= 0.0 else value


@part
def _int8(value: float, most: float) -> int:
    """INT8 nearest to a binary16 value, ties to even, at most `most` in magnitude; 0 for NaN."""
    value = value if value == value else 0.0
    value = most if value > most else value
    value = -most if value < -most else value
    return np.int8((value + _WHOLE) - _WHOLE)


@part
def _pulses(
    x: NDArray[np.int8], by_sign: bool, most: int, found: NDArray[np.int16]
) -> tuple[bool, bool]:
    """Pulse lengths of some vectors, and whether there is any for positive, and negative inputs.

    Args:
        x: int8 [n, rows].
        by_sign: whether pulses of both signs are for the same window.
        most: largest magnitude, in slots.
        found: [2, n or more, rows or more], filled: [0] with the signed pulses if `by_sign`; else
            [0] with those of positive inputs, [1] with those of negative ones.
    """
    vectors, rows = x.shape
    low, high = np.int8(0), np.int8(0)
    least = np.int16(-most if by_sign else 0)
    for v in range(vectors):
        for i in range(rows):
            low = min(low, x[v, i])
            high = max(high, x[v, i])
            found[0, v, i] = max(np.int16(x[v, i]), least)
    if low < 0 and not by_sign:
        for v in range(vectors):
            for i in range(rows):
                found[1, v, i] = min(max(-np.int16(x[v, i]), np.int16(0)), np.int16(most))
    return high > 0, low < 0


@part
def _products(
    pulses: NDArray[np.int32],
    weights: NDArray[np.int16],
    pairs: int,
    columns: int,
    charges: NDArray[np.int32],
) -> None:
    """Charges of `TOGETHER` vectors.

    Args:
        pulses: [vectors * pairs], two int16 in each.
        weights: [columns / VECTOR * pairs * VECTOR * 2], of every two rows in turn.
        pairs: half as many as there are rows.
        columns: filled up to a multiple of `VECTOR`.
        charges: [vectors * columns], filled.
    """
    half = VECTOR // 2
    for group in range(columns // VECTOR):
        a = b = c = d = e = f = g = h = simd.splat(np.int32(0))
        for k in range(pairs):
            place = (group * pairs + k) * 2 * VECTOR
            left, right = simd.load(weights, place), simd.load(weights, place + VECTOR)
            pulse = simd.as_halves(simd.splat(pulses[np.uint64(k)]))
            a, b = a + simd.pair_sums(pulse, left), b + simd.pair_sums(pulse, right)
            pulse = simd.as_halves(simd.splat(pulses[np.uint64(k + pairs)]))
            c, d = c + simd.pair_sums(pulse, left), d + simd.pair_sums(pulse, right)
            pulse = simd.as_halves(simd.splat(pulses[np.uint64(k + 2 * pairs)]))
            e, f = e + simd.pair_sums(pulse, left), f + simd.pair_sums(pulse, right)
            pulse = simd.as_halves(simd.splat(pulses[np.uint64(k + 3 * pairs)]))
            g, h = g + simd.pair_sums(pulse, left), h + simd.pair_sums(pulse, right)
        for v, (first, second) in enumerate(((a, b), (c, d), (e, f), (g, h))):
            place = v * columns + group * VECTOR
            simd.store(charges, place, first)
            simd.store(charges, place + half, second)


@part
def _driven(
    charges: NDArray[np.int32],
    v: int,
    w: int,
    samples: NDArray[np.int32],
    analog: Analog,
    counts: NDArray[np.int32],
) -> None:
    """Add window `w` of MVM `v`, which counts to one counter; arguments as for `_convert`."""
    counter = analog.windows[w, 2] - 1
    unit, limit = 1.0 / (1 << analog.fraction), np.int32(analog.limit)
    for c in range(counts.shape[1]):
        other = np.int32(samples[w, c] * analog.noise[c] + analog.offsets[counter, c])
        whole = np.int32(charges[w, v, c] * analog.gains[counter, c] + other * unit)
        whole = whole if whole > 0 else np.int32(0)
        counts[counter, c] += whole if whole < limit else limit


@part
def _idle(w: int, samples: NDArray[np.int32], analog: Analog, counts: NDArray[np.int32]) -> None:
    """The same without any pulse, of which noise and offset are left."""
    counter, limit = analog.windows[w, 2] - 1, np.int32(analog.limit)
    for c in range(counts.shape[1]):
        other = np.int32(samples[w, c] * analog.noise[c] + analog.offsets[counter, c])
        whole = other >> np.int32(analog.fraction)
        whole = whole if whole > 0 else np.int32(0)
        counts[counter, c] += whole if whole < limit else limit


@part
def _by_sign(
    charges: NDArray[np.int32],
    v: int,
    samples: NDArray[np.int32],
    analog: Analog,
    values: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Add the only window of MVM `v`, which counts to P or N by its sign."""
    unit, limit = 1.0 / (1 << analog.fraction), np.int32(analog.limit)
    columns = counts.shape[1]
    for c in range(columns):
        # Loaded before the choice, which then is no branch.
        of_p, of_n, charge = analog.gains[0, c], analog.gains[1, c], np.float64(charges[0, v, c])
        gain = of_p if charge >= 0.0 else of_n
        values[0, c] = charge * gain + np.int32(samples[0, c] * analog.noise[c]) * unit
    for c in range(columns):
        real = values[0, c] + analog.offsets[0, c] * unit
        whole = np.int32(real if values[0, c] >= 0.0 else 0.0)
        whole = whole if whole > 0 else np.int32(0)
        counts[0, c] += whole if whole < limit else limit
    for c in range(columns):
        real = analog.offsets[1, c] * unit - values[0, c]
        whole = np.int32(real if values[0, c] < 0.0 else 0.0)
        whole = whole if whole > 0 else np.int32(0)
        counts[1, c] += whole if whole < limit else limit


@part
def _convert(
    charges: NDArray[np.int32],
    v: int,
    driven: NDArray[np.bool_],
    samples: NDArray[np.int32],
    analog: Analog,
    values: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """What `adc.convert` computes, of one MVM.

    Args:
        charges: [windows, n, columns].
        v: number of the MVM in `charges`.
        driven: [windows], whether there are charges; those of others mean nothing.
        samples: [windows, columns], of the read noise.
        analog: the tile's.
        values: [2, columns], overwritten.
        counts: [2, columns], filled.
    """
    columns = counts.shape[1]
    for counter in range(2):
        for c in range(columns):
            counts[counter, c] = 0
    for w in range(driven.size):
        if analog.windows[w, 2] == 0:
            if not driven[w]:
                for c in range(columns):
                    charges[w, v, c] = 0
            _by_sign(charges, v, samples, analog, values, counts)
        elif driven[w]:
            _driven(charges, v, w, samples, analog, counts)
        else:
            _idle(w, samples, analog, counts)
    most = np.int32(analog.most)
    for counter in range(2):
        for c in range(columns):
            count = counts[counter, c]
            counts[counter, c] = count if count < most else most


@part
def _bounded(
    counts: NDArray[np.int32],
    v: int,
    digital: Digital,
    rx: NDArray[np.int8],
    values: NDArray[np.float64],
    int8: NDArray[np.int8],
) -> None:
    """`_process`, if `Digital.bounded`: no sign of a zero matters."""
    columns, most = counts.shape[1], np.float64(digital.most)
    constants = digital.constants
    for c in range(columns):
        values[0, c] = _nearest(counts[0, c] * constants[0, c] + constants[2, c])
    for c in range(columns):
        values[0, c] = _nearest(values[0, c] - counts[1, c] * constants[1, c])
    least = 0.0 if digital.relu_1 else -np.inf
    for c in range(columns):
        scaled = _nearest(values[0, c] * constants[3, c] + constants[4, c])
        values[0, c] = scaled if scaled > least else least
    if len(rx):
        for c in range(rx.shape[1]):
            values[1, c] = max(np.int32(rx[v, c]), np.int32(-digital.most))
        for c in range(columns):
            values[0, c] = _nearest(values[0, c] + values[1, c] * digital.rx_scale)
    least = 0.0 if digital.relu_2 else -most
    for c in range(int8.shape[1]):
        limited = values[0, c] if values[0, c] > least else least
        limited = limited if limited < most else most
        int8[v, c] = np.int8((limited + _WHOLE) - _WHOLE)


@part
def _process(
    counts: NDArray[np.int32],
    v: int,
    digital: Digital,
    rx_int8: NDArray[np.int8],
    rx_binary16: NDArray[np.uint16],
    values: NDArray[np.float64],
    int8: NDArray[np.int8],
    binary16: NDArray[np.uint16],
) -> None:
    """What `ldpu.process` computes, of one MVM.

    Args:
        counts: [2, columns].
        v: number of the MVM in RX values and results.
        digital: the LDPU.
        rx_int8: [n, wanted columns], RX values; no vectors if there are none, or of the other kind.
        rx_binary16: the same in binary16 bits.
        values: [2, columns], overwritten.
        int8: [n, wanted columns], filled; no vectors if results are of the other kind.
        binary16: the same in binary16 bits.
    """
    columns, constants = counts.shape[1], digital.constants
    for i in range(2):
        for c in range(columns):
            values[i, c] = counts[i, c]
        if not digital.exact:
            for c in range(columns):
                values[i, c] = _rounded(values[i, c])
    for c in range(columns):
        values[0, c] = _rounded(values[0, c] * constants[0, c] + constants[2, c])
    for c in range(columns):
        values[0, c] = _rounded(values[0, c] - values[1, c] * constants[1, c])
    for c in range(columns):
        values[0, c] = _rounded(values[0, c] * constants[3, c] + constants[4, c])
    if digital.relu_1:
        for c in range(columns):
            values[0, c] = _relu(values[0, c])
    if len(rx_int8) or len(rx_binary16):
        if len(rx_int8):
            for c in range(rx_int8.shape[1]):
                values[1, c] = max(np.int32(rx_int8[v, c]), np.int32(-digital.most))
        else:
            for c in range(rx_binary16.shape[1]):
                values[1, c] = _value(rx_binary16[v, c])
        for c in range(columns):
            values[0, c] = _rounded(values[0, c] + values[1, c] * digital.rx_scale)
    else:
        for c in range(columns):
            values[0, c] += 0.0
    if digital.relu_2:
        for c in range(columns):
            values[0, c] = _relu(values[0, c])
    if len(int8):
        for c in range(int8.shape[1]):
            int8[v, c] = _int8(values[0, c], np.float64(digital.most))
    else:
        for c in range(binary16.shape[1]):
            binary16[v, c] = _bits(values[0, c])


@_entry
def tile(
    x: NDArray[np.int8],
    reads: NDArray[np.uint32],
    reference: int,
    analog: Analog,
    noise: Noise,
    digital: Digital,
    rx_int8: NDArray[np.int8],
    rx_binary16: NDArray[np.uint16],
    p: NDArray[np.uint16],
    n: NDArray[np.uint16],
    int8: NDArray[np.int8],
    binary16: NDArray[np.uint16],
) -> None:
    """What `tile.run` or `tile.counts` computes.

    Args:
        x: int8 [n, rows].
        reads: [n], read index of each MVM.
        reference: charge of every window, if a reference current takes the cells' place; else 0.
        analog: modulator, crossbar and converters.
        noise: read noise.
        digital: the LDPU.
        rx_int8: [n, wanted columns], RX values; no vectors if there are none, or of the other kind.
        rx_binary16: the same in binary16 bits.
        p: [n, wanted columns], filled with counters; no vectors if results are wanted instead.
        n: the same of the other counters.
        int8: [n, wanted columns], filled with results; no vectors if they are of the other kind.
        binary16: the same in binary16 bits.
    """
    vectors, rows = x.shape
    windows, columns, pairs = len(analog.windows), analog.gains.shape[1], (rows + 1) // 2
    by_sign = analog.windows[0, 2] == 0
    pulses = np.zeros((2, TOGETHER, 2 * pairs), dtype=np.int16)
    pulse_pairs = pulses.view(np.int32).reshape(2, TOGETHER * pairs)
    charge = np.int32(reference if by_sign else abs(reference))
    charges = np.full((windows, TOGETHER, columns), charge)
    flat = charges.reshape(windows, TOGETHER * columns)
    all_samples = np.zeros(max(noise.tables.size, windows * columns), dtype=np.int32)
    samples = all_samples[: windows * columns].reshape(windows, columns)
    driven = np.full(windows, reference != 0)
    counts, values = np.empty((2, columns), dtype=np.int32), np.zeros((2, columns))
    for first in range(0, vectors, TOGETHER):
        last = min(first + TOGETHER, vectors)
        if not reference:
            positive, negative = _pulses(x[first:last], by_sign, analog.slots, pulses)
            for w in range(windows):
                sign, polarity = analog.windows[w, 0], analog.windows[w, 1]
                driven[w] = (positive or negative) if by_sign else negative if sign else positive
                # A window without a pulse needs no product, but its noise and offsets count.
                if driven[w]:
                    weights = analog.weights[polarity]
                    _products(pulse_pairs[sign], weights, pairs, columns, flat[w])
        for v in range(first, last):
            if noise.there:
                philox.draw(reads[v], noise, all_samples)
            _convert(charges, v - first, driven, samples, analog, values, counts)
            if len(p):
                for c in range(p.shape[1]):
                    p[v, c], n[v, c] = counts[0, c], counts[1, c]
            elif digital.bounded and len(int8) and not len(rx_binary16):
                _bounded(counts, v, digital, rx_int8, values, int8)
            else:
                _process(counts, v, digital, rx_int8, rx_binary16, values, int8, binary16)


@_entry
def lstm(
    gates: NDArray[np.int8],
    cell: NDArray[np.uint16],
    activations: NDArray[np.float64],
    tanh: NDArray[np.float32],
    output_scale: float,
    output_offset: float,
    most: int,
    hidden: NDArray[np.int8],
    after: NDArray[np.uint16],
) -> None:
    """What `gdpu.step` computes.

    Args:
        gates: int8 [n, 4 * units], pre-activations.
        cell: [n, units], bits of the cell state before.
        activations: [4, 256], of the gates I, A, F and O, by the pre-activation's bits.
        tanh: [65536], by the argument's bits.
        output_scale: value.
        output_offset: value.
        most: largest magnitude of an INT8 value.
        hidden: [n, units], filled with the hidden state.
        after: [n, units], filled with bits of the cell state.
    """
    vectors, units = cell.shape
    i, a, f, o = activations[0], activations[1], activations[2], activations[3]
    product, state, h = np.empty(units), np.empty(units), np.empty(units)
    for v in range(vectors):
        for u in range(units):
            product[u] = i[np.uint8(gates[v, 4 * u])] * a[np.uint8(gates[v, 4 * u + 1])]
            state[u] = f[np.uint8(gates[v, 4 * u + 2])]
            h[u] = o[np.uint8(gates[v, 4 * u + 3])]
        for u in range(units):
            state[u] = _rounded(state[u] * _value(cell[v, u]) + _rounded(product[u] + 0.0))
        for u in range(units):
            after[v, u] = _bits(state[u])
        for u in range(units):
            h[u] *= tanh[after[v, u]]
        for u in range(units):
            h[u] = _rounded(_rounded(h[u] + 0.0) * output_scale + output_offset)
        for u in range(units):
            hidden[v, u] = _int8(h[u], np.float64(most))
