"""Layers on many tiles: blocks, placement, routes, and what could deadlock."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from fabric_model import runs_through

from caduceus.__main__ import cli
from compiler import deadlock, quantise
from compiler.place import place
from compiler.route import Router
from compiler.split import split
from compiler.whole_chip import compile_layer
from golden import host
from golden.tile import Tile
from spec import chip, fabric, formats, network, pcm_state, program_image
from spec.chip import Array, Gdpu, Grid, Host
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Input, Layer, Network, Weights
from spec.program import (
    ChipProgram,
    HostStream,
    Route,
    TileConfig,
    TileProgram,
    chip_digest,
)

HERMES, TINY = chip.find("hermes"), chip.find("tiny")
SMALL_ARRAYS = HERMES.model_copy(update={"array": Array(rows=16, columns=16)})
"""The published grid, with little to compute."""


def dense(rows: int, outputs: int, seed: int = 0) -> tuple[Network, dict[str, Weights]]:
    random = np.random.default_rng(seed)
    layer = Layer(
        name="dense", kind="dense", outputs=outputs, relu=True, gmax=510, output_scale=0.1
    )
    description = Network(
        format=1, name="made", dataset="random", weights="none", layers=(layer,),
        input=Input(height=1, width=1, channels=rows, scale=1 / 127),
    )  # fmt: skip
    weight = random.normal(size=(rows, outputs)).astype(np.float32)
    return description, {"dense": Weights(weight, random.normal(size=outputs).astype(np.float32))}


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
    program = compile_layer(
        *dense(16 * row_blocks, 16 * column_blocks), description, ReadMode.ONE_PHASE
    )
    assert all(runs_through(program, description, 3, seed, True, buffers=1) for seed in range(3))


def test_too_many_blocks_are_refused():
    with pytest.raises(UserError, match=r"^the layer makes 3 x 2 = 6 blocks .*tiny allows 4$"):
        compile_layer(*dense(48, 32), TINY, ReadMode.ONE_PHASE)


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


def test_no_way_and_no_stream_left_are_told():
    apart = TINY.model_copy(update={"adjacency": chip.Adjacency(horizontal=(1,), vertical=())})
    with pytest.raises(UserError, match=r"^chip tiny has no links from tile 0 to tile 2: allowed"):
        Router(apart).tree(0, [(2, fabric.INPUT)], "a")
    with pytest.raises(UserError, match=r"^chip tiny has no links between tile 2 and the host's"):
        compile_layer(*dense(20, 20), apart, ReadMode.ONE_PHASE)
    router = Router(TINY)
    assert [router.stream() for _ in range(256)] == list(range(256))
    with pytest.raises(UserError, match=r"more than 256 streams on chip tiny: allowed are 256$"):
        router.stream()


# --- whole layers --------------------------------------------------------------------------------


def check_layer(rows, outputs, description, seed):
    """Put the matrix together again from what the program sends where."""
    made, weights = dense(rows, outputs, seed)
    program = compile_layer(made, weights, description, ReadMode.FOUR_PHASE)
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
    assert np.array_equal(
        codes, quantise.device_codes(quantise.cell_codes(weights["dense"].weight, 510))
    )
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
    [(HERMES, 30), (TINY, 150), (SMALL_ARRAYS, 200)],
    ids=["hermes", "tiny", "small-arrays"],
)
def test_random_layers_compile_and_cover_their_matrix_once(description, count):
    for seed, (rows, outputs) in enumerate(sizes(description, count, 7)):
        check_layer(rows, outputs, description, seed)


def test_every_number_of_blocks_runs_through_a_fabric_without_slack():
    for row_blocks in range(1, 65):
        for column_blocks in {1, 2, 64 // row_blocks // 2, 64 // row_blocks} - {0}:
            if row_blocks * column_blocks > 64:
                continue
            program = check_layer(16 * row_blocks, 16 * column_blocks, SMALL_ARRAYS, 0)
            for seed, long in enumerate((True, False)):
                assert runs_through(program, SMALL_ARRAYS, 3, seed, long, buffers=1 + seed)


LARGE_LAYERS = [
    ("conv_2016x224", HERMES), ("conv_2016x224", chip.find("caduceus")), ("conv_32x16", TINY)
]  # fmt: skip


@pytest.mark.parametrize("read_mode", list(ReadMode))
@pytest.mark.parametrize(("name", "description"), LARGE_LAYERS)
def test_a_compiled_layer_computes_the_real_layer(name, description, read_mode):
    """Against the matrix product in binary64, within what codes, counts and INT8 can resolve."""
    made, weights = network.find(name)
    program = compile_layer(made, weights, description, read_mode)
    pixels = np.random.default_rng(3).integers(0, 256, (50, program.input_length), np.uint8)
    x = host.quantise_input(pixels, made.input.scale)
    sums = None
    # Both are one chain, whose inputs and tiles are in the same order.
    for stream, tile in zip(program.inputs, program.tiles, strict=True):
        codes = np.zeros((1, description.array.rows, description.array.columns, 4), np.uint8)
        codes[0, : tile.config.rows, : tile.config.columns] = tile.codes
        part = x[:, stream.start : stream.start + stream.length]
        state = pcm_state.ideal(description, codes)
        sums = Tile(description, state).run(tile.config, part, sums)
    layer = made.layers[0]
    real = x * made.input.scale @ weights["conv"].weight.astype(np.float64) + weights["conv"].bias
    wanted = np.clip(np.rint(np.maximum(real, 0) / layer.output_scale), -127, 127)
    # A tile's counts and its rounding lose about a step, in either direction; in binary16 there is
    # no rounding on the way.
    most = 3 if description.link.partial_sums == "binary16" else 6
    assert np.abs(sums - wanted).max() <= most and np.abs(sums - wanted).mean() < 0.5
    assert np.mean(wanted == formats.INT8_MAX) < 1e-3 and wanted.max() > 80


def test_other_networks_are_refused():
    sentence = r"^network fashion_small has 3 layers and 1x1 output pixels: allowed on a whole chip"
    with pytest.raises(UserError, match=sentence):
        compile_layer(*network.find("fashion_small"), HERMES, ReadMode.ONE_PHASE)
    made, weights = network.find("conv_2016x224")
    wide = made.model_copy(
        update={"input": made.input.model_copy(update={"width": 4, "height": 5})}
    )
    with pytest.raises(UserError, match=r"has 1 layers and 3x2 output pixels: allowed"):
        compile_layer(wide, weights, HERMES, ReadMode.ONE_PHASE)


# --- deadlock ------------------------------------------------------------------------------------


def tile_program(number, routes, tx_stream=None, rx=False):
    made = tuple(Route(stream, sinks, 0, 4) for stream, sinks in routes.items())
    if tx_stream is None:
        return TileProgram(number, made)
    constants = np.zeros((4, 5), dtype=np.uint16)
    config = TileConfig(ReadMode.ONE_PHASE, 4, 4, constants, rx_enable=rx)
    return TileProgram(number, made, config, np.zeros((4, 4, 4), np.uint8), tx_stream)


def program_of(tiles, inputs, outputs):
    def streams(pairs):
        return tuple(HostStream(port, stream, 4 * i, 4) for i, (port, stream) in enumerate(pairs))

    return ChipProgram(
        "tiny", chip_digest(TINY), "made", ReadMode.ONE_PHASE, tuple(tiles),
        streams(inputs), streams(outputs), 4 * len(inputs), 4 * len(outputs),
    )  # fmt: skip


def ring():
    """Three streams that chase each other round the four tiles."""
    return program_of(
        [
            tile_program(0, {0: ("south_1",), 1: ("south_1",), 2: ("input",), 3: ("east_1",)}, 3),
            tile_program(1, {0: ("host",), 1: ("west_1",), 2: ("west_1",), 3: ("host",)}),
            tile_program(2, {0: ("east_1",), 1: ("east_1",)}),
            tile_program(3, {0: ("north_1",), 1: ("input",), 2: ("north_1",)}, 2),
        ],
        [(0, 0), (1, 1)],
        [(0, 0), (0, 3)],
    )


def join():
    """Tile 1 needs tile 0's result and a stream that takes the same link to it."""
    return program_of(
        [
            tile_program(0, {0: ("input",), 1: ("east_1",), 2: ("east_1",)}, 2),
            tile_program(1, {1: ("input",), 2: ("rx",), 3: ("host",)}, 3, rx=True),
        ],
        [(0, 0), (0, 1)],
        [(0, 3)],
    )


