"""A recurrent network compiled to run on a whole chip, hidden and cell state included.

A unit's four gates are neighbouring columns of the array, in the order I, A, F, O (published).
What goes where is in `compiler.recurrent_plan`. Unlike on the published chip, the hidden state
stays on chip: see `compiler.recurrent_streams`.
"""

import numpy as np
from numpy.typing import NDArray

from compiler import deadlock, quantise
from compiler.assemble import Content, tile_programs
from compiler.recurrent_plan import Block, Plan, padded, plan
from compiler.recurrent_streams import Streams
from spec.chip import Chip
from spec.fabric import SOUTH
from spec.formats import ReadMode
from spec.gdpu import GATES
from spec.program import (
    ChipProgram,
    GdpuConfig,
    InputPart,
    SliceProgram,
    TileConfig,
    chip_digest,
)
from spec.recurrent import RecurrentNetwork, RecurrentWeights

_SIGMOID = 0.5
"""sigmoid(x) = 1/2 + 1/2 tanh(x/2): the tanh of such a gate is given half its pre-activation."""


def compile_recurrent(
    network: RecurrentNetwork, weights: RecurrentWeights, chip: Chip, read_mode: ReadMode
) -> ChipProgram:
    """Map `network` to `chip`; arguments and errors as `planned`."""
    return planned(network, weights, chip, read_mode)[1]


def planned(
    network: RecurrentNetwork, weights: RecurrentWeights, chip: Chip, read_mode: ReadMode
) -> tuple[Plan, ChipProgram]:
    """Where `network` goes on `chip`, and the program.

    Raises:
        UserError: the network does not fit the chip, a constant does not fit binary16, or the
            program could deadlock.
    """
    where = plan(network, chip)
    streams = Streams(where, chip)
    contents = {
        tile: _Content(network, weights, where, block).compiled(chip, read_mode)
        for tile, block in where.tiles.items()
    }
    program = ChipProgram(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network=network.name,
        read_mode=read_mode,
        tiles=tile_programs(contents, streams.routes, streams.results),
        inputs=tuple(streams.inputs),
        outputs=tuple(streams.outputs),
        input_length=network.input.size,
        output_length=network.outputs,
        slices=tuple(
            SliceProgram(
                number,
                _gdpu(network, len(where.units[number])),
                (SOUTH,),
                *streams.hidden[number],
            )
            for number in range(len(where.units))
        ),
    )
    deadlock.check(program, chip)
    return where, program


def _gdpu(network: RecurrentNetwork, units: int) -> GdpuConfig:
    """What a slice is told: pre-activations in real units, and the hidden state in INT8 steps."""
    scales = np.array(network.lstm.gate_scales)
    factors = np.array([1.0 if gate == "a" else _SIGMOID for gate in GATES])
    what = f"network {network.name}: lstm"
    output = quantise.binary16(np.array(1 / network.lstm.output_scale), f"{what}: output_scale")
    return GdpuConfig(
        units=units,
        input_scale=tuple(
            int(bits) for bits in quantise.binary16(scales * factors, f"{what}: gate_scale")
        ),
        input_offset=(0,) * len(GATES),
        output_scale=int(output),
        output_offset=0,
    )


class _Content:
    """What a tile is told: its matrix in codes, and how its counts become INT8 steps."""

    def __init__(
        self, network: RecurrentNetwork, weights: RecurrentWeights, plan: Plan, block: Block
    ) -> None:
        self._network, self._weights, self._plan, self._block = network, weights, plan, block

    def compiled(self, chip: Chip, read_mode: ReadMode) -> Content:
        """Configuration and device codes for `chip`.

        Raises:
            UserError: a constant does not fit binary16.
        """
        block = self._block
        matrix, steps = self._matrix()
        columns, output_scale, bias = self._columns()
        parts, rows = self._parts(chip)
        cells = np.zeros((rows, len(columns)), dtype=np.int16)
        codes = quantise.cell_codes(matrix, steps.gmax, steps.largest)[:, columns]
        for part, source in zip(parts, self._sources(), strict=True):
            cells[part.start : part.start + part.length] = codes[source.start : source.stop]
        first = self._first()
        binary16 = chip.link.partial_sums == "binary16"
        config = TileConfig(
            read_mode=read_mode,
            rows=rows,
            columns=len(columns),
            constants=quantise.column_constants(
                quantise.Steps(
                    steps.name, steps.gmax, steps.largest, steps.input_scale, output_scale
                ),
                bias[columns] if block.last else np.zeros(len(columns), dtype=np.float32),
                chip,
            ),
            rx_enable=not first,
            rx_binary16=binary16 and not first,
            tx_binary16=binary16 and not block.last,
            parts=parts if len(parts) > 1 else (),
        )
        return config, quantise.device_codes(cells)

    def _first(self) -> bool:
        """Whether the tile begins its chain."""
        chain = self._plan.chain(self._block.layer, self._block.columns)
        return self._plan.tiles[chain[0]] == self._block

    def _matrix(self) -> tuple[NDArray[np.float32], quantise.Steps]:
        """The whole matrix of which the tile has a block, and its scales (no output scale yet)."""
        network, weights, block = self._network, self._weights, self._block
        lstm, step = network.lstm, network.input.scale
        if block.layer == "dense":
            matrix, gmax, scale = weights.dense, network.dense.gmax, lstm.output_scale
        elif not block.inputs:
            matrix, gmax, scale = weights.hidden, lstm.hidden_gmax, lstm.output_scale
        elif not block.slices:
            matrix, gmax, scale = weights.input, lstm.input_gmax, step
        else:
            # Input and hidden state have steps of their own: the rows are scaled to one of them.
            rows = weights.input * np.float32(step / lstm.output_scale)
            matrix = np.concatenate([rows, weights.hidden])
            gmax, scale = lstm.hidden_gmax, lstm.output_scale
        largest = quantise.largest_weight(matrix)
        return matrix, quantise.Steps(f"{block.layer} of {network.name}", gmax, largest, scale, 1.0)

    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
        """Columns of the matrix, in the tile's order, their output scales, and all biases."""
        network, block = self._network, self._block
        if block.layer == "dense":
            columns = np.array(self._plan.outputs[block.columns])
            scales = np.full(len(columns), network.dense.output_scale)
            return columns, scales, self._weights.dense_bias
        units = np.array(self._plan.units[block.columns])
        gates = np.arange(len(GATES))
        columns = (gates * network.lstm.hidden + units[:, np.newaxis]).reshape(-1)
        return columns, np.tile(network.lstm.gate_scales, len(units)), self._weights.bias

    def _sources(self) -> list[range]:
        """Rows of the matrix that each part of the input vector multiplies."""
        block = self._block
        shift = self._network.input.size if block.inputs and block.slices else 0
        units = (self._plan.units[number] for number in block.slices)
        hidden = [range(each.start + shift, each.stop + shift) for each in units]
        return [block.inputs, *hidden] if block.inputs else hidden

    def _parts(self, chip: Chip) -> tuple[tuple[InputPart, ...], int]:
        """Where each part goes in the input vector, and the vector's length."""
        parts, end = [], 0
        for source in self._sources():
            parts.append(InputPart(end, len(source)))
            end += padded(len(source), chip)
        return tuple(parts), parts[-1].start + parts[-1].length
