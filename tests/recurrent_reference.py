"""An LSTM in the chip's arithmetic, written plainly: charges, counts, binary16, INT8.

Independent of the golden model and of the compiler, and bit for bit what they should give with
ideal devices. Numbers in binary16 are kept as binary64: a product of two and the sum with a third
are exact there or as good as exact, so that rounding once to binary16 is what a fused
multiply-add does.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats, gdpu
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import GATES
from caduceus.spec.network import Network

Array = NDArray[np.float64]


def half(x: Array) -> Array:
    """To the nearest binary16."""
    return np.asarray(x).astype(np.float16).astype(np.float64)


def bits(values: tuple[int, ...] | int) -> Array:
    return np.array(values, dtype=np.uint16).view(np.float16).astype(np.float64)


def int8(x: Array) -> Array:
    return np.clip(np.rint(x), -formats.INT8_MAX, formats.INT8_MAX)


@dataclass
class Matrix:
    """A matrix, or rows of it, on one tile: from INT8 inputs to net counts.

    `real_per_count` is in real units, by column or for all; `conversions` are those that carry
    charge.
    """

    codes: NDArray[np.float32]
    real_per_count: float | Array
    chip: Chip
    mode: formats.ReadMode
    conversions: int = 0
    saturated: int = 0
    _parts: tuple[NDArray[np.float32], ...] = field(init=False)

    def __post_init__(self) -> None:
        self._parts = np.maximum(self.codes, 0), np.maximum(-self.codes, 0)

    def net(self, x: Array) -> Array:
        # Charges are integers below 2**24: exact in binary32.
        x = x.astype(np.float32)
        if self.mode == formats.ReadMode.ONE_PHASE:
            charge = x @ self.codes
            return np.sign(charge) * self._counts(np.abs(charge))
        plus, minus = np.maximum(x, 0), np.maximum(-x, 0)
        up, down = self._parts
        p = self._counts(plus @ up) + self._counts(minus @ down)
        return p - self._counts(plus @ down) - self._counts(minus @ up)

    def _counts(self, charge: NDArray[np.float32]) -> Array:
        counts = charge.astype(np.int64) * self.chip.nominal_gain >> formats.GAIN_FRACTION
        limit = self.chip.adc.phase_limit
        self.conversions += int(np.count_nonzero(charge))
        self.saturated += int(np.count_nonzero(counts >= limit))
        return np.minimum(counts, limit).astype(np.float64)


class RecurrentReference:
    """A network on a chip with ideal devices, for a batch of texts.

    Args:
        batch: texts side by side. Their state starts at 0.
    """

    def __init__(
        self,
        network: Network,
        chip: Chip,
        mode: formats.ReadMode = formats.ReadMode.FOUR_PHASE,
        batch: int = 1,
    ) -> None:
        self.network, self.chip, self.mode = network, chip, mode
        self.lstm, *rest = network.graph.nodes
        self.last = rest[0] if rest else None
        self.weights = weights = network.weights[self.lstm.name]
        lstm, scale, rows = self.lstm, network.graph.input.scale, chip.array.rows
        self.shared = network.graph.input.size + lstm.hidden <= rows
        if self.shared:
            ratio = np.float32(scale / lstm.output_scale)
            both = np.concatenate([weights.input * ratio, weights.hidden])
            self.inputs, self.hidden = (
                [],
                self._cut(both, lstm.hidden_gmax, weights.hidden_gmax, lstm.output_scale),
            )
        else:
            self.inputs = self._cut(weights.input, lstm.input_gmax, weights.input_gmax, scale)
            self.hidden = self._cut(
                weights.hidden, lstm.hidden_gmax, weights.hidden_gmax, lstm.output_scale
            )
        self.dense = []
        if self.last:
            dense = network.weights[self.last.name]
            self.dense = self._cut(dense.weight, self.last.gmax, dense.gmax, lstm.output_scale)
        self.steps = np.repeat(lstm.gate_scales, lstm.hidden)
        self.h = np.zeros((batch, lstm.hidden))
        self.c = np.zeros((batch, lstm.hidden))
        # Nothing but its symbol decides what the input's tiles make of an input vector.
        self._known = None
        if network.embedding is not None and not self.shared:
            self._known = self._chain(self.inputs, network.embedding, self.steps, None)

    @property
    def matrices(self) -> list[Matrix]:
        return self.inputs + self.hidden + self.dense

    def read(self, symbols: NDArray[np.integer]) -> Array:
        """Outputs, INT8 [batch, outputs], after one more symbol each."""
        if self._known is not None:
            return self._step(self._known[symbols], None)
        return self.step(self.network.embedding[symbols])

    def step(self, x: NDArray[np.integer]) -> Array:
        """Outputs after one more input vector each, INT8 [batch, size]."""
        if self.shared:
            return self._step(None, x)
        return self._step(self._chain(self.inputs, x, self.steps, None), None)

    def _step(self, so_far: Array | None, x: NDArray[np.integer] | None) -> Array:
        h = self.h if x is None else np.concatenate([x, self.h], axis=1)
        z = self._chain(self.hidden, h, self.steps, self.weights.bias, so_far)
        self._cell(z.reshape(len(z), len(GATES), -1))
        if not self.dense:
            return self.h
        scale = np.full(self.last.outputs, self.last.output_scale)
        return self._chain(self.dense, self.h, scale, self.network.weights[self.last.name].bias)

    def _cut(
        self,
        weight: NDArray[np.float32],
        gmax: int,
        by_column: NDArray[np.uint16] | None,
        scale: float,
    ) -> list[Matrix]:
        """The tiles that a matrix is cut into, by rows."""
        per_core = self.network.graph.scaling == "core"
        largest = np.abs(weight.astype(np.float64)).max(axis=None if per_core else 0)
        gmax = gmax if per_core or by_column is None else by_column
        codes = np.rint(weight.astype(np.float64) * (gmax / largest)).astype(np.float32)
        counts_per_charge = self.chip.nominal_gain / 2**formats.GAIN_FRACTION
        real = scale * largest / gmax / counts_per_charge
        tiles = -(-len(codes) // self.chip.array.rows)
        rows = -(-len(codes) // tiles)
        parts = (codes[first : first + rows] for first in range(0, len(codes), rows))
        return [Matrix(part, real, self.chip, self.mode) for part in parts]

    @staticmethod
    def _chain(
        tiles: list[Matrix],
        x: Array,
        steps: Array,
        bias: NDArray[np.float32] | None,
        so_far: Array | None = None,
    ) -> Array:
        """Partial sums through `tiles`, each rounded to INT8 in `steps`; the last adds `bias`."""
        first = 0
        for tile in tiles:
            rows = len(tile.codes)
            last = tile is tiles[-1] and bias is not None
            shift = half(bias / steps) if last else 0.0
            value = half(
                tile.net(x[:, first : first + rows]) * half(tile.real_per_count / steps) + shift
            )
            so_far = int8(value if so_far is None else half(value + so_far))
            first += rows
        return so_far

    def _cell(self, z: Array) -> None:
        lstm = self.lstm
        factors = np.array([1.0 if gate == "a" else 0.5 for gate in GATES])
        scale, multiply, add = (
            value[:, np.newaxis]
            for value in (
                half(np.array(lstm.gate_scales) * factors),
                bits(gdpu.GATE_SCALE),
                bits(gdpu.GATE_OFFSET),
            )
        )
        i, a, f, o = half(tanh(half(z * scale)) * multiply + add).swapaxes(0, 1)
        self.c = half(f * self.c + half(i * a))
        h = half(o * tanh(self.c))
        self.h = int8(half(h * half(np.array(1 / lstm.output_scale))))


def tanh(x: Array) -> Array:
    """The GDPU's table."""
    number = np.searchsorted(bits(gdpu.THRESHOLDS), x, side="right")
    inner = (number > 0) & (number < gdpu.BINS - 1)
    return half(bits(gdpu.SLOPES)[number] * np.where(inner, x, 0) + bits(gdpu.OFFSETS)[number])


def bits_per_character(logits: Array, targets: NDArray[np.integer]) -> Array:
    """Cost in bits of `targets` [...] under real logits [..., symbols]."""
    top = logits.max(axis=-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
    chosen = np.take_along_axis(logits, targets[..., np.newaxis], axis=-1)[..., 0]
    return (total - chosen) / np.log(2)