def two_ways_of_one_packet():
    """Tile 0's input goes to tile 1's RX as well, which takes it with tile 0's result only."""
    return program_of(
        [
            tile_program(0, {0: ("input", "east_1"), 2: ("south_1",)}, 2),
            tile_program(1, {0: ("rx",), 2: ("input",), 3: ("host",)}, 3, rx=True),
            tile_program(2, {2: ("east_1",)}),
            tile_program(3, {2: ("north_1",)}),
        ],
        [(0, 0)],
        [(0, 3)],
    )


def rx_sent_first(order=(0, 1)):
    """One port sends what tile 0 adds to its results, and the vector they are of, in an order."""
    return program_of(
        [
            tile_program(0, {0: ("rx",), 1: ("input",), 3: ("east_1",)}, 3, rx=True),
            tile_program(1, {3: ("host",)}),
        ],
        [(0, stream) for stream in order],
        [(0, 3)],
    )


def results_that_cross():
    """The results of tiles 0 and 3 each leave by both host outputs, in the other order."""
    return program_of(
        [
            tile_program(0, {0: ("input",), 2: ("east_1", "south_1")}, 2),
            tile_program(1, {1: ("south_1",), 2: ("host",), 3: ("host",)}),
            tile_program(2, {2: ("east_1",)}),
            tile_program(3, {1: ("input",), 2: ("host",), 3: ("north_1", "host")}, 3),
        ],
        [(0, 0), (1, 1)],
        [(0, 2), (1, 2), (0, 3), (1, 3)],
    )


