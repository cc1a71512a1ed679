"""A compiled program on devices: their state, and what the host corrects for them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from driver.calibrate import calibrated
from driver.compensate import compensated
from golden.tile import Tile
from pcm import make
from pcm.devices import INPUT_POWER, Inputs
from pcm.settings import Devices, Settings
from sim.calibration import drift_factor, measured
from sim.golden_adapter import Machine
from spec import formats, pcm_state
from spec.chip import Chip
from spec.errors import UserError
from spec.network import Network
from spec.pcm_state import PcmState
from spec.program import ChipProgram, Program, TileConfig
from spec.program_codes import computing, device_codes
from spec.recurrent import RecurrentNetwork

AnyNetwork = TypeVar("AnyNetwork", Network, RecurrentNetwork)


def within(network: AnyNetwork, settings: Settings) -> AnyNetwork:
    """The network with no layer's largest code above what the devices can be."""
    most = settings.largest_code
    if isinstance(network, RecurrentNetwork):
        lstm, dense = network.lstm, network.dense
        lstm = lstm.model_copy(
            update={key: min(getattr(lstm, key), most) for key in ("input_gmax", "hidden_gmax")}
        )
        dense = dense and dense.model_copy(update={"gmax": min(dense.gmax, most)})
        return network.model_copy(update={"lstm": lstm, "dense": dense})
    layers = tuple(
        layer.model_copy(update={"gmax": min(layer.gmax, most)}) for layer in network.layers
    )
    return network.model_copy(update={"layers": layers})


def deployed(
    program: ChipProgram, chip: Chip, devices: Devices, x: NDArray[np.int8] | None
) -> tuple[ChipProgram, PcmState]:
    """The program as the host corrects it for the devices, and their state.

    Args:
        program: of a whole chip.
        chip: the chip description.
        devices: which.
        x: typical inputs, which say how large those of every tile are: int8 [images, pixels,
            channels], or [n, values], which are steps of one sequence where the program has a
            state. Ideal devices need none.

    Raises:
        UserError: seed or age are out of range, targets are too large for the devices, there are
            no typical inputs, or a constant of a correction does not fit binary16.
    """
    targets = device_codes(program, chip)
    _demand_codes(program, targets, devices)
    if devices.plain:
        return program, pcm_state.ideal(chip, targets, devices.seed)
    if x is None:
        raise UserError(
            f"program of network {program.network} on {devices}: its read noise and calibration "
            "depend on typical inputs: give some as sample="
        )
    inputs = seen(program, chip, x)
    configs = [tile.config for tile in computing(program)]
    state, corrected = _corrected(configs, chip, devices, targets, inputs)
    found = dict(zip((tile.tile for tile in computing(program)), corrected, strict=True))
    tiles = tuple(
        replace(tile, config=found[tile.tile]) if tile.tile in found else tile
        for tile in program.tiles
    )
    return replace(program, tiles=tiles), state


def _demand_codes(program: ChipProgram, targets: NDArray[np.uint8], devices: Devices) -> None:
    """Demand that the devices of a polarity can be as large as the program wants them together.

    Raises:
        UserError: they cannot.
    """
    wanted = int(targets.astype(np.int64).reshape(*targets.shape[:-1], 2, 2).sum(axis=-1).max())
    largest = devices.settings.largest_code
    if wanted > largest:
        raise UserError(
            f"program of network {program.network}: its largest cell code is {wanted}: "
            f"{devices.settings.model} devices hold {largest} at most: compile it with devices="
        )


def deployed_layers(
    program: Program, chip: Chip, devices: Devices
) -> tuple[Program, list[PcmState]]:
    """Likewise for a network that goes through one tile, programmed anew for each layer.

    Returns:
        the program, and a state of one tile for each layer.
    """
    layers, states = [], []
    for index, layer in enumerate(program.layers):
        targets = layer.codes[np.newaxis]
        if devices.plain:
            layers.append(layer)
            states.append(pcm_state.ideal(chip, targets, devices.seed))
            continue
        driven = np.arange(chip.array.rows) < layer.config.rows
        inputs = Inputs(np.where(driven, INPUT_POWER, 0.0))
        state, (config,) = _corrected([layer.config], chip, devices, targets, [inputs], index)
        layers.append(replace(layer, config=config))
        states.append(state)
    return replace(program, layers=tuple(layers)), states


def _corrected(
    configs: Sequence[TileConfig],
    chip: Chip,
    devices: Devices,
    targets: NDArray[np.uint8],
    inputs: Sequence[Inputs],
    programming: int = 0,
) -> tuple[PcmState, list[TileConfig]]:
    """State of all tiles, and each tile's configuration with what the host corrects."""
    settings = devices.settings
    mode = configs[0].read_mode if configs else formats.ReadMode.FOUR_PHASE
    made = make.state(chip, targets, settings, devices.seed, devices.age, mode, inputs, programming)
    fresh = None
    if settings.compensate and settings.drift and devices.age > 0:
        fresh = make.state(chip, targets, settings, devices.seed, 0.0, mode, inputs, programming)
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


def seen(program: ChipProgram, chip: Chip, x: NDArray[np.int8]) -> list[Inputs]:
    """What the input vectors of each computing tile are like, for the inputs `x`.

    On ideal devices, so that it depends on the program and `x` alone.
    """
    tiles = computing(program)
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
    # Steps of one sequence, where there is a state.
    inputs = x[np.newaxis] if program.slices and x.ndim == 2 else x
    Machine(program, chip, state, tap).run(inputs)
    largest = formats.INT8_MAX**2
    return [
        Inputs(sums[tile.tile] / (max(counts[tile.tile], 1) * largest), not all(signs[tile.tile]))
        for tile in tiles
    ]
