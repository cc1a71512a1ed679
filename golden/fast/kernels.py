"""The loops behind the fast way through a tile and a GDPU slice, compiled by numba.

What they compute is defined elsewhere, in plain numpy: `modulator`, `adc`, `read_noise`, `ldpu`,
`gdpu`, `fp16`. Nearly every loop runs over the columns of one vector, whose buffers stay in the
processor's first cache, and has no branches and few arrays, so that the compiler makes vector
instructions of it.

Conversion is done in float64, in counts. That is exact: a charge (25 bits with its sign) times a
gain (24 bits), an offset (16 bits) and noise (a sample of 14 bits times 16) are multiples of
2**-32 count, and their sum is below 2**18 counts: 50 bits, of which float64 holds 53. Limiting
before flooring equals limiting after it, since the limits are whole numbers. The limited value is
never negative, so cutting off its fraction floors it.

binary16 numbers are float64 values that happen to be binary16 numbers; `fp16.fma` proves that the
sum with a product may be rounded to float64 first.

Constants that might change are arguments: compiled code is kept on disk, and compiled again when
this file changes but not when another one does.
"""

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _entry(loop: Callable) -> Callable:
    """The loop in machine code: from the disk if it is there, compiled by its first call if not."""
    try:
        return njit(cache=True, nogil=True)(loop)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return njit(nogil=True)(loop)


_part = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of loops that only other loops call."""

_WORD_BITS = np.uint64(32)
_WORD = np.uint64(0xFFFFFFFF)
_BYTE = np.uint64(0xFF)
_BYTES = np.uint64(8), np.uint64(16), np.uint64(24)

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


@_part
def _rounded(real: float) -> float:
    """The binary16 value nearest to `real`; zeros keep their sign; infinities and NaN stay."""
    # A number so much larger leaves room for just the bits to keep: the sum with it is rounded
    # there, and the difference is exact. One and a half, so that the sum has the same exponent
    # with numbers of either sign.
    large = np.int64(np.float64(real).view(np.int64) & _EXPONENT).view(np.float64)
    large = _ALIGNER * (large if large > _SMALLEST_NORMAL else _SMALLEST_NORMAL)
    nearest = (real + large) - large
    nearest = np.inf if abs(real) >= _OVERFLOW else nearest
    return np.copysign(nearest, real)


@_part
def _bits(value: float) -> int:
    """Bits of a binary16 value."""
    sign = _SIGN if np.float64(value).view(np.int64) < 0 else 0
    bits = np.float64(abs(value) * _BIAS_RATIO).view(np.int64) >> _EXTRA_BITS
    bits = _INFINITY if bits > _INFINITY else bits
    return np.uint16(bits | sign if value == value else _NAN)


@_part
def _value(bits: int) -> float:
    """What binary16 bits stand for."""
    magnitude = np.int64(bits) & _MAGNITUDE
    value = np.int64(magnitude << _EXTRA_BITS).view(np.float64) * (1 / _BIAS_RATIO)
    value = np.inf if magnitude == _INFINITY else value
    value = np.nan if magnitude > _INFINITY else value
    return -value if np.int64(bits) & _SIGN else value


@_part
def _relu(value: float) -> float:
    """+0 for what has a sign, -0 included; NaN passes."""
    return 0.0 if value <= 0.0 else value


@_part
def _int8(value: float, most: float) -> int:
    """INT8 nearest to a binary16 value, ties to even, at most `most` in magnitude; 0 for NaN."""
    value = value if value == value else 0.0
    value = most if value > most else value
    value = -most if value < -most else value
    return np.int8((value + _WHOLE) - _WHOLE)


@_entry
def pulses(
    x: NDArray[np.int8], by_sign: bool, most: int, found: NDArray[np.float32]
) -> tuple[bool, bool]:
    """Pulse lengths of a batch, and whether there is any for positive, and for negative inputs.

    Args:
        x: int8 [n, rows].
        by_sign: whether pulses of both signs are for the same window.
        most: largest magnitude, in slots.
        found: float32 [1 or 2, n, rows], filled: [0] with the signed pulses if `by_sign`; else [0]
            with those of positive inputs, [1] with those of negative ones, each if there are any.
    """
    inputs = x.reshape(-1)
    low, high = np.int8(0), np.int8(0)
    for i in range(inputs.size):
        low = inputs[i] if inputs[i] < low else low
        high = inputs[i] if inputs[i] > high else high
    positive, negative = high > 0, low < 0
    if by_sign or positive:
        to = found[0].reshape(-1)
        least = np.int32(-most if by_sign else 0)
        for i in range(inputs.size):
            pulse = np.int32(inputs[i])
            to[i] = np.float32(pulse if pulse > least else least)
    if negative and not by_sign:
        to = found[1].reshape(-1)
        largest = np.int32(most)
        for i in range(inputs.size):
            pulse = -np.int32(inputs[i])
            pulse = pulse if pulse > 0 else np.int32(0)
            to[i] = np.float32(pulse if pulse < largest else largest)
    return positive, negative


@_part
def _draw(words: NDArray[np.uint64], philox: NDArray[np.uint32], read: int, window: int) -> None:
    """Fill words [4, draws] with Philox4x32-10 of (draw, read, tile, window) of every draw.

    Words of 32 bits have 64 here, as products have: what is above them counts only at the end.
    """
    first, second = np.uint64(philox[4]), np.uint64(philox[5])
    key_0, key_1, tile = np.uint64(philox[0]), np.uint64(philox[1]), np.uint64(philox[6])
    step_0, step_1 = np.uint64(philox[2]), np.uint64(philox[3])
    for draw in range(words.shape[1]):
        a, b, c, d = np.uint64(draw), np.uint64(read), tile, np.uint64(window)
        mine, others = key_0, key_1
        for _ in range(10):
            low, high = (a & _WORD) * first, (c & _WORD) * second
            a, b = (high >> _WORD_BITS) ^ b ^ mine, high
            c, d = (low >> _WORD_BITS) ^ d ^ others, low
            mine, others = mine + step_0 & _WORD, others + step_1 & _WORD
        words[0, draw], words[1, draw] = a & _WORD, b & _WORD
        words[2, draw], words[3, draw] = c & _WORD, d & _WORD


@_part
def _look_up(
    words: NDArray[np.uint64], quantiles: NDArray[np.int32], samples: NDArray[np.int32]
) -> None:
    """Fill samples [4 * draws] with sums of the quantiles that the words' bytes pick."""
    for draw in range(words.shape[1]):
        for place in range(4):
            word = words[place, draw]
            sample = quantiles[word & _BYTE] + quantiles[word >> _BYTES[0] & _BYTE]
            sample += quantiles[word >> _BYTES[1] & _BYTE] + quantiles[word >> _BYTES[2]]
            samples[4 * draw + place] = sample


