"""A tile: modulator, PCM array, converters and LDPU one after the other.

`caduceus.golden.fast.tile.Tile` gives the same bits many times sooner.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import adc, ldpu
from caduceus.golden.reference.pcm_array import Crossbar, reference_charges
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.packets import Values
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig


def counts(
    chip: Chip,
    state: PcmState,
    tile: int,
    config: TileConfig,
    x: NDArray[np.int8],
    first_read: int | NDArray[np.int64] = 0,
    reference: int = 0,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Counters P and N of a batch, uint16 [n, config.columns] each; arguments as for `run`."""
    mode, columns = config.read_mode, config.columns
    if reference:
        charges = reference_charges(reference, mode, len(x), columns)
    else:
        charges = Crossbar(state, tile).charges(x, mode, columns)
    return adc.convert(charges, state, tile, mode, chip.adc.phase_limit, first_read)


def run(
    chip: Chip,
    state: PcmState,
    tile: int,
    config: TileConfig,
    x: NDArray[np.int8],
    rx: Values | None = None,
    first_read: int | NDArray[np.int64] = 0,
    reference: int = 0,
) -> Values:
    """Results of a batch.

    Args:
        chip: the chip description.
        state: devices and converters.
        tile: tile number in `state`.
        config: configuration of the tile.
        x: int8 [n, config.rows].
        rx: [n, config.columns] if `config.rx_enable`, else None; int8, of which -128 is read as
            -127, or binary16 bits as uint16 with `config.rx_binary16`.
        first_read: MVMs that the tile did since its state was loaded; or that number for each
            vector, [n].
        reference: the register REFERENCE: other than 0, the reference current takes the place of
            the cells', and the vectors' values do not matter.

    Returns:
        int8 [n, config.columns], or binary16 bits as uint16 with `config.tx_binary16`.
    """
    p, n = counts(chip, state, tile, config, x, first_read, reference)
    if rx is not None and rx.dtype == np.int8:
        rx = np.maximum(rx, np.int8(-formats.INT8_MAX))
    return ldpu.process(
        p, n, config.constants, config.relu_1, config.relu_2, rx, config.rx_scale,
        config.tx_binary16,
    )  # fmt: skip
