"""Recurrent networks on a chip: what goes where, that it computes the network, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from golden_reference import onnx_lstm
from recurrent_networks import TALL, TALL_BINARY16, random_network, sized

from caduceus.compiler import deadlock
from caduceus.compiler.network import compile_network
from caduceus.compiler.recurrent_plan import plan as planned
from caduceus.golden import machine
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import PARTS
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program_codes import computing, device_codes

TINY, HERMES, WIDE = (Chip.find(name) for name in ("tiny", "hermes", "hermes_wide"))
SHORT = sized(
    "tiny",
    grid={"rows": 6, "columns": 4},
    array={"rows": 4, "columns": 32},
    gdpu={"slices": 4, "units": 8},
    host={"inputs": ((0, 0), (0, 1), (0, 2), (0, 3)), "outputs": ((2, 3), (3, 3), (4, 3), (5, 3))},
    adjacency={"horizontal": (1, 2), "vertical": (1, 2)},
    buffers={"gather": 4},
)
"""Arrays with fewer rows than a GDPU slice has units."""
SHARED, APART = (8, 8, 16), (24, 16, 5)
"""Hidden units, inputs and outputs: all rows in one tile, or in three."""


def _run(shape: tuple[int, int, int], description: Chip, mode: ReadMode, x: np.ndarray):
    network = random_network(*shape)
    program = compile_network(network, description, mode)
    state = pcm_state.ideal(description, device_codes(program, description))
    return network, machine.run(program, description, state, x)


def test_the_published_network_is_where_it_was_published() -> None:
    network = Network.find("lstm_ptb")
    plan = planned(network.graph, HERMES)
    program = compile_network(network, HERMES, ReadMode.FOUR_PHASE)
    assert len(computing(program)) == 26
    assert [len(units) for units in plan.units] == [63] * 8
    assert [len(rows) for rows in plan.inputs] == [128]
    assert plan.groups == (range(4), range(4, 8))
    # Rows 2 to 4 of the paper, counted from 1, and two tiles for the dense layer.
    gates = sorted(tile for tile, block in plan.tiles.items() if block.layer == "gates")
    assert gates == list(range(8, 32))
    assert sum(block.layer == "dense" for block in plan.tiles.values()) == 2
    for tile in computing(program):
        block = plan.tiles[tile.tile]
        if block.layer == "gates":
            assert tile.config.columns == 252
            assert tile.config.rows == (128 if block.inputs else 252)


def test_the_captioning_shape_fills_half_of_the_chip() -> None:
    network = Network.find("lstm_504")
    plan = planned(network.graph, HERMES)
    program = compile_network(network, HERMES, ReadMode.ONE_PHASE)
    assert sorted(plan.tiles) == [tile.tile for tile in computing(program)] == list(range(32))


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize(
    ("shape", "description"),
    [
        (SHARED, TINY), ((4, 3, 2), TINY), ((7, 2, 0), TINY), (APART, TALL), ((22, 9, 0), TALL),
        ((13, 16, 20), TALL), ((16, 16, 5), TALL_BINARY16), ((16, 8, 0), TALL_BINARY16),
        ((8, 4, 0), SHORT), ((7, 3, 6), SHORT),
    ],
)  # fmt: skip
def test_a_compiled_network_computes_the_real_one(shape, description: Chip, mode) -> None:
    """Against ONNX Runtime's LSTM, in steps of the INT8 hidden state and of the logits."""
    _, size, outputs = shape
    x = np.random.default_rng(4).integers(-127, 128, (6, 5, size), dtype=np.int8)
    network, got = _run(shape, description, mode, x)
    weights, (lstm, *rest) = network.weights["lstm"], network.graph.nodes
    real = onnx_lstm(
        x * np.float32(network.graph.input.scale), weights.input, weights.hidden, weights.bias
    )
    step = lstm.output_scale
    # In 1-phase reads a count stands for both signs, and small sums round coarsely.
    allowed = 0.035 if mode == ReadMode.FOUR_PHASE else 0.045
    error = got.hidden * step - real
    assert np.sqrt(np.mean(error**2)) < allowed
    assert np.abs(real).max() > 0.4
    if outputs:
        logits = real @ network.weights["dense"].weight + network.weights["dense"].bias
        difference = got.outputs * rest[0].output_scale - logits
        assert np.sqrt(np.mean(difference**2)) < 0.06
        assert got.outputs.shape == (6, 5, outputs)
    else:
        np.testing.assert_array_equal(got.outputs, got.hidden)


def test_every_unit_of_a_part_is_where_the_matrix_has_it() -> None:
    """One hidden unit at a time reaches each gate with its own weight alone."""
    network = random_network(16, 16, 5)
    plan = planned(network.graph, TALL_BINARY16)
    program = compile_network(network, TALL_BINARY16, ReadMode.FOUR_PHASE)
    tiles = {tile.tile: tile for tile in computing(program)}
    weights = network.weights["lstm"]
    scale = network.graph.nodes[0].hidden_gmax / np.abs(weights.hidden).max(axis=0)
    for number, block in plan.tiles.items():
        if block.layer != "gates" or not block.slices:
            continue
        tile = tiles[number]
        cells = tile.codes[..., :2].astype(int).sum(-1) - tile.codes[..., 2:].astype(int).sum(-1)
        for part, slice_ in zip(tile.config.input_parts, block.slices, strict=True):
            assert part.start % TALL_BINARY16.link.units == 0
            for row, unit in enumerate(plan.units[slice_]):
                for place, column in enumerate(plan.units[block.columns]):
                    for gate in range(4):
                        at = gate * 16 + column
                        code = np.rint(weights.hidden[unit, at] * scale[at])
                        assert cells[part.start + row, 4 * place + gate] == code
        used = sum(part.length for part in tile.config.input_parts)
        assert np.count_nonzero(cells.any(axis=1)) == used


