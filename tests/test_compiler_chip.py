"""Layers on many tiles: blocks, placement, routes, and what could deadlock."""

import numpy as np
import pytest
from click.testing import CliRunner
from fabric_model import runs_through

from caduceus.cli.main import cli
from caduceus.compiler import quantise
from caduceus.compiler.lower import Way, way
from caduceus.compiler.network import compile_network
from caduceus.compiler.place import place
from caduceus.compiler.route import Router
from caduceus.compiler.split import split
from caduceus.data import pictures
from caduceus.golden.fast.tile import Tile
from caduceus.golden.machine import run
from caduceus.golden.reference import host
from caduceus.spec import chip, fabric, formats, pcm_state, program_file
from caduceus.spec.chip import Array, Chip, Host
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph, Input, Layer, geometries
from caduceus.spec.network import Network, Weights
from caduceus.spec.program_codes import device_codes

HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")
SMALL_ARRAYS = HERMES.model_copy(update={"array": Array(rows=16, columns=16)})
"""The published grid, with little to compute."""


def dense(rows: int, outputs: int, seed: int = 0) -> Network:
    random = np.random.default_rng(seed)
    layer = Layer(name="dense", op="dense", outputs=outputs, relu=True, gmax=510, output_scale=0.1)
    graph = Graph(
        format=2, name="made", dataset="random", weights="none", nodes=(layer,),
        input=Input(shape=(rows,), scale=1 / 127),
    )  # fmt: skip
    weight = random.normal(size=(rows, outputs)).astype(np.float32)
    bias = random.normal(size=outputs).astype(np.float32)
    return Network(graph, {"dense": Weights(weight, bias)})


# --- split and place -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "columns", "description", "heights", "widths"),
    [
        (2016, 224, HERMES, [252] * 8, [224]),
        (32, 16, TINY, [16] * 2, [16]),
        (256, 256, HERMES, [256], [256]),
        (257, 1, HERMES, [129, 128], [1]),
        (17, 33, TINY, [9, 8], [11] * 3),
        # A packet is no longer than 256, whatever the array.
        (600, 300, HERMES.model_copy(update={"array": Array(rows=1024, columns=1024)}),
         [200] * 3, [150] * 2),
    ],
)  # fmt: skip
def test_the_fewest_equal_blocks(rows, columns, description, heights, widths):
    parts = split(rows, columns, description)
    assert [len(part) for part in parts.rows] == heights
    assert [len(part) for part in parts.columns] == widths