CROSSING = TINY.model_copy(
    update={
        "grid": Grid(rows=4, columns=3),
        "gdpu": Gdpu(slices=3, units=4),
        "host": Host(inputs=((0, 0), (0, 2)), outputs=((1, 1), (2, 1), (3, 0), (3, 1))),
    }
)


def inputs_that_cross():
    """Two inputs, each to two tiles, share a link on either way, each one first on one of them."""
    east, west, south = ("east_1",), ("west_1",), ("south_1",)
    return program_of(
        [
            tile_program(0, {0: east + south}),
            tile_program(1, {0: south, 1: south}),
            tile_program(2, {1: west + south}),
            tile_program(3, {0: south}),
            tile_program(4, {0: south, 1: ("input",), 14: ("host",)}, 14),
            tile_program(5, {1: south}),
            tile_program(6, {0: south, 1: south}),
            tile_program(7, {0: ("input",), 1: west, 17: ("host",)}, 17),
            tile_program(8, {1: west}),
            tile_program(9, {0: east, 1: ("input",), 19: ("host",)}, 19),
            tile_program(10, {0: ("input",), 20: ("host",)}, 20),
        ],
        [(0, 0), (1, 1)],
        [(0, 14), (1, 17), (2, 19), (3, 20)],
    )


REFUSALS = [
    (ring, ["stream 0 in tile 0 south_1", "stream 2 in tile 3 north_1",
            "stream 1 in tile 1 west_1"]),
    (join, ["stream 1 in tile 0 east_1", "tile 1 input", "arrival of stream 2",
            "stream 2 in tile 0 tx"]),
    (two_ways_of_one_packet, ["stream 0 in host input 0", "tile 1 rx", "arrival of stream 2",
                              "arrival of stream 0"]),
    (rx_sent_first, ["stream 1 in host input 0", "stream 0 in host input 0", "tile 0 rx",
                     "arrival of stream 1"]),
    (results_that_cross, ["stream 2 in tile 1 host", "stream 3 in tile 3 host"]),
    (inputs_that_cross, ["stream 0 in tile 1 south_1", "stream 1 in tile 6 south_1"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "ring_of"), REFUSALS, ids=[make.__name__ for make, _ in REFUSALS])
def test_what_could_deadlock_is_refused_with_its_cycle(make, ring_of):
    program, description = make(), CROSSING if make is inputs_that_cross else TINY
    with pytest.raises(UserError) as error:
        deadlock.check(program, description)
    start, cycle, allowed = str(error.value).split(": ")
    assert start == "program could deadlock"
    assert allowed == "allowed is a program without such a cycle"
    nodes = cycle.split(" -> ")
    assert nodes[0] == nodes[-1]
    # It may begin anywhere.
    first = nodes.index(ring_of[0])
    assert [*nodes[first:-1], *nodes[:first]] == ring_of


def test_an_rx_vector_behind_its_input_is_accepted():
    deadlock.check(rx_sent_first(order=(1, 0)), TINY)


@pytest.mark.parametrize("make", [ring, join, results_that_cross, inputs_that_cross])
def test_what_is_refused_here_does_get_stuck(make):
    description = CROSSING if make is inputs_that_cross else TINY
    results = [runs_through(make(), description, 10, seed, True, buffers=1) for seed in range(20)]
    assert not all(results)


def test_streams_of_one_port_in_order_are_accepted():
    """As `join`, but tile 0's result goes round, so that only inputs share the link."""
    tiles = [
        tile_program(0, {0: ("input",), 1: ("east_1",), 2: ("south_1",)}, 2),
        tile_program(1, {1: ("input",), 2: ("rx",), 3: ("host",)}, 3, rx=True),
        tile_program(2, {2: ("east_1",)}),
        tile_program(3, {2: ("north_1",)}),
    ]
    program = program_of(tiles, [(0, 0), (0, 1)], [(0, 3)])
    deadlock.check(program, TINY)
    assert all(runs_through(program, TINY, 10, seed, seed % 2 == 0, 1) for seed in range(20))


def good():
    return program_of(
        [tile_program(0, {0: ("input",), 1: ("east_1",)}, 1), tile_program(1, {1: ("host",)})],
        [(0, 0)],
        [(0, 1)],
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: [t[0]], r"stream 1 reaches tile 1, which has 0 routes for it: allowed is one"),
        (lambda t: [t[0], tile_program(1, {1: ("east_1",)})], r"leaves tile 1 by east_1: allowed"),
        (lambda t: [t[0], tile_program(1, {1: ("input",)})], r"tile 1 input gets 1 streams: .* 0$"),
        (lambda t: [tile_program(0, {0: ("east_1",), 1: ("east_1",)}, 1),
                    tile_program(1, {0: ("host",), 1: ("host",)})],
         r"tile 0 input gets 0 streams: allowed is 1$"),
        (lambda t: [replace(t[0], tx_stream=0), t[1]],
         r"stream 0 comes from host input 0 and tile 0 tx: allowed is one source$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True)), t[1]],
         r"tile 0 rx gets 0 streams: allowed is 1$"),
        (lambda t: [replace(t[0], routes=(Route(0, ("input",), 0, 3), t[0].routes[1])), t[1]],
         r"tile 0 input keeps 3 values of stream 0: allowed is its vector's length, 4$"),
        (lambda t: [replace(t[0], routes=(Route(0, ("input",), 1, 4), t[0].routes[1])), t[1]],
         r"keeps 4 values from 1 on of stream 0: allowed is a part of its 4$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True),
                            routes=(Route(0, ("input",), 0, 4), Route(1, ("rx",), 0, 8)))
                    if i == 0 else tile for i, tile in enumerate(t)],
         r"tile 0 rx keeps 8 values of stream 1: allowed is its vector's length, 4$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True, tx_binary16=True),
                            routes=(Route(0, ("input",), 0, 4), Route(1, ("rx",), 0, 4))), t[1]],
         r"tile 0 rx takes int8 and gets stream 1 of binary16: allowed is int8$"),
        (lambda t: [t[0], t[1], t[1]], r"two programs for one tile: allowed is one a tile$"),
    ],
)  # fmt: skip
def test_streams_that_do_not_fit_are_told(change, sentence):
    deadlock.check(good(), TINY)
    tiles = tuple(change(list(good().tiles)))
    with pytest.raises(UserError, match=rf"^program: .*{sentence}"):
        deadlock.check(replace(good(), tiles=tiles), TINY)