@_part
def _steered(
    charge: NDArray[np.float32],
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    samples: NDArray[np.int32],
    noise: NDArray[np.float64],
    limit: float,
    counter: NDArray[np.int32],
) -> None:
    """A window of one MVM that counts to one counter."""
    for c in range(charge.size):
        count = charge[c] * gain[c] + samples[c] * noise[c] + offset[c]
        count = count if count > 0.0 else 0.0
        counter[c] += np.int32(count if count < limit else limit)


@_part
def _by_sign(
    charge: NDArray[np.float32],
    converters: NDArray[np.float64],
    samples: NDArray[np.int32],
    limit: float,
    scaled: NDArray[np.float64],
    p: NDArray[np.int32],
    n: NDArray[np.int32],
) -> None:
    """A window of one MVM that counts to P or N by its sign. Overwrites `scaled`."""
    gain_p, gain_n, noise = converters[0], converters[1], converters[4]
    for c in range(charge.size):
        of_p, of_n = gain_p[c], gain_n[c]  # loaded before the choice, which then is no branch
        scaled[c] = charge[c] * (of_p if charge[c] >= 0 else of_n) + samples[c] * noise[c]
    offset_p, offset_n = converters[2], converters[3]
    for c in range(charge.size):
        of_p, of_n, to_p = offset_p[c], offset_n[c], scaled[c] >= 0.0
        count = abs(scaled[c]) + (of_p if to_p else of_n)
        count = count if count > 0.0 else 0.0
        whole = np.int32(count if count < limit else limit)
        p[c] += whole if to_p else np.int32(0)
        n[c] += np.int32(0) if to_p else whole


