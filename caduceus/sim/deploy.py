"""A compiled program on devices: their state, and what the host corrects for them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.devices import make
from caduceus.devices.ageing import INPUT_POWER, InputStatistics
from caduceus.devices.settings import Devices
from caduceus.golden.fast.tile import Tile
from caduceus.golden.machine import Machine
from caduceus.host.calibrate import calibrated
from caduceus.host.compensate import compensated
from caduceus.sim.calibration import drift_factor, measured
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program, TileConfig
from caduceus.spec.program_codes import computing, device_codes


def deployed(program: Program, chip: Chip, devices: Devices) -> tuple[Program, PcmState]:
    """The program as the host corrects it for the devices, and their state.

    Args:
        program: of a whole chip.
        chip: the chip description.
        devices: ideal or others; read noise and calibration of others are computed for the
            program's `sample` inputs.

    Raises:
        UserError: seed or age are out of range, targets are too large for the devices, or a
            constant of a correction does not fit binary16.
    """
    targets = device_codes(program, chip)
    _demand_codes(program, targets, devices)
    if devices.plain:
        return program, pcm_state.ideal(chip, targets, devices.seed)
    inputs = seen(program, chip)
    configs = [tile.config for tile in computing(program)]
    state, corrected = _corrected(configs, chip, devices, targets, inputs)
    found = dict(zip((tile.tile for tile in computing(program)), corrected, strict=True))
    tiles = tuple(
        replace(tile, config=found[tile.tile]) if tile.tile in found else tile
        for tile in program.tiles
    )
    return replace(program, tiles=tiles), state


def _demand_codes(program: Program, targets: NDArray[np.uint8], devices: Devices) -> None:
    """Demand that the devices of a polarity can be as large as the program wants them together.

    Raises:
        UserError: they cannot.
    """
    wanted = int(targets.astype(np.int64).reshape(*targets.shape[:-1], 2, 2).sum(axis=-1).max())
    largest = devices.settings.largest_code
    if wanted > largest:
        raise UserError(
            f"program of network {program.network}: largest cell code: got {wanted}, expected at "
            f"most {largest} on {devices.settings.model} devices: compile it with devices="
        )


def _corrected(
    configs: Sequence[TileConfig],
    chip: Chip,
    devices: Devices,
    targets: NDArray[np.uint8],
    inputs: Sequence[InputStatistics],
) -> tuple[PcmState, list[TileConfig]]:
    """State of all tiles, and each tile's configuration with what the host corrects."""
    settings = devices.settings
    mode = configs[0].read_mode if configs else formats.ReadMode.FOUR_PHASE
    made = make.state(chip, targets, devices, mode, inputs)
    fresh = None
    if settings.compensate and settings.drift and devices.age > 0:
        fresh = make.state(chip, targets, replace(devices, age=0.0), mode, inputs)
    corrected = []
    for index, config in enumerate(configs):
        tile = Tile(chip, made, index)
        for_tests = config  # the vectors that drift is measured with are of both signs
        if settings.calibrate:
            calibration = measured(tile, config.rows, config.columns, mode)
            for_tests = calibrated(config, calibration)
            config = calibrated(config, calibration, inputs[index].one_sign)
        if fresh is not None:
            factor = drift_factor(Tile(chip, fresh, index), tile, for_tests)
            config = compensated(config, factor)
        corrected.append(config)
    return made, corrected


def in_words(program: Program, devices: Devices) -> str:
    """Devices, and whether what they see was assumed for want of a `sample`."""
    if devices.plain or program.sample is not None:
        return str(devices)
    return f"{devices}, inputs assumed uniform"


def seen(program: Program, chip: Chip) -> list[InputStatistics]:
    """What the input vectors of each computing tile are like, for the program's sample.

    On ideal devices, so that it depends on the program alone. Without a sample they are taken to be
    as in the published characterization of the chip (`INPUT_POWER`), which `in_words` says.
    """
    tiles = computing(program)
    if program.sample is None:
        driven = (np.arange(chip.array.rows) < tile.config.rows for tile in tiles)
        return [InputStatistics(np.where(rows, INPUT_POWER, 0.0)) for rows in driven]
    sums = {tile.tile: np.zeros(chip.array.rows, dtype=np.int64) for tile in tiles}
    counts = dict.fromkeys(sums, 0)
    signs = {number: [False, False] for number in sums}

    def tap(number: int, vectors: NDArray[np.int8]) -> None:
        wide = vectors.astype(np.int64)
        sums[number][: vectors.shape[1]] += (wide * wide).sum(axis=0)
        counts[number] += len(vectors)
        signs[number][0] |= bool((vectors > 0).any())
        signs[number][1] |= bool((vectors < 0).any())

    state = pcm_state.ideal(chip, device_codes(program, chip))
    Machine(program, chip, state, tap).run(program.sample)
    largest = formats.INT8_MAX**2
    return [
        InputStatistics(
            sums[tile.tile] / (max(counts[tile.tile], 1) * largest), not all(signs[tile.tile])
        )
        for tile in tiles
    ]
