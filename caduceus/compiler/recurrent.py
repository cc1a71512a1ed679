"""A recurrent network compiled to run on a whole chip, hidden and cell state included.

A unit's four gates are neighbouring columns of the array, in the order I, A, F, O (published).
What goes where is in `compiler.recurrent_plan`. Unlike on the published chip, the hidden state
stays on chip: see `caduceus.compiler.recurrent_streams`.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler import deadlock, quantise
from caduceus.compiler.assemble import tile_programs
from caduceus.compiler.content import Content, Matrix, Place, Scaling, content, layer_matrix
from caduceus.compiler.lower import Recurrent, recurrent
from caduceus.compiler.recurrent_plan import MatrixBlock, Plan, padded, plan
from caduceus.compiler.recurrent_streams import Streams
from caduceus.spec import program
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import SOUTH
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import GATES
from caduceus.spec.network import Network
from caduceus.spec.program import GdpuConfig, InputPart, Program, SliceProgram, chip_digest

_SIGMOID = 0.5
"""sigmoid(x) = 1/2 + 1/2 tanh(x/2): the tanh of such a gate is given half its pre-activation."""


def compile_recurrent(
    network: Network, chip: Chip, read_mode: ReadMode, scaling: Scaling
) -> Program:
    """Map `network` to `chip`.

    Args:
        network: an LSTM, with or without a dense layer after it.
        chip: the chip description.
        read_mode: of every tile.
        scaling: how weights become codes.

    Raises:
        UserError: the network has other nodes, it does not fit the chip, a constant does not fit
            binary16, or the program could deadlock.
    """
    where = plan(network.graph, chip)
    streams = Streams(where, chip)
    parts = recurrent(network.graph)
    matrices = _Matrices(parts, network, scaling)
    contents = {
        tile: _content(matrices, where, block, chip, read_mode)
        for tile, block in where.tiles.items()
    }
    compiled = Program(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network=network.name,
        read_mode=read_mode,
        tiles=tile_programs(contents, streams.routes, streams.results, _blocks(parts, where)),
        inputs=tuple(streams.inputs),
        outputs=tuple(streams.outputs),
        input_length=parts.size,
        output_length=network.graph.outputs,
        slices=tuple(
            SliceProgram(
                number,
                _gdpu(parts, len(where.units[number])),
                (SOUTH,),
                *streams.hidden[number],
            )
            for number in range(len(where.units))
        ),
    )
    deadlock.check(compiled, chip)
    return compiled


def _blocks(network: Recurrent, where: Plan) -> dict[int, program.Block]:
    """The tiles' blocks, by the network's names."""
    found = {}
    for tile, block in where.tiles.items():
        name = network.dense.name if block.layer == "dense" else network.lstm.name
        chain = where.chain(block.layer, block.columns)
        found[tile] = program.Block(name, chain.index(tile), block.columns)
    return found


def _gdpu(network: Recurrent, units: int) -> GdpuConfig:
    """Constants of a slice: pre-activations in real units, the hidden state in INT8 steps."""
    scales = np.array(network.lstm.gate_scales)
    factors = np.array([1.0 if gate == "a" else _SIGMOID for gate in GATES])
    what = f"network {network.name}: layer {network.lstm.name}"
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


def matrices(network: Network, chip: Chip, scaling: Scaling) -> list[Matrix]:
    """The LSTM's matrix, or two where input and hidden state are on tiles of their own.

    Then the dense layer's, if there is one.
    """
    found = _Matrices(recurrent(network.graph), network, scaling)
    blocks = plan(network.graph, chip).tiles.values()
    return list({id(matrix): matrix for matrix in map(found.of, blocks)}.values())


class _Matrices:
    """The matrices of a network; tiles hold blocks of them."""

    def __init__(self, parts: Recurrent, network: Network, scaling: Scaling) -> None:
        self._parts, self._network, self._scaling = parts, network, scaling
        self._made: dict[tuple[str, bool, bool], Matrix] = {}

    def of(self, block: MatrixBlock) -> Matrix:
        """The whole matrix of a tile's block."""
        kind = block.layer, bool(block.inputs), bool(block.slices)
        if kind not in self._made:
            self._made[kind] = self._matrix(*kind)
        return self._made[kind]

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return self._parts.lstm.hidden

    def rows_before(self, block: MatrixBlock) -> int:
        """Rows of the block's matrix before those of the hidden state."""
        return self._parts.size if block.inputs and block.slices else 0

    def _matrix(self, layer: str, inputs: bool, hidden: bool) -> Matrix:
        lstm, dense = self._parts.lstm, self._parts.dense
        if layer == "dense":
            return layer_matrix(self._network, dense, lstm.output_scale, self._scaling)
        where = f"network {self._parts.name}: layer {lstm.name}"
        weights = self._network.weights[lstm.name]
        if not inputs:
            matrix, scale = weights.hidden, lstm.output_scale
            code = self._scaling.code(lstm.hidden_gmax, weights.hidden_gmax)
            where += ", weights of the hidden state"
        elif not hidden:
            matrix, scale = weights.input, self._parts.scale
            code = self._scaling.code(lstm.input_gmax, weights.input_gmax)
            where += ", weights of the input"
        else:
            # Input and hidden state have steps of their own: the rows are scaled to one of them.
            rows = weights.input * np.float32(self._parts.scale / lstm.output_scale)
            matrix = np.concatenate([rows, weights.hidden])
            scale = lstm.output_scale
            code = self._scaling.code(lstm.hidden_gmax, weights.hidden_gmax)
        steps = np.repeat(lstm.gate_scales, lstm.hidden)
        per_core = self._scaling.per_core
        return Matrix(where, matrix, weights.bias, code, scale, steps, per_core)


def _content(
    matrices: _Matrices, plan: Plan, block: MatrixBlock, chip: Chip, read_mode: ReadMode
) -> Content:
    """A tile's matrix in codes, and the constants that turn its counts into INT8 steps."""
    shift = matrices.rows_before(block)
    units = (plan.units[number] for number in block.slices)
    sources = [range(each.start + shift, each.stop + shift) for each in units]
    if block.inputs:
        sources.insert(0, block.inputs)
    parts, end = [], 0
    for source in sources:
        parts.append(InputPart(end, len(source)))
        end += padded(len(source), chip)
    first = plan.tiles[plan.chain(block.layer, block.columns)[0]] == block
    place = Place(_columns(matrices, plan, block), sources, first, block.last, parts)
    packets = tuple(parts) if len(parts) > 1 else ()
    return content(matrices.of(block), place, chip, read_mode, parts=packets)


def _columns(matrices: _Matrices, plan: Plan, block: MatrixBlock) -> NDArray[np.intp]:
    """Columns of the matrix, in the tile's order: a unit's gates side by side."""
    if block.layer == "dense":
        return np.array(plan.outputs[block.columns])
    units = np.array(plan.units[block.columns])
    return (np.arange(len(GATES)) * matrices.hidden + units[:, np.newaxis]).reshape(-1)
