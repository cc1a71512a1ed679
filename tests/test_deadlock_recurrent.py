"""Recurrent programs that could deadlock, or whose streams do not fit, are refused."""

from dataclasses import replace

import pytest
from recurrent_networks import random_network, sized

from caduceus.compiler import deadlock
from caduceus.compiler.network import compile_network
from caduceus.compiler.orders import Orders
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.paths import Hop, Stream
from caduceus.spec.program import Program, Route, SliceProgram, TileProgram
from caduceus.spec.streams import trace

TINY = Chip.find("tiny")
FAR = sized(
    "tiny",
    grid={"rows": 6, "columns": 6},
    gdpu={"slices": 6, "units": 4},
    adjacency={"horizontal": (1, 2), "vertical": (1,)},
    host={"inputs": tuple((0, column) for column in range(6)), "outputs": ((3, 5),)},
)
"""A grid with room for ways that cross before they come together."""


def _program(description: Chip = TINY) -> Program:
    shape = (8, 8, 16) if description == TINY else (16, 8, 0)
    return compile_network(random_network(*shape), description, ReadMode.ONE_PHASE)


def _numbers(each: SliceProgram) -> set[int]:
    return {each.first, each.stream, each.last}


def _led(program: Program, description: Chip, number: int, way: str) -> Program:
    """The program with the hidden state of a slice led to its group's root another way.

    `way` names each tile and the link that it leaves by, as in `18 south_1`.
    """
    each = program.slices[number]
    (stream,) = (s for s in trace(program, description).streams if s.slice == number)
    steps = {int(tile): sink for tile, sink in (step.split() for step in way.split(", "))}
    root = next(hop.tile for hop in stream.hops if len(hop.sinks) > 1)
    trunk = [hop.tile for hop in stream.hops][: [h.tile for h in stream.hops].index(root)]
    routes = {tile.tile: list(tile.routes) for tile in program.tiles}
    for tile in trunk:
        routes[tile] = [route for route in routes[tile] if route.stream not in _numbers(each)]
    for tile, sink in steps.items():
        for name in sorted(_numbers(each)):
            routes.setdefault(tile, []).append(Route(name, (sink,), 0, each.config.units))
    known = {tile.tile: tile for tile in program.tiles}
    return replace(
        program,
        tiles=tuple(
            replace(known.get(tile, TileProgram(tile, ())), routes=tuple(routes[tile]))
            for tile in sorted(routes)
        ),
    )


def test_a_ring_on_the_way_to_the_root_is_refused():
    """Each of three states holds a link that another waits for, before they have an order."""
    program = _program(FAR)
    deadlock.check(program, FAR)
    ring = {
        0: "18 south_1, 24 east_1, 25 east_1, 26 east_1, 27 north_1",
        1: "19 south_1, 25 east_1, 26 south_1, 32 east_1, 33 north_1, 27 north_1",
        2: "20 south_1, 26 south_1, 32 west_1, 31 west_1, 30 north_1, 24 east_1, 25 east_2, "
        "27 north_1",
    }
    for number, way in ring.items():
        program = _led(program, FAR, number, way)
    with pytest.raises(deadlock.Deadlock, match=r"tile 2[456] (east|south)_1"):
        deadlock.check(program, FAR)


def test_hidden_states_in_two_orders_are_refused() -> None:
    """The order on which the check relies: sent along two trees, they could wait in a ring."""
    program = compile_network(random_network(8, 8, 16), TINY, ReadMode.ONE_PHASE)
    deadlock.check(program, TINY)
    second = program.slices[1]
    # Slice 1 goes west before it goes north: tiles get the two states in different orders.
    changed = []
    for tile in program.tiles:
        routes = list(tile.routes)
        for index, route in enumerate(routes):
            if route.stream not in (second.first, second.stream):
                continue
            sinks = {
                3: {"west_1"} | ({fabric.INPUT} & set(route.sinks)), 0: {"east_1", fabric.INPUT},
                1: {fabric.INPUT},
            }[tile.tile]  # fmt: skip
            order = fabric.sinks(TINY)
            routes[index] = replace(route, sinks=tuple(sorted(sinks, key=order.index)))
        if tile.tile == 2:
            for stream in (second.first, second.stream):
                routes.append(
                    replace(program.tiles[2].routes[0], stream=stream, sinks=("north_1",))
                )
        changed.append(replace(tile, routes=tuple(routes)))
    with pytest.raises(deadlock.Deadlock, match="stream 6 in tile 0 input"):
        deadlock.check(replace(program, tiles=tuple(changed)), TINY)


def _with_slice(program: Program, number: int, **changes: object) -> Program:
    slices = list(program.slices)
    slices[number] = replace(slices[number], **changes)
    return replace(program, slices=tuple(slices))


def _with_route(program: Program, stream: int, tile: int, **changes: object) -> Program:
    tiles = []
    for each in program.tiles:
        routes = tuple(
            replace(route, **changes) if (each.tile, route.stream) == (tile, stream) else route
            for route in each.routes
        )
        tiles.append(replace(each, routes=routes))
    return replace(program, tiles=tuple(tiles))


PROGRAM = _program()
ONE, TWO = PROGRAM.slices


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (replace(PROGRAM, slices=PROGRAM.slices[:1]),
         "tile 0: no stream goes to part 2 of 'input': expected one"),
        (_with_slice(PROGRAM, 1, first=ONE.first),
         f"stream {ONE.first} comes from slice 0 tx and slice 1 tx: expected one source"),
        (_with_slice(PROGRAM, 1, first=ONE.stream),
         f"stream {ONE.stream} comes from slice 0 tx and slice 1 tx: expected one source"),
        (_with_route(PROGRAM, ONE.first, 0, part=2),
         "slice 0: tile 0 keeps bytes 0 to 4 of stream 2 as part 2 of 'input': expected what it "
         "keeps of stream 3"),
        (_with_route(PROGRAM, ONE.last, 3, start=1),
         r"tile 3: stream 4: start \+ length: got 5, expected the packet's length, 4"),
        (_with_route(PROGRAM, ONE.first, 3, sinks=("north_1", fabric.INPUT)),
         "slice 0: streams 2 and 4 both go to 'input' of tile 3: expected one of them"),
        (_with_route(PROGRAM, ONE.last, 2, sinks=("north_1",)),
         "tile 0: stream 4 arrives and has no route there: expected"),
        (_with_route(PROGRAM, 0, 0, sinks=(fabric.HOST,)),
         "tile 0: stream 0 leaves for the host, and is none of the program's outputs"),
    ],
)  # fmt: skip
def test_streams_that_do_not_fit_are_reported(changed: Program, sentence: str):
    with pytest.raises(UserError, match=sentence):
        deadlock.check(changed, TINY)


class _EachNeedsAll:
    """A dataflow in which every slice needs all hidden states."""

    def __init__(self, *streams: int) -> None:
        self._streams = frozenset(streams)

    def states(self, number: int) -> frozenset[int]:
        return self._streams


@pytest.mark.parametrize(("entries", "together"), [((4,), True), ((2, 4), False)])
def test_slices_that_send_to_both_sides_are_in_no_common_order(entries, together: bool):
    """Two tiles where they meet choose for themselves who is first."""
    streams = tuple(
        Stream(
            number, None, None, 4, "int8",
            tuple(Hop(f"slice {number} tx", tile, (fabric.INPUT, "east_1")) for tile in entries),
            slice=number,
        )
        for number in (0, 1)
    )  # fmt: skip
    assert Orders(streams, _EachNeedsAll(0, 1)).together(0, 1) == together
    assert not Orders(streams, _EachNeedsAll(0)).together(0, 1)