@_entry
def convert(
    charges: NDArray[np.float32],
    driven: int,
    steers: NDArray[np.int64],
    converters: NDArray[np.float64],
    limit: float,
    most: int,
    noisy: bool,
    philox: NDArray[np.uint32],
    quantiles: NDArray[np.int32],
    reads: NDArray[np.uint32],
    p: NDArray[np.uint16],
    n: NDArray[np.uint16],
) -> None:
    """What `adc.convert` computes.

    Args:
        charges: float32 [windows, n, columns], whole numbers.
        driven: bit w is set if window w has charges; charges of other windows are not read.
        steers: [windows], `Steer` of each.
        converters: [5, columns]: gain of P and N, in counts per unit of charge; offset of P and
            N, in counts; noise, in counts per unit of sample.
        limit: counts at which one conversion saturates.
        most: counts at which a counter saturates.
        noisy: whether any noise is not 0.
        philox: both words of the key, both increments per round, both multipliers, the tile.
        quantiles: [256], by byte.
        reads: [n], read index of each MVM.
        p: [n, columns], filled.
        n: [n, columns], filled.
    """
    windows, vectors, columns = charges.shape
    draws = (columns + 3) // 4
    words = np.empty((4, draws), dtype=np.uint64)
    samples = np.zeros(4 * draws, dtype=np.int32)
    nothing, scaled = np.zeros(columns, dtype=np.float32), np.empty(columns)
    to_p, to_n = np.empty(columns, dtype=np.int32), np.empty(columns, dtype=np.int32)
    for v in range(vectors):
        to_p[:] = 0
        to_n[:] = 0
        for w in range(windows):
            if noisy:
                _draw(words, philox, reads[v], w)
                _look_up(words, quantiles, samples)
            charge = charges[w, v] if driven >> w & 1 else nothing
            if steers[w] == 0:
                _by_sign(charge, converters, samples, limit, scaled, to_p, to_n)
            else:
                counter = to_p if steers[w] == 1 else to_n
                gain, offset = converters[steers[w] - 1], converters[steers[w] + 1]
                _steered(charge, gain, offset, samples, converters[4], limit, counter)
        for c in range(columns):
            p[v, c] = min(to_p[c], np.int32(most))
            n[v, c] = min(to_n[c], np.int32(most))


@_entry
def process(
    p: NDArray[np.uint16],
    n: NDArray[np.uint16],
    constants: NDArray[np.float64],
    exact: bool,
    relu_1: bool,
    relu_2: bool,
    rx_scale: float,
    most: int,
    rx_int8: NDArray[np.int8],
    rx_binary16: NDArray[np.uint16],
    int8: NDArray[np.int8],
    binary16: NDArray[np.uint16],
) -> None:
    """What `ldpu.process` computes.

    Args:
        p: [n, columns], counters.
        n: [n, columns], counters.
        constants: [5, columns], values in the order of `formats.COLUMN_CONSTANTS`.
        exact: whether no counter is above 2048; up to 2048 every integer is a binary16 number.
        relu_1: whether there is a ReLU before the RX addition.
        relu_2: whether there is one after it.
        rx_scale: value of the factor of RX.
        most: largest magnitude of an INT8 value.
        rx_int8: [n, wanted columns], RX values; no vectors if there are none, or of the other kind.
        rx_binary16: the same in binary16 bits.
        int8: [n, wanted columns], filled; no vectors if results are of the other kind.
        binary16: the same in binary16 bits.
    """
    vectors, columns = p.shape
    wanted = int8.shape[1]
    gain_p, gain_n, offset = constants[0], constants[1], constants[2]
    scale, bias = constants[3], constants[4]
    value, other = np.empty(columns), np.empty(columns)
    for v in range(vectors):
        for c in range(columns):
            value[c] = p[v, c]
        for c in range(columns):
            other[c] = n[v, c]
        if not exact:
            for c in range(columns):
                value[c] = _rounded(value[c])
            for c in range(columns):
                other[c] = _rounded(other[c])
        for c in range(columns):
            value[c] = _rounded(value[c] * gain_p[c] + offset[c])
        for c in range(columns):
            value[c] = _rounded(value[c] - other[c] * gain_n[c])
        for c in range(columns):
            value[c] = _rounded(value[c] * scale[c] + bias[c])
        if relu_1:
            for c in range(columns):
                value[c] = _relu(value[c])
        if rx_int8.shape[0] or rx_binary16.shape[0]:
            if rx_int8.shape[0]:
                for c in range(wanted):
                    other[c] = max(np.int32(rx_int8[v, c]), np.int32(-most))
            else:
                for c in range(wanted):
                    other[c] = _value(rx_binary16[v, c])
            for c in range(columns):
                value[c] = _rounded(value[c] + other[c] * rx_scale)
        else:
            for c in range(columns):
                value[c] += 0.0
        if relu_2:
            for c in range(columns):
                value[c] = _relu(value[c])
        if int8.shape[0]:
            for c in range(wanted):
                int8[v, c] = _int8(value[c], np.float64(most))
        else:
            for c in range(wanted):
                binary16[v, c] = _bits(value[c])


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
