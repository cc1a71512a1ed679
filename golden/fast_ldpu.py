"""`ldpu.process` in fewer operations: a table where one will do, else values instead of bits.

Why the results are the same:

- In a 1-phase read one counter is 0. In a 4-phase read with both gains 1 and offset 0 the first two
  operations give P - N exactly. So all that comes before the RX addition is a function of column
  and P - N, as is the result where there is no RX: a table, which `ldpu` itself makes.
- Else the operations are done on float64 values, as `fp16.fma` does, but their results stay values:
  `fp16.nearest` rounds them where they are. Bits are needed only for what is beyond binary16's
  largest value, so constants that could lead there are left to `ldpu`.
- The RX addition with a factor of 1 is a sum of two binary16 values. binary32 has twice their
  digits and two more, so a sum that is rounded to it first is then rounded to binary16 as if at
  once (Figueroa, "When is double rounding innocuous?", 1995).
- Rounding keeps the order of values, so an INT8 result may be limited first and rounded after.
"""

import numpy as np
from numpy.typing import NDArray

from golden import fp16, ldpu
from golden.fast_adc import Counts
from golden.payload import Values
from spec import formats
from spec.program import TileConfig

TABLE_COUNTS = 2048
"""Values of P - N for which there may be a table: 2 MB at 256 columns."""
_LARGEST = 65504.0 * 0.99
"""What is at most so large before its rounding is finite after it; the rest is for bounds' own."""
_WHOLE = 1 << formats.FP16_FRACTION_BITS + 1
"""All integers up to this are binary16 values."""


class FastLdpu:
    """The LDPU of a tile with this configuration, whose counters are at most `most`.

    Attributes:
        fits: whether it can do what `ldpu.process` does with such constants.
    """

    def __init__(self, config: TileConfig, most: int) -> None:
        self._config, self._most = config, most
        self._constants = config.constants.copy()
        self._columns = dict(
            zip(
                (constant.name for constant in formats.COLUMN_CONSTANTS),
                fp16.values(self._constants.T).astype(np.float64),
                strict=True,
            )
        )
        self._factor = np.float64(fp16.values(config.rx_scale))
        self.fits = self._bounded()
        # Zeros have signs, which a binary16 sum shows and nothing else does.
        self._signed = config.tx_binary16 and config.rx_enable
        self._table: NDArray | None = None
        starts = np.arange(config.columns) * (2 * most + 1)
        self._places = (starts + most).astype(np.int32)  # where in the table P = N is
        self._seen = 0

    def _bounded(self) -> bool:
        """Whether every value before the RX addition is finite, and the factor after it."""
        size = {name: np.abs(values) for name, values in self._columns.items()}
        with np.errstate(all="ignore"):
            first = size["offset"] + self._most * size["gain_p"]
            second = first + self._most * size["gain_n"]
            third = second * size["scale"] + size["bias"]
            # A comparison with NaN is false.
            finite = (second < _LARGEST) & (third < _LARGEST)
        return bool(finite.all()) and self._most <= _WHOLE and bool(np.isfinite(self._factor))

    def uses_difference(self, vectors: int) -> bool:
        """Whether `from_difference` is for the next so many vectors, else `from_counters`.

        The first vectors do without a table: it takes about as long as a vector for each of its
        counts.
        """
        if self._table is None:
            self._seen += vectors
            counts = 2 * self._most + 1
            if self._seen < counts or counts > TABLE_COUNTS or not self._one_number():
                return False
            self._table = self._tabulated()
        return True

    def _one_number(self) -> bool:
        """Whether P - N is enough to know."""
        if self._config.read_mode == formats.ReadMode.ONE_PHASE:
            return True
        columns = self._columns
        exact = (columns["gain_p"] == 1) & (columns["gain_n"] == 1) & (columns["offset"] == 0)
        return bool(exact.all())

    def _tabulated(self) -> NDArray:
        """By column and P - N the result, or the value before the RX addition."""
        config = self._config
        every = np.arange(-self._most, self._most + 1)[:, np.newaxis]
        both = np.maximum(every, 0), np.maximum(-every, 0)
        shape = (len(every), config.columns)
        p, n = (np.broadcast_to(counts.astype(np.uint16), shape) for counts in both)
        if config.rx_enable:
            table = fp16.values(ldpu.before_rx(p, n, self._constants, config.relu_1))
        else:
            table = ldpu.process(
                p, n, self._constants, config.relu_1, config.relu_2,
                tx_binary16=config.tx_binary16,
            )  # fmt: skip
        return np.ascontiguousarray(table.T).reshape(-1)

    def from_difference(self, difference: Counts, rx: Values | None) -> Values:
        """Results of a batch; `difference` is P - N, and overwritten. RX as for `ldpu.process`."""
        difference += self._places
        value = self._table.take(difference.astype(np.intp))
        return value if rx is None else self._finished(value, rx)

    def from_counters(self, p: Counts, n: Counts, rx: Values | None) -> Values:
        """Results of a batch from both counters; RX as for `ldpu.process`."""
        columns = self._columns
        value = p * columns["gain_p"]
        value += columns["offset"]
        fp16.nearest(value, self._signed)
        value -= n * columns["gain_n"]
        fp16.nearest(value, self._signed)
        value *= columns["scale"]
        value += columns["bias"]
        fp16.nearest(value, self._signed)
        if self._config.relu_1:
            np.maximum(value, 0, out=value)
            np.abs(value, out=value)  # of the two zeros, the maximum may be either
        return self._finished(value.astype(np.float32), rx)

    def _finished(self, value: NDArray[np.float32], rx: Values | None) -> Values:
        """The RX addition and what comes after it. May overwrite `value`."""
        config = self._config
        if rx is None:
            total = value  # its zeros have no sign, as is right without RX
        else:
            addend = fp16.values(rx) if rx.dtype == np.uint16 else rx
            if self._factor == 1:
                total = np.add(value, addend, out=value)
            else:
                with np.errstate(invalid="ignore"):  # infinity times 0
                    total = addend * self._factor
                total += value
        if config.tx_binary16:
            bits = fp16.from_real(total)
            return fp16.relu(bits) if config.relu_2 else bits
        if rx is not None and rx.dtype == np.uint16:
            np.copyto(total, 0, where=np.isnan(total))
        np.clip(total, 0 if config.relu_2 else -formats.INT8_MAX, formats.INT8_MAX, out=total)
        if rx is not None:
            fp16.nearest(total)
        return np.rint(total, out=total).astype(np.int8)
