"""A compiled program on devices: their state, and the host's corrections for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caduceus.devices import make
from caduceus.devices.ageing import INPUT_POWER, InputStatistics
from caduceus.devices.settings import Devices
from caduceus.golden.fast.tile import Tile
from caduceus.golden.machine import Machine
from caduceus.host.calibrate import calibrated
from caduceus.host.compensate import compensated, most_factor, settled
from caduceus.sim.calibration import drift_factor, measured
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing, device_codes


def chip_of(program: Program, chip: Chip | None) -> Chip:
    """`chip`, or the shipped chip description that the program names.

    Raises:
        UserError: the program was compiled for a chip that is not shipped.
    """
    if chip is None and program.chip not in Chip.available():
        raise UserError(
            f"program {program.network}: its chip {program.chip!r} does not ship with Caduceus: "
            "pass it as chip="
        )
    return chip or Chip.find(program.chip)


@dataclass(frozen=True)
class ReplacedFactor:
    """A tile whose measured drift factor was replaced.

    Attributes:
        layer: name of the layer; empty where the program does not name it.
        tile: number of the tile.
        measured: the factor as measured; None if the tile answers 0 to every test vector.
        used: the factor in use.
        reason: reason for the replacement.
    """

    layer: str
    tile: int
    measured: float | None
    used: float
    reason: str

    def __str__(self) -> str:
        layer = f"layer {self.layer}, " if self.layer else ""
        measured = "no factor" if self.measured is None else f"factor {self.measured:.3f}"
        return (
            f"drift: {layer}tile {self.tile}: {measured} measured, {self.used:.3f} used: "
            f"{self.reason}"
        )


@dataclass(frozen=True)
class Deployed:
    """A program on devices.

    Attributes:
        program: with the host's corrections for the devices.
        state: of the devices.
        replaced: computing tiles whose measured drift factor was replaced; None without drift
            compensation.
    """

    program: Program
    state: PcmState
    replaced: tuple[ReplacedFactor, ...] | None = None


def deployed(program: Program, chip: Chip, devices: Devices) -> Deployed:
    """Draw the devices of a program, and correct it for them.

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
        return Deployed(program, pcm_state.ideal(chip, targets, devices.seed))
    inputs = seen(program, chip)
    state, corrected, replaced = _corrected(computing(program), chip, devices, targets, inputs)
    found = {tile.tile: tile for tile in corrected}
    tiles = tuple(found.get(tile.tile, tile) for tile in program.tiles)
    return Deployed(replace(program, tiles=tiles), state, replaced)


def _demand_codes(program: Program, targets: NDArray[np.uint8], devices: Devices) -> None:
    """Check that the devices of one polarity together can hold the largest cell code.

    Raises:
        UserError: the code is too large.
    """
    wanted = int(targets.astype(np.int64).reshape(*targets.shape[:-1], 2, 2).sum(axis=-1).max())
    largest = devices.settings.largest_code
    if wanted > largest:
        raise UserError(
            f"program of network {program.network}: largest cell code: got {wanted}, expected at "
            f"most {largest} on {devices.settings.model} devices: compile it with devices="
        )


def _corrected(
    tiles: Sequence[TileProgram],
    chip: Chip,
    devices: Devices,
    targets: NDArray[np.uint8],
    inputs: Sequence[InputStatistics],
) -> tuple[PcmState, list[TileProgram], tuple[ReplacedFactor, ...] | None]:
    """State of all computing tiles, the tiles as the host corrects them, and replaced factors."""
    settings = devices.settings
    mode = tiles[0].config.read_mode if tiles else formats.ReadMode.FOUR_PHASE
    made = make.state(chip, targets, devices, mode, inputs)
    configs = [tile.config for tile in tiles]
    for_tests = list(configs)  # the test vectors of the drift measurement have both signs
    units = [Tile(chip, made, index) for index in range(len(tiles))]
    if settings.calibrate:
        for index, (unit, config) in enumerate(zip(units, configs, strict=True)):
            calibration = measured(unit, config.rows, config.columns, mode)
            for_tests[index] = calibrated(config, calibration)
            configs[index] = calibrated(config, calibration, inputs[index].one_sign)
    replaced = None
    if settings.compensate and settings.drift and devices.age > 0:
        fresh = make.state(chip, targets, replace(devices, age=0.0), mode, inputs)
        most = most_factor(devices.age)
        found = settled(
            [
                drift_factor(Tile(chip, fresh, index), unit, for_tests[index], most)
                for index, unit in enumerate(units)
            ]
        )
        configs = [
            compensated(config, each.used) for config, each in zip(configs, found, strict=True)
        ]
        replaced = tuple(
            ReplacedFactor(
                tile.block.layer if tile.block else "", tile.tile, each.measured, each.used,
                each.reason,
            )
            for tile, each in zip(tiles, found, strict=True)
            if each.reason
        )  # fmt: skip
    corrected = [replace(tile, config=config) for tile, config in zip(tiles, configs, strict=True)]
    return made, corrected, replaced


def in_words(program: Program, devices: Devices) -> str:
    """Devices, and whether their input statistics were assumed, as the program has no `sample`."""
    if devices.plain or program.sample is not None:
        return str(devices)
    return f"{devices}, inputs assumed uniform"


def seen(program: Program, chip: Chip) -> list[InputStatistics]:
    """Input statistics of each computing tile, for the program's sample.

    Computed on ideal devices, so that they depend on the program alone. Without a sample, those of
    the chip's published characterization (`INPUT_POWER`); `in_words` says so.
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