@pytest.mark.parametrize("description", [TINY, TALL, TALL_BINARY16, HERMES, WIDE])
def test_random_shapes_compile_without_a_deadlock(description: Chip) -> None:
    """Up to a few shapes of every chip; what does not fit is refused, nothing else."""
    random = np.random.default_rng(7)
    compiled = 0
    most = description.gdpu.slices * description.gdpu.units
    for _ in range(6 if most > 100 else 40):
        hidden = int(random.integers(1, most + 1))
        size = int(random.integers(1, 2 * description.array.rows))
        outputs = int(random.choice([0, random.integers(1, 2 * description.array.columns)]))
        network = random_network(hidden, size, outputs)
        try:
            program = compile_network(network, description, ReadMode.ONE_PHASE)
        except deadlock.Deadlock:
            raise
        except UserError as error:
            assert f"chip {description.name}" in str(error)
            continue
        compiled += 1
        assert all(len(tile.config.input_parts) <= PARTS for tile in computing(program))
    assert compiled >= 3


def _odd_chip(random: np.random.Generator) -> Chip:
    """A chip with arrays of any proportions, as far as the schema goes."""
    rows, columns = (int(random.integers(2, 7)) for _ in range(2))
    units = int(random.choice([1, 1, 2, 4]))
    tall = units * int(random.integers(-(-4 // units), 30 // units))
    wide = int(random.integers(4, 40))
    if random.random() < 0.3:
        tall, wide = 4, 60
    tiles = [(row, column) for row in range(rows) for column in range(columns)]
    order = random.permutation(len(tiles))
    return sized(
        "tiny",
        grid={"rows": rows, "columns": columns},
        array={"rows": tall, "columns": wide},
        gdpu={"slices": columns, "units": int(random.integers(1, wide // 4 + 1))},
        host={
            "inputs": tuple(tiles[index] for index in order[:2]),
            "outputs": tuple(tiles[index] for index in order[-2:]),
        },
        ldpu={"lanes": 1},
        link={"units": units, "partial_sums": str(random.choice(["int8", "binary16"]))},
        buffers={"activation": 512, "gather": units, "rx": 128, "pool": 64},
    )


@pytest.mark.parametrize(
    "count", [40, pytest.param(400, marks=pytest.mark.regress)], ids=["some", "many"]
)
def test_any_array_gives_a_program_or_a_refusal(count: int) -> None:
    """Tall, flat and tiny arrays; what compiles runs."""
    random = np.random.default_rng(12)
    ran = short = 0
    for _ in range(count):
        description = _odd_chip(random)
        units, rows = description.gdpu.units, description.array.rows
        most = description.gdpu.slices * min(units, rows)
        hidden = int(random.integers(1, most + 2))
        size = int(random.integers(1, rows + 1))
        network = random_network(hidden, size, int(random.choice([0, 3])))
        try:
            program = compile_network(network, description, ReadMode.FOUR_PHASE)
        except UserError:
            continue
        state = pcm_state.ideal(description, device_codes(program, description))
        x = random.integers(-127, 128, (2, 3, size), dtype=np.int8)
        assert machine.run(program, description, state, x).hidden.shape == (2, 3, hidden)
        ran, short = ran + 1, short + (rows < units)
    assert ran >= count // 8 and short


@pytest.mark.parametrize(
    ("shape", "description", "sentence"),
    [
        (
            (9, 4, 0),
            TINY,
            "network random: layer lstm: hidden: got 9, expected at most 8 on chip tiny",
        ),
        ((8, 9, 0), TINY, "layer lstm: takes 2 tiles above every GDPU slice: chip tiny has 1"),
        ((4, 4, 40), TINY, "layer dense: takes 3 tiles below a GDPU slice: chip tiny has 1"),
        ((24, 40, 0), TALL, "takes 5 tiles above every GDPU slice: chip tiny has 3"),
    ],
)
def test_what_does_not_fit_is_refused(shape, description: Chip, sentence: str) -> None:
    network = random_network(*shape)
    with pytest.raises(UserError, match=sentence):
        compile_network(network, description, ReadMode.ONE_PHASE)


def test_a_scale_beyond_binary16_is_refused() -> None:
    network = random_network(4, 4, 0)
    lstm = network.graph.nodes[0].model_copy(update={"output_scale": 1e-6})
    graph = network.graph.model_copy(update={"nodes": (lstm,)})
    with pytest.raises(UserError, match=r"lstm: output_scale: got 1e\+06, expected"):
        compile_network(replace(network, graph=graph), TINY, ReadMode.ONE_PHASE)


def test_the_image_holds_all_of_it(tmp_path) -> None:
    program = compile_network(random_network(*APART), TALL, ReadMode.ONE_PHASE)
    program_file.save(program, tmp_path / "a.img")
    loaded = program_file.load(tmp_path / "a.img", TALL)
    assert loaded.slices == program.slices
    for one, other in zip(loaded.tiles, program.tiles, strict=True):
        assert one.routes == other.routes
        assert one.config is None or one.config.parts == other.config.parts


def test_a_wide_chip_still_compiles_what_a_narrow_one_does() -> None:
    wide = sized("tiny", grid={"rows": 4, "columns": 2}, host={"outputs": ((2, 1), (3, 1))})
    for shape in (SHARED, (8, 16, 0), (3, 3, 3)):
        compile_network(random_network(*shape), wide, ReadMode.ONE_PHASE)