def test_every_size_is_covered_once():
    for size in range(1, 1025):
        parts = split(size, size, TINY)
        assert [value for part in parts.rows for value in part] == list(range(size))
        assert parts.rows == parts.columns
        assert len(parts.rows) == -(-size // 16) and max(map(len, parts.rows)) <= 16


def test_blocks_that_fit_the_grid_keep_its_shape():
    assert place(3, 2, HERMES) == {(k, j): 8 * j + k for k in range(3) for j in range(2)}


@pytest.mark.parametrize(("row_blocks", "column_blocks"), [(5, 12), (64, 1), (1, 64), (9, 7)])
def test_other_blocks_follow_a_snake(row_blocks, column_blocks):
    tiles = place(row_blocks, column_blocks, HERMES)
    assert len(set(tiles.values())) == row_blocks * column_blocks
    linked = {(tile, other) for tile, _, other in fabric.links(HERMES)}
    for k, j in tiles:
        assert k == 0 or (tiles[k - 1, j], tiles[k, j]) in linked


@pytest.mark.parametrize("side", ["west", "south", "east"])
@pytest.mark.parametrize(("row_blocks", "column_blocks"), [(3, 4), (8, 1), (12, 1), (8, 8)])
def test_the_placement_turns_to_where_the_host_is(side, row_blocks, column_blocks):
    edge = {
        "west": [(k, 0) for k in range(8)],
        "south": [(7, k) for k in range(8)],
        "east": [(k, 7) for k in range(8)],
    }
    away = {"west": [(0, k) for k in range(8)], "south": edge["east"], "east": edge["south"]}
    description = SMALL_ARRAYS.model_copy(
        update={"host": Host(inputs=tuple(edge[side]), outputs=tuple(away[side]))}
    )
    made = dense(16 * row_blocks, 16 * column_blocks)
    program = compile_network(made, description, ReadMode.ONE_PHASE)
    assert all(runs_through(program, description, 3, seed, True, buffers=1) for seed in range(3))


def test_too_many_blocks_are_refused():
    with pytest.raises(UserError, match=r"made: layer dense takes 6 tiles .*: chip tiny has 4$"):
        compile_network(dense(48, 32), TINY, ReadMode.ONE_PHASE)


# --- routes --------------------------------------------------------------------------------------


def follow(routes, description, source, stream):
    """Tiles that a stream enters, in order, and where it is delivered."""
    directions = {direction.name: direction for direction in fabric.directions(description)}
    entered, delivered, waiting = [], [], [source]
    while waiting:
        tile = waiting.pop()
        entered.append(tile)
        assert len(entered) <= description.tiles
        for sink in routes[tile, stream]:
            if sink in directions:
                waiting.append(fabric.neighbour(description, tile, directions[sink]))
                assert waiting[-1] is not None
            else:
                delivered.append((tile, sink))
    return entered, delivered


@pytest.mark.parametrize("description", [HERMES, TINY], ids=lambda d: d.name)
def test_random_multicasts_are_connected_trees(description):
    random = np.random.default_rng(1)
    for _ in range(200):
        router = Router(description)
        for group in range(3):
            source = int(random.integers(description.tiles))
            count = int(random.integers(1, description.tiles + 1))
            tiles = random.choice(description.tiles, count, replace=False).tolist()
            wanted = [(tile, fabric.INPUT) for tile in tiles]
            sinks = router.tree(source, wanted, group)
            routes = {(tile, group): names for tile, names in sinks.items()}
            entered, delivered = follow(routes, description, source, group)
            assert sorted(entered) == sorted(set(entered)) == sorted(sinks)
            assert sorted(delivered) == sorted(wanted)


def test_a_route_is_a_shortest_path():
    # Seven columns east by links of 2 and 1, one row south.
    assert len(Router(HERMES).tree(0, [(15, fabric.HOST)], "a")) == 1 + 4 + 1


def test_streams_of_other_groups_go_another_way():
    router = Router(TINY)
    assert router.tree(0, [(1, fabric.RX)], "a") == {0: {"east_1"}, 1: {"rx"}}
    assert router.tree(0, [(1, fabric.RX)], "a") == {0: {"east_1"}, 1: {"rx"}}
    assert router.tree(0, [(1, fabric.RX)], "b").keys() == {0, 2, 3, 1}


def test_no_way_and_no_stream_left_are_reported():
    apart = TINY.model_copy(update={"adjacency": chip.Adjacency(horizontal=(1,), vertical=())})
    with pytest.raises(UserError, match=r"^chip tiny has no links from tile 0 to tile 2: expected"):
        Router(apart).tree(0, [(2, fabric.INPUT)], "a")
    with pytest.raises(UserError, match=r"^chip tiny has no links between tile 2 and the host's"):
        compile_network(dense(20, 20), apart, ReadMode.ONE_PHASE)
    router = Router(TINY)
    assert [router.stream() for _ in range(256)] == list(range(256))
    with pytest.raises(UserError, match=r"^chip tiny: the program needs more than 256 streams"):
        router.stream()


# --- whole layers --------------------------------------------------------------------------------


def check_layer(rows, outputs, description, seed):
    """Put the matrix together again from what the program sends where."""
    made = dense(rows, outputs, seed)
    weights = made.weights
    program = compile_network(made, description, ReadMode.FOUR_PHASE)
    routes = {(tile.tile, r.stream): r.sinks for tile in program.tiles for r in tile.routes}
    tiles = {tile.tile: tile for tile in program.tiles if tile.config is not None}
    blocks = -(-rows // description.array.rows) * -(-outputs // description.array.columns)
    assert len(tiles) == blocks
    assert len(routes) == sum(len(tile.routes) for tile in program.tiles)

    slices, previous, leaving = {}, {}, {}
    edges = fabric.host_tiles(description, "inputs")
    sources = [(stream.stream, edges[stream.port], stream) for stream in program.inputs]
    sources += [(tile.tx_stream, tile.tile, tile) for tile in tiles.values()]
    assert len({stream for stream, _, _ in sources}) == len(sources)
    for stream, source, what in sources:
        entered, delivered = follow(routes, description, source, stream)
        assert len(entered) == len(set(entered))
        for tile, sink in delivered:
            found = {"input": slices, "rx": previous, "host": leaving}[sink]
            key = stream if sink == "host" else tile
            assert key not in found
            found[key] = tile if sink == "host" else what

    cover = np.zeros((rows, outputs), dtype=int)
    codes = np.zeros((rows, outputs, 4), dtype=np.uint8)
    by_result = {tile.tx_stream: tile for tile in tiles.values()}
    outside = fabric.host_tiles(description, "outputs")
    assert leaving == {stream.stream: outside[stream.port] for stream in program.outputs}
    for stream in program.outputs:
        tile, columns = by_result[stream.stream], slice(stream.start, stream.start + stream.length)
        assert tile.config.relu_2
        bias = weights["dense"].bias[columns] / 0.1
        got = tile.config.constants[:, 4].view(np.float16)
        assert np.allclose(got, bias, rtol=1e-3, atol=1e-4)
        while tile is not None:
            part = slices[tile.tile]
            here = slice(part.start, part.start + part.length), columns
            cover[here] += 1
            codes[here] = tile.codes
            assert tile.config.rx_enable == (tile.tile in previous)
            tile = previous.get(tile.tile)
            assert tile is None or not (tile.config.relu_2 or tile.config.constants[:, 4].any())
    assert (cover == 1).all()
    weight = weights["dense"].weight
    cells = quantise.cell_codes(weight, 510, quantise.largest_weights(weight, per_core=False))
    assert np.array_equal(codes, quantise.device_codes(cells))
    return program


def sizes(description, count, seed):
    """Random sizes of layers that the chip has tiles for."""
    random = np.random.default_rng(seed)
    while count:
        row_blocks = int(np.exp(random.uniform(0, np.log(description.tiles + 1))))
        column_blocks = int(random.integers(1, description.tiles // row_blocks + 1))
        heights, widths = description.array.rows, description.array.columns
        rows = int(random.integers((row_blocks - 1) * heights, row_blocks * heights) + 1)
        outputs = int(random.integers((column_blocks - 1) * widths, column_blocks * widths) + 1)
        yield rows, outputs
        count -= 1


@pytest.mark.parametrize(
    ("description", "count"),
    [
        (HERMES, 10),
        (TINY, 150),
        (SMALL_ARRAYS, 60),
        pytest.param(HERMES, 100, marks=pytest.mark.regress),
        pytest.param(SMALL_ARRAYS, 600, marks=pytest.mark.regress),
    ],
    ids=["hermes", "tiny", "small-arrays", "hermes-long", "small-arrays-long"],
)
def test_random_layers_compile_and_cover_their_matrix_once(description, count):
    for seed, (rows, outputs) in enumerate(sizes(description, count, 7)):
        check_layer(rows, outputs, description, seed)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.regress)])
def test_any_number_of_blocks_runs_through_a_fabric_without_slack(step):
    for row_blocks in [*range(1, 64, step), 64]:
        for column_blocks in {1, 2, 64 // row_blocks // 2, 64 // row_blocks} - {0}:
            if row_blocks * column_blocks > 64:
                continue
            program = check_layer(16 * row_blocks, 16 * column_blocks, SMALL_ARRAYS, 0)
            for seed, long in enumerate((True, False)):
                assert runs_through(program, SMALL_ARRAYS, 3, seed, long, buffers=1 + seed)


LARGE_LAYERS = [
    ("conv_2016x224", HERMES), ("conv_2016x224", Chip.find("hermes_wide")), ("conv_32x16", TINY)
]  # fmt: skip


@pytest.mark.parametrize("read_mode", list(ReadMode))
@pytest.mark.parametrize(("name", "description"), LARGE_LAYERS)
def test_a_compiled_layer_computes_the_real_layer(name, description, read_mode):
    """Against the matrix product in binary64, within what codes, counts and INT8 can resolve."""
    found = Network.find(name)
    made, weights = found.graph, found.weights
    program = compile_network(found, description, read_mode)
    pixels = np.random.default_rng(3).integers(0, 256, (50, program.input_length), np.uint8)
    x = pictures.quantise_input(pixels, made.input.scale)
    sums = None
    # Both are one chain, whose inputs and tiles are in the same order.
    for stream, tile in zip(program.inputs, program.tiles, strict=True):
        codes = np.zeros((1, description.array.rows, description.array.columns, 4), np.uint8)
        codes[0, : tile.config.rows, : tile.config.columns] = tile.codes
        part = x[:, stream.start : stream.start + stream.length]
        state = pcm_state.ideal(description, codes)
        sums = Tile(description, state).run(tile.config, part, sums)
    layer = made.nodes[0]
    real = x * made.input.scale @ weights["conv"].weight.astype(np.float64) + weights["conv"].bias
    wanted = np.clip(np.rint(np.maximum(real, 0) / layer.output_scale), -127, 127)
    # A tile's counts and its rounding lose about a step, in either direction; in binary16 there is
    # no rounding on the way.
    most = 3 if description.link.partial_sums == "binary16" else 6
    assert np.abs(sums - wanted).max() <= most and np.abs(sums - wanted).mean() < 0.5
    assert np.mean(wanted == formats.INT8_MAX) < 1e-3 and wanted.max() > 80


# Input, then kernel, stride and padding of one layer with one output pixel.
ONE_PIXEL = {
    "exact": ((3, 3, 4), 3, 1, 0, Way.VECTORS),
    "padded": ((1, 1, 4), 3, 1, 1, Way.MAPS),
    "smaller kernel": ((2, 2, 4), 1, 2, 0, Way.MAPS),
    "as many rows, elsewhere": ((2, 2, 4), 2, 3, 1, Way.MAPS),
}


@pytest.mark.parametrize("case", ONE_PIXEL)
def test_one_output_pixel_is_not_enough_to_be_a_layer_of_vectors(case):
    """Its rows must be its whole input, too; whichever way it takes, golden computes it."""
    shape, kernel, stride, padding, wanted = ONE_PIXEL[case]
    random = np.random.default_rng(5)
    layer = Layer(
        name="conv", op="conv", outputs=3, relu=False, gmax=400, output_scale=0.02, kernel=kernel,
        stride=stride, padding=padding,
    )  # fmt: skip
    graph = Graph(
        format=2, name="one_pixel", dataset="random", weights="none", nodes=(layer,),
        input=Input(shape=shape, scale=1 / 127),
    )  # fmt: skip
    (geometry,) = geometries(graph)
    assert geometry.output == (1, 1, 3) and way(graph) is wanted
    weight = random.normal(0, 0.3, (geometry.rows, 3)).astype(np.float32)
    network = Network(graph, {"conv": Weights(weight, np.zeros(3, np.float32))})
    roomy = TINY.model_copy(update={"array": Array(rows=64, columns=16)})
    program = compile_network(network, roomy, ReadMode.FOUR_PHASE)
    assert (program.input.shape, program.output.shape) == (shape, (1, 1, 3))
    images = random.integers(-127, 128, (20, *shape), dtype=np.int8)
    state = pcm_state.ideal(roomy, device_codes(program, roomy))
    got = run(program, roomy, state, program.vectors(images)).outputs
    vectors = host.im2col(images, kernel, stride, padding).reshape(20, -1)
    real = vectors / 127 @ weight.astype(np.float64)
    wanted_steps = np.clip(np.rint(real / layer.output_scale), -127, 127)
    # Codes, counts and rounding lose about a step each.
    assert np.abs(got.reshape(20, 3) - wanted_steps).max() <= 3


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_the_image_and_shows_the_placement(tmp_path):
    path = tmp_path / "a.program"
    options = ["--net", "conv_32x16", "--chip", "tiny", "--output", str(path)]
    result = CliRunner().invoke(cli, ["compile", *options])
    assert result.exit_code == 0, result.output
    assert "a0.0 a1.0\n   .    .\n" in result.output
    assert (
        "stream 2: partial sums of conv: tile 0 tx -> tile 0 east_1, tile 1 rx\n" in result.output
    )
    assert "2 of 4 tiles compute, 0 only forward" in result.output
    made = compile_network(Network.find("conv_32x16"), TINY, ReadMode.FOUR_PHASE)
    loaded = program_file.load(path, TINY)
    assert (loaded.inputs, loaded.outputs) == (made.inputs, made.outputs)


def test_the_command_prints_nothing_when_it_cannot_write(tmp_path):
    result = CliRunner().invoke(cli, ["compile", "--net", "conv_32x16", "--output", str(tmp_path)])
    assert isinstance(result.exception, UserError) and "is a folder" in str(result.exception)
    assert result.output == ""
