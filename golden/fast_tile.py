"""What a tile does after its crossbar, for batches: the fast converters and LDPU together."""

import numpy as np
from numpy.typing import NDArray

from golden.fast_adc import FastAdc
from golden.fast_ldpu import FastLdpu
from golden.payload import Values
from golden.pcm_array import Crossbar
from spec.pcm_state import PcmState
from spec.program import TileConfig


class FastTile:
    """Tile number `tile` of `state` with this configuration; results are bit by bit as `Tile`'s.

    Attributes:
        fits: whether it can do what the configuration tells; if not, `adc` and `ldpu` must.
    """

    def __init__(self, config: TileConfig, state: PcmState, tile: int, phase_limit: int) -> None:
        self._mode, self._columns = config.read_mode, config.columns
        self._adc = FastAdc(state, tile, config.columns, config.read_mode, phase_limit)
        self._ldpu = FastLdpu(config, self._adc.most)
        self.fits = self._ldpu.fits

    def run(
        self,
        crossbar: Crossbar,
        x: NDArray[np.int8],
        rx: Values | None,
        first_read: int | NDArray[np.int64],
    ) -> Values:
        """Results of a batch; arguments as for `Tile.run`, which has checked them."""
        charges = crossbar.driven(x, self._mode, self._columns)
        shape = len(x), self._columns
        reads = first_read if np.ndim(first_read) else first_read + np.arange(len(x))
        if self._ldpu.uses_difference(len(x)):
            return self._ldpu.from_difference(self._adc.difference(charges, shape, reads), rx)
        return self._ldpu.from_counters(*self._adc.counters(charges, shape, reads), rx)