def test_host_streams_that_do_not_fit_are_told():
    with pytest.raises(UserError, match=r"stream 0 enters at host input 2: allowed is 0 to 1$"):
        deadlock.check(replace(good(), inputs=(HostStream(2, 0, 0, 4),)), TINY)
    with pytest.raises(UserError, match=r"what goes to the host is .*: allowed is what the output"):
        deadlock.check(replace(good(), outputs=()), TINY)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_the_image_and_shows_the_placement(tmp_path):
    path = tmp_path / "a.program"
    options = ["--net", "conv_32x16", "--chip", "tiny", "--output", str(path)]
    result = CliRunner().invoke(cli, ["compile", *options])
    assert result.exit_code == 0, result.output
    assert "0.0 1.0\n  .   .\n" in result.output
    assert "stream 2: partial sums: tile 0 tx -> tile 0 east_1, tile 1 rx\n" in result.output
    assert "2 of 4 tiles compute, 0 only forward" in result.output
    made = compile_layer(*network.find("conv_32x16"), TINY, ReadMode.FOUR_PHASE)
    loaded = program_image.load(path, TINY)
    assert (loaded.inputs, loaded.outputs) == (made.inputs, made.outputs)


def test_the_command_prints_nothing_when_it_cannot_write(tmp_path):
    result = CliRunner().invoke(cli, ["compile", "--net", "conv_32x16", "--output", str(tmp_path)])
    assert isinstance(result.exception, UserError) and "is a folder" in str(result.exception)
    assert result.output == ""
