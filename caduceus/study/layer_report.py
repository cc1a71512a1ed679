"""What a network's layers cost and lose on the chip, layer by layer: one report for all networks.

The golden model runs a few inputs once more, and keeps every tile's input vectors and results.
Saturated conversions are counted from the exact charges of these vectors, window by window and
without read noise: the golden model's compiled loops keep sums of windows only, so that they stay
as fast as they are. Outputs and their errors are those of the run, read noise included.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.data import Inputs
from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine, Outcome
from caduceus.golden.reference import adc
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.importers.reference import FloatReference
from caduceus.sim.compile import compiled
from caduceus.sim.golden import Golden
from caduceus.sim.inputs import count, shaped
from caduceus.sim.layer_figures import CHIP, HOST, LayerFigures, Quality, Worst, losses
from caduceus.sim.result import Result
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.graph import Geometry, Layer, Lstm, geometries
from caduceus.spec.network import Network
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing
from caduceus.study import metrics, placement

INPUTS = 16
"""Images or vectors that layers are reported for; of sequences, steps of the first one."""
_VECTORS = 1024
"""Vectors whose charges are computed at once: bounds memory."""


class OnDevices(Protocol):
    """A program on devices: a `Golden` or a `Simulation`."""

    program: Program
    chip: Chip
    state: PcmState


def with_layers(result: Result, network: Network, on: OnDevices, x: ArrayLike) -> Result:
    """A result with its layers, and their losses among its notes.

    Args:
        result: of `network`, with `x`.
        network: that `on` runs.
        on: what the result came from, or a `Golden` of the same program and devices.
        x: inputs, as `Golden.run` takes them.

    Raises:
        UserError: the inputs do not fit the program.
    """
    x = first(on.program, x)
    found = layers(network, on, x)
    notes = [*(result.figures.notes or ()), *losses(found)]
    return result.with_figures(layers=found, layer_inputs=count(on.program, x), notes=notes)


def first(program: Program, x: ArrayLike) -> NDArray[np.int8]:
    """The first `INPUTS` inputs, or steps of the first sequence, as the program takes them.

    Raises:
        UserError: the inputs do not fit the program.
    """
    x = shaped(program, x)
    return x[:1, :INPUTS] if program.sequences else x[:INPUTS]


def layers(network: Network, on: OnDevices, x: NDArray[np.int8]) -> list[LayerFigures]:
    """A row for each layer, and for each operator of the host at either end.

    Args:
        network: that `on` runs.
        on: the program on devices.
        x: int8 [n, input_pixels, input_length], or [n, steps, input_length].
    """
    graph, program = network.graph, on.program
    counted = _Saturated(on)
    machine = Machine(program, on.chip, on.state, counted.tap)
    outcome = machine.run(x, capture=True)
    real = x.astype(np.float32) * np.float32(graph.input.scale)
    if not network.recurrent:
        real = real.reshape(len(x), *graph.input.map)
    expected = FloatReference(network, threads=1).run(real)
    useful = placement.useful_shares(network.graph, program, on.chip)
    rows = []
    for node, source, geometry in zip(graph.nodes, graph.inputs, geometries(graph), strict=True):
        tiles = [tile for tile in computing(program) if tile.block.layer == node.name]
        if isinstance(node, Lstm):
            outputs = outcome.hidden
        else:
            outputs = _outputs(node, geometry, tiles, outcome, sequences=program.sequences)
        clipped = (np.abs(outputs.astype(np.int16)) == formats.INT8_MAX).reshape(-1, node.outputs)
        of_columns = clipped.mean(axis=0)
        worst = int(of_columns.argmax())
        reference = expected[node.name].astype(np.float64)
        rows.append(
            LayerFigures(
                layer=node.name,
                node=node.origin.node if node.origin else None,
                operator=node.origin.operator if node.origin else node.op,
                where=CHIP,
                tiles=len(tiles),
                useful=useful[node.name],
                input_scale=graph.scales[source],
                output_scale=node.output_scale,
                **counted.of(tiles),
                clipped=float(clipped.mean()),
                clipped_most=Worst(None, worst, float(of_columns[worst])),
                snr_db=snr_db(reference, outputs.reshape(reference.shape) * node.output_scale),
            )
        )
    hosted = {
        when: [
            LayerFigures(layer=each["op"], node=each["origin"], operator=each["op"], where=HOST)
            for each in program.host.named
            if each["when"] == when
        ]
        for when in ("before", "after")
    }
    return [*hosted["before"], *rows, *hosted["after"]]


def snr_db(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float | None:
    """Power of `expected` over that of its difference to `found`, in dB; None if either is 0."""
    signal = float(np.square(expected).sum())
    noise = float(np.square(expected - found).sum())
    return 10 * float(np.log10(signal / noise)) if signal and noise else None


class _Saturated:
    """Counts the saturated conversions of every tile while the golden model runs."""

    def __init__(self, on: OnDevices) -> None:
        self._state, self._limit = on.state, on.chip.adc.phase_limit
        self._tiles = {tile.tile: (index, tile) for index, tile in enumerate(computing(on.program))}
        self._crossbars: dict[int, Crossbar] = {}
        self._counts: dict[int, tuple[NDArray[np.int64], int]] = {}

    def tap(self, number: int, vectors: NDArray[np.int8]) -> None:
        """Count those of a tile's input vectors, int8 [n, rows]."""
        index, tile = self._tiles[number]
        mode, columns = tile.config.read_mode, tile.config.columns
        if number not in self._crossbars:
            self._crossbars[number] = Crossbar(self._state, index)
        found, done = self._counts.get(number, (np.zeros(columns, np.int64), 0))
        for start in range(0, len(vectors), _VECTORS):
            part = vectors[start : start + _VECTORS]
            charges = self._crossbars[number].charges(part, mode, columns)
            reached = adc.saturated(charges, self._state, index, mode, self._limit)
            found += reached.sum(axis=(0, 1))
        windows = len(formats.PHASES[mode])
        self._counts[number] = found, done + windows * len(vectors)

    def of(self, tiles: list[TileProgram]) -> Mapping[str, object]:
        """Figures of a layer with these tiles; keys as of `LayerFigures`."""
        conversions = saturated = 0
        most = None
        for tile in tiles:
            found, each = self._counts[tile.tile]
            conversions += each * len(found)
            saturated += int(found.sum())
            column = int(found.argmax())
            share = int(found[column]) / each
            if most is None or share > most.share:
                most = Worst(tile.tile, column, share)
        return {
            "conversions": conversions,
            "saturated": saturated,
            "saturated_share": saturated / conversions,
            "saturated_most": most,
        }


