"""PCM states: devices and converters of every tile, drawn from a seed.

The same chip, targets, settings, seed, age, read mode and inputs give the same bytes on every
machine.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caduceus.devices.ageing import Ageing, InputStatistics, Purpose, column_noise
from caduceus.devices.exact import Stream
from caduceus.devices.settings import Devices, Settings
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState

_TRIMMED = 3.0
"""Standard deviations of the gain beyond which no converter is: 21 % (published)."""


def state(
    chip: Chip,
    targets: NDArray[np.uint8],
    devices: Devices,
    read_mode: ReadMode,
    inputs: Sequence[InputStatistics] | None = None,
    programming: int = 0,
) -> PcmState:
    """Devices and converters of a program's tiles.

    Args:
        chip: the chip description.
        targets: uint8 [tiles, rows, columns, 4], target codes.
        devices: model and effects, seed, and age.
        read_mode: of the program; the read noise of an MVM is divided among its windows.
        inputs: statistics of the input vectors by tile; None where they are unknown.
        programming: how often the devices were programmed before; each time redraws the
            devices, and keeps the converters.

    Raises:
        UserError: a target is above the devices' largest code.
    """
    settings, seed = devices.settings, devices.seed
    ageing = Ageing(devices, programming)
    tiles, _, columns, _ = targets.shape
    codes = np.empty_like(targets)
    gains = np.empty((2, tiles, columns), dtype=np.uint32)
    offsets = np.empty((2, tiles, columns), dtype=np.int16)
    noise = np.empty((tiles, columns), dtype=np.uint16)
    windows = len(formats.PHASES[read_mode])
    for tile in range(tiles):
        drawn = ageing.tile(targets[tile], tile)
        codes[tile] = drawn.codes
        gains[:, tile], offsets[:, tile] = converters(chip, settings, seed, tile, columns)
        mine = None if inputs is None else inputs[tile]
        mean = gains[:, tile].mean(axis=0)
        noise[tile] = column_noise(drawn.variance, mine, mean, windows)
    return PcmState(
        chip=chip.name, seed=seed, codes=codes, gain_p=gains[0], gain_n=gains[1],
        offset_p=offsets[0], offset_n=offsets[1], noise=noise,
        note=f"{settings.model}, {devices.age:g} s after programming, seed {seed}",
    )  # fmt: skip


def converters(
    chip: Chip, settings: Settings, seed: int, tile: int, columns: int
) -> tuple[NDArray[np.uint32], NDArray[np.int16]]:
    """Gain codes and offset codes of a tile's converters, [2, columns] each: P, then N."""
    shape = (2, columns)
    normal = Stream(seed, Purpose.GAIN, tile).normal(shape).clip(-_TRIMMED, _TRIMMED)
    gains = np.rint(chip.nominal_gain * (1 + settings.adc_gain_spread * normal))
    normal = Stream(seed, Purpose.OFFSET, tile).normal(shape)
    offsets = np.rint(settings.adc_offset * 2**formats.OFFSET_FRACTION * normal)
    most = (1 << formats.OFFSET_BITS - 1) - 1
    return (
        gains.clip(1, (1 << formats.GAIN_BITS) - 1).astype(np.uint32),
        offsets.clip(-most, most).astype(np.int16),
    )
