"""Image networks on a chip: placement, routes that share no link, buffers that suffice."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from cnn_networks import conv, with_ones

from caduceus.compiler import cnn_flow
from caduceus.compiler.cnn_place import placements
from caduceus.compiler.cnn_plan import NetworkPlan
from caduceus.compiler.content import Scaling
from caduceus.compiler.lower import Way, way
from caduceus.compiler.network import compile_network
from caduceus.compiler.replicas import best_replicas, clocks
from caduceus.compiler.route import Crowded, Demand, Router
from caduceus.spec import chip, fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import INPUT, RX
from caduceus.spec.feature_map import Window
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Pool
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.spec.streams import trace
from tb.random_networks import random_convolutions

HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")


@pytest.fixture(scope="module")
def resnet9():
    return Network.find("resnet9")


def test_resnet9_takes_the_published_tiles(resnet9) -> None:
    plan = NetworkPlan(resnet9.graph, HERMES, {})
    assert {name: layer.tiles for name, layer in plan.layers.items()} == {
        "conv0": 1, "conv1": 2, "conv2": 4, "conv3": 4, "conv4": 4, "conv5": 8, "conv6": 8,
        "conv7": 8, "dense": 1,
    }  # fmt: skip
    assert plan.tiles == 40
    assert [len(rows) for rows in plan.layers["conv5"].rows] == [252] * 8
    weights = sum(layer.geometry.rows * layer.layer.outputs for layer in plan.layers.values())
    # Published for three channels of input; ours has one.
    assert weights == 1_866_536 - 9 * 2 * 56


@pytest.mark.parametrize(
    ("description", "name", "replicas"),
    [
        (HERMES, "resnet9", {}),
        (HERMES, "resnet9", {"conv0": 2, "conv1": 2}),
        (Chip.find("hermes_wide"), "resnet9", {}),
        (HERMES, "resnet20", {}),
        (HERMES, "resnet8", {}),
        (TINY, "resnet_tiny", {}),
    ],
)
def test_no_two_streams_share_a_link(description, name: str, replicas: dict) -> None:
    program = compile_network(Network.find(name), description, ReadMode.FOUR_PHASE, replicas)
    taken = set()
    for stream in trace(program, description).streams:
        for hop in stream.hops:
            for sink in set(hop.sinks) - {INPUT, RX}:
                assert (hop.tile, sink) not in taken
                taken.add((hop.tile, sink))
    assert len({tile.tile for tile in computing(program)}) == len(computing(program))
    assert _largest(program, description)["activation"] > 0


def test_residuals_wait_for_two_rows_of_two_layers(resnet9) -> None:
    """Between conv1's pixel and its use are two 3x3 convolutions: 2 x (16 + 1) pixels, less two
    that are not there yet when the first of them is wanted.
    """
    program = compile_network(resnet9, HERMES, ReadMode.ONE_PHASE)
    (first,) = (
        tile for tile in computing(program)
        if tile.block.layer == "conv3" and tile.block.rows == 0
    )  # fmt: skip
    # With as much room as possible elsewhere, the head of conv3 needs most of its RX buffer.
    room = {
        (tile.tile, sink): 10_000
        for tile in computing(program) for sink in (INPUT, RX)
        if (tile.tile, sink) != (first.tile, RX)
    }  # fmt: skip

    def stops(packets: int) -> bool:
        flow = cnn_flow._Flow(program, HERMES, room | {(first.tile, RX): packets})
        return bool(flow.blocked())

    least = next(count for count in range(12, 60) if not stops(count))
    assert 16 <= least <= 2 * (16 + 1)
    assert all(not stops(count) for count in (least + 1, least + 7))


def _buffers(description: Chip, **sizes: int) -> Chip:
    buffers = description.buffers.model_copy(update=sizes)
    return description.model_copy(update={"buffers": buffers})


def _largest(program: Program, description: Chip) -> dict[str, int]:
    """The largest need of either buffer, by its key in `buffers`."""
    found = {"activation": 0, "rx": 0}
    for need in cnn_flow.needs(program, description):
        key = cnn_flow.KEYS[need.sink]
        assert 0 < need.bytes <= need.limit == getattr(description.buffers, key)
        found[key] = max(found[key], need.bytes)
    return found


def _demand_compiles(network: Network, description: Chip) -> None:
    compile_network(network, description, ReadMode.ONE_PHASE)


def _demand_too_small(network: Network, description: Chip) -> None:
    """And the sizes that the refusal names do."""
    with pytest.raises(UserError) as refusal:
        _demand_compiles(network, description)
    if isinstance(refusal.value, cnn_flow.TooSmall):
        _, would_do = str(refusal.value).split("; ")
        sizes = dict(re.findall(r"buffers\.(activation|rx) = (\d+)", would_do))
        assert sizes and would_do.endswith(" would do")
        _demand_compiles(network, _buffers(description, **{k: int(v) for k, v in sizes.items()}))


@pytest.mark.parametrize(
    "count", [12, pytest.param(150, marks=pytest.mark.regress)], ids=["some", "many"]
)
def test_what_is_needed_suffices_and_less_does_not(count: int) -> None:
    """Of random networks, at several sizes of the RX buffer."""
    random = np.random.default_rng(4)
    small = HERMES.model_copy(
        update={
            "array": chip.Array(rows=32, columns=16),
            "gdpu": chip.Gdpu(slices=8, units=4),
            "link": HERMES.link.model_copy(update={"units": 1}),
        }
    )
    small = _buffers(small, gather=1)
    refused = 0
    while count:
        made = random_convolutions(random)
        if way(made.graph) is not Way.MAPS:
            continue
        try:
            _demand_compiles(made, small)
        except UserError:
            continue
        count -= 1
        for rx in (16, int(random.integers(24, 200)), 6144):
            tight = _buffers(small, activation=int(random.integers(16, 300)), rx=rx)
            try:
                program = compile_network(made, tight, ReadMode.ONE_PHASE)
            except UserError:
                _demand_too_small(made, tight)
                refused += 1
                continue
            needed = _largest(program, tight)
            at_need = _buffers(tight, activation=needed["activation"])
            _demand_compiles(made, at_need)
            _demand_too_small(made, _buffers(tight, activation=needed["activation"] - 1))
            if needed["rx"]:
                _demand_compiles(made, _buffers(at_need, rx=needed["rx"]))
                _demand_too_small(made, _buffers(at_need, rx=needed["rx"] - 1))
    assert refused


def test_no_need_is_above_what_an_accepted_program_has() -> None:
    """Layer b could do with less RX buffer if its activation buffer were larger than it is."""
    layers = [
        conv("a", 8),
        conv("b", 8, kernel=3, padding=1),
        conv("p", 8, kernel=3, padding=1, input="a"),
        conv("c", 8, residual="p", input="b"),
    ]
    made = with_ones((4, 4, 1), layers)
    description = _buffers(
        HERMES.model_copy(
            update={
                "array": chip.Array(rows=64, columns=16),
                "gdpu": chip.Gdpu(slices=8, units=4),
                "link": HERMES.link.model_copy(update={"units": 1}),
            }
        ),
        activation=56, rx=32, gather=1,
    )  # fmt: skip
    program = compile_network(made, description, ReadMode.FOUR_PHASE)
    needed = _largest(program, description)
    _demand_too_small(made, _buffers(description, activation=needed["activation"] - 1))


def test_a_buffer_that_is_too_small_is_named_with_a_size_that_would_do(resnet9) -> None:
    tight = _buffers(HERMES, activation=4096, rx=1120)
    sentence = (
        "network resnet9 on chip hermes: buffers are too small: the program stops with the RX "
        "buffer of layer conv3 full: got buffers.activation = 4096 and buffers.rx = 1120; "
        "buffers.rx = 2016 would do"
    )
    with pytest.raises(cnn_flow.TooSmall, match=f"^{re.escape(sentence)}$"):
        _demand_compiles(resnet9, tight)
    _demand_compiles(resnet9, _buffers(tight, rx=2016))
    _demand_too_small(resnet9, _buffers(tight, activation=1024))


def test_an_rx_packet_takes_whole_beats() -> None:
    """On links of 16 bytes 17 values take the room of 32."""
    small = Chip.find("hermes_wide")
    layers = [
        conv(name, 17, kernel=3, padding=1, residual=residual)
        for name, residual in (("a", None), ("b", None), ("c", "a"))
    ]
    made = with_ones((8, 150, 2), layers)
    # Two rows and a pixel of b, two and a pixel of c, less one: what waits is 17 bytes each.
    with pytest.raises(cnn_flow.TooSmall) as refusal:
        compile_network(made, small, ReadMode.FOUR_PHASE)
    assert "RX buffer of layer c full" in str(refusal.value)
    size = int(re.search(r"; buffers\.rx = (\d+) would do$", str(refusal.value))[1])
    packets, rest = divmod(size, 32)
    assert not rest and 2 * 150 <= packets <= 2 * 152
    assert compile_network(made, _buffers(small, rx=size), ReadMode.FOUR_PHASE)


def test_streams_that_share_a_link_are_refused() -> None:
    program = compile_network(Network.find("resnet_tiny"), TINY, ReadMode.ONE_PHASE)
    _, pixels, *_, output = trace(program, TINY).streams
    assert (pixels.hops[0].channels, output.producer) == (("tile 0 east_1",), 2)
    # The output goes around the grid the other way, and so along the first tile's pixels' link.
    (known,) = (r for r in program.tiles[2].routes if r.stream == output.number)
    detour = {2: "north_1", 0: "east_1", 1: "south_1"}
    tiles = []
    for tile in program.tiles:
        routes = tile.routes
        if tile.tile in detour:
            others = (r for r in routes if r.stream != output.number)
            routes = (*others, replace(known, sinks=(detour[tile.tile],)))
        tiles.append(replace(tile, routes=routes))
    match = (
        f"streams {pixels.number} and {output.number} share tile 0 east_1: expected one stream per "
        "link where tiles gather from feature maps"
    )
    with pytest.raises(UserError, match=match):
        cnn_flow.check(replace(program, tiles=tuple(tiles)), TINY)


def test_routes_give_way_to_each_other() -> None:
    """Two streams whose shortest ways share a link, and three that cannot leave by two links."""
    demands = [Demand(0, ((1, INPUT),)), Demand(0, ((3, INPUT),))]
    trees = Router(TINY).apart(demands)
    links = [{(tile, s) for tile, sinks in tree.items() for s in sinks - {INPUT}} for tree in trees]
    assert not links[0] & links[1]
    with pytest.raises(Crowded, match="expected one stream per link"):
        Router(TINY).apart([*demands, Demand(0, ((2, INPUT),))])


def test_multicasts_are_trees() -> None:
    random = np.random.default_rng(8)
    for _ in range(20):
        ends = random.choice(64, 9, replace=False)
        source, others = int(ends[0]), tuple((int(tile), INPUT) for tile in ends[1:])
        (tree,) = Router(HERMES).apart([Demand(source, others)])
        directions = {direction.name: direction for direction in fabric.directions(HERMES)}
        entered = [
            fabric.neighbour(HERMES, tile, directions[sink])
            for tile, sinks in tree.items() for sink in sinks if sink in directions
        ]  # fmt: skip
        assert len(entered) == len(set(entered)) and source not in entered
        assert set(entered) | {source} == set(tree)
        assert {tile for tile, sinks in tree.items() if INPUT in sinks} == set(ends[1:].tolist())


def test_placements_differ_and_use_every_tile_once(resnet9) -> None:
    plan = NetworkPlan(resnet9.graph, HERMES, {})
    chains = [chain for layer in plan.layers.values() for chain in layer.chains()]
    seen = set()
    for tiles in placements(chains, HERMES):
        assert len(set(tiles.values())) == 40
        seen.add(tuple(tiles.values()))
    assert len(seen) >= 8


def test_windows_cover_a_matrix_wherever_it_is_cut() -> None:
    for kernel, channels, cut in product((1, 2, 3), (1, 5), (1, 3, 7)):
        rows = kernel * kernel * channels
        together = []
        for start in range(0, rows, cut):
            position, channel = divmod(start, channels)
            window = Window(9, 9, channels, kernel, 1, 0, position, channel, 1, 1, 1)
            for each in window.segments(min(cut, rows - start)):
                together += [
                    (each.y * kernel + each.x) * channels + c
                    for c in range(each.channel, each.channel + each.length)
                ]
        assert together == list(range(rows))


@pytest.mark.parametrize("mode", list(ReadMode))
def test_replicas_make_the_slowest_layers_faster(resnet9, mode: ReadMode) -> None:
    found = best_replicas(resnet9, HERMES, mode, Scaling())
    assert found.get("conv1", 1) > 1
    before, after = (
        max(clocks(layer, HERMES, mode) for layer in plan.layers.values())
        for plan in (NetworkPlan(resnet9.graph, HERMES, replicas) for replicas in ({}, found))
    )
    assert after < 0.6 * before


@pytest.mark.parametrize(
    ("replicas", "sentence"),
    [
        ({"nobody": 2}, "replicas: got layer nobody, expected one of conv0, conv1"),
        ({"conv3": 2}, "layer conv3: replicas: got 2, expected 1 for a layer with a residual"),
        ({"conv1": 3}, r"conv1: output width 32 is not a multiple of pool x replicas \(2 x 3\)"),
        ({"dense": 2}, r"dense: output width 1 is not a multiple of pool x replicas \(1 x 2\)"),
        (
            {"conv0": 16, "conv1": 16},
            "takes 85 tiles of 256x256 for 9 layers, .*: chip hermes has 64",
        ),
    ],
)
def test_replicas_that_cannot_be(resnet9, replicas: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        compile_network(resnet9, HERMES, ReadMode.ONE_PHASE, replicas)


def _changed(resnet9, name: str, **values):
    nodes = tuple(
        node.model_copy(update=values) if node.name == name else node
        for node in resnet9.graph.nodes
    )
    return replace(resnet9, graph=resnet9.graph.model_copy(update={"nodes": nodes}))


def test_what_tiles_cannot_do_is_refused(resnet9) -> None:
    odd = Pool(kind="max", size=3, stride=2)
    with pytest.raises(UserError, match=r"conv7: pool\.stride: got 2, expected pool\.size \(3\)"):
        compile_network(_changed(resnet9, "conv7", pool=odd), HERMES, ReadMode.ONE_PHASE)
    with pytest.raises(UserError, match="layer conv3: no layer takes its output"):
        compile_network(_changed(resnet9, "conv4", input="conv2"), HERMES, ReadMode.ONE_PHASE)