def _outputs(
    node: Layer, geometry: Geometry, tiles: list[TileProgram], outcome: Outcome, *, sequences: bool
) -> NDArray[np.int8]:
    """A layer's results before its pooling.

    Returns:
        int8 [n, height, width, outputs]; of sequences [n, steps, outputs].
    """
    # Tiles before a chain's last one send partial sums in binary16, or INT8 sums for it to add to.
    last = max(tile.block.rows for tile in tiles)
    final = [tile for tile in tiles if tile.block.rows == last]
    widths = {tile.block.columns: tile.config.columns for tile in final}
    starts = {block: sum(w for b, w in widths.items() if b < block) for block in widths}
    results = {tile.tile: outcome.tiles[tile.tile].results for tile in final}
    inputs = len(next(iter(results.values())))
    shape = geometry.output[:2]
    if sequences:
        shape = (1, next(iter(results.values())).shape[1])
    made = np.zeros((inputs, *shape, node.outputs), np.int8)
    for tile in final:
        window = tile.config.window
        start = starts[tile.block.columns]
        columns = np.arange(start, start + tile.config.columns)
        across = np.arange(shape[1]) if window is None else np.array(window.columns)
        values = results[tile.tile].reshape(inputs, shape[0], len(across), -1)
        made[:, :, across[:, np.newaxis], columns] = values
    return made[:, 0] if sequences else made


def quality(
    network: Network, on: OnDevices, devices: Devices, given: Inputs, value: float
) -> Quality:
    """The metric of a run at every stage: floating point on the whole test set.

    Args:
        network: that was run.
        on: what it ran on.
        devices: of the run.
        given: its inputs, and what is expected of their outputs.
        value: the run's metric.
    """
    name, exact = metrics.metric_of(network), metrics.float_metric(network)
    if devices.plain:
        return Quality(name, exact, value, None)
    program = compiled(network, on.chip, on.program.read_mode)
    ideal = Golden(program, chip=on.chip).run(program.vectors(given.x))
    return Quality(name, exact, metrics.value(program, given, ideal.outputs), value)
