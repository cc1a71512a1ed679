"""Whether a program could deadlock: a graph of waiting packets and tiles, with vectors' ages.

A packet takes all outputs that it needs at a tile at once, keeps each until its last beat has
passed, and moves in all of them at the pace of the slowest. Packets that share a channel (a host
input, a tile's results, a link, a host output) pass it one after the other. What takes part:

    (PACKET, S, c)   a packet of stream S in channel c, waiting for all that it has still to take
    (QUEUE, S, c)    the packet, behind others in the channel or that hold it
    (TURN, S, t)     the packet when it has the turn at tile t, which keeps its outputs for it
    (END, t, sink, S)  a tile's INPUT or RX, or a GDPU slice, before it takes the packet
    (TAKE, t)        a tile's INPUT, before it takes what is granted it of a vector in parts
    (ARRIVAL, S)     a whole packet of S, where it is delivered

An edge leads to what is waited for, of the same input vector, of an older one, or of any. So a ring
of packets that wait for each other is a cycle of edges to the same vector, or else it has an edge
to any vector: steps to older vectors only never lead back. The program is refused if there is a
cycle of the first kind, or any cycle at all with an edge of the last kind.

Hidden states that come together at one tile and go the same tree from there have one order in
every channel of it, and already in those of the way to that tile that they share to its end (edges
AHEAD). Such edges never lead round in a ring by themselves, unless there are two such orders; so
among those to the same vector they are let pass, but not together with any other edge from one
stream to another. Where two of them share a channel and part again before, either may be the first
of those of a step (SAME). All this holds as no slice is a step ahead of another: each needs the
hidden states of all before it sends its next. Else the edge is to any.

- A packet waits for whatever else may hold a channel that it has not taken yet, for whoever may
  have the turn there, and for the ends it is delivered to. In a queue it waits for what those ahead
  wait for. Two streams from one host input along one way are in the order in which they were sent,
  which for every vector is the order of the program's inputs. In any other shared channel the
  packets may be of any vectors.
- INPUT waits for the tile's older results to leave, and for the older RX vectors to arrive. Of a
  vector in parts there is room for two; beyond that a part waits, without holding anything, for the
  others of an older vector. What has been granted that INPUT waits for older results alone, and so
  do those behind it, if it goes nowhere else. A hidden state that is part of the next step's vector
  waits for the results of its own step.
- A GDPU slice takes gates after its older hidden state has left.
- RX takes values only as its tile's results leave, and so after the vector of the INPUT arrived.
- Results that are on their way wait for the RX vector that they are made of, which is on its way
  as well then: for what that has still to take elsewhere.
- A packet arrives after it has passed, and after the arrivals at the tile that makes it.

The analysis is conservative: it may refuse a program that never deadlocks.
"""

from collections import defaultdict
from collections.abc import Iterator
from enum import IntEnum

import networkx as nx

from caduceus.compiler.orders import Dataflow, Orders
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.paths import Hop, Stream, channel, demand_one_source
from caduceus.spec.program import Program
from caduceus.spec.streams import trace

PACKET, QUEUE, TURN, END, TAKE, ARRIVAL = "packet", "queue", "turn", "end", "take", "arrival"
_Node = tuple
_CYCLES = 500
"""Cycles that the shortest, which is reported, is chosen from."""


class _Age(IntEnum):
    """Age of the vector that an edge waits for. AHEAD: the same or an older one, see above."""

    SAME = 0
    AHEAD = 1
    OLDER = 2
    ANY = 3


class Deadlock(UserError):
    """A program could deadlock."""


def check(program: Program, chip: Chip) -> None:
    """Refuse a program of `chip` that could deadlock.

    Raises:
        Deadlock: it could; the sentence gives the cycle.
        UserError: its streams are not as `caduceus.spec.streams.trace` demands, or share a number.
    """
    demand_one_source(program, chip)
    graph = _Waits(program, trace(program, chip).streams, chip).graph
    cycle = _cycle(graph)
    if cycle is not None:
        raise Deadlock(
            f"program could deadlock: {' -> '.join(cycle)}: expected no packets that wait for each "
            "other in a ring"
        )


def _cycle(graph: nx.DiGraph) -> list[str] | None:
    """A cycle that must not be, in words: the shortest of those looked at."""
    near = {_Age.SAME, _Age.AHEAD}
    same = nx.DiGraph((a, b) for a, b, ages in graph.edges(data="ages") if near & ages)
    for searched, bad in ((same, _leaves_order), (graph, _any)):
        for part in nx.strongly_connected_components(searched):
            ring = searched.subgraph(part)
            edges = [(a, b) for a, b in ring.edges if bad(graph, a, b)]
            if searched is same and not edges:
                edges = _second_order(graph, ring)
            found = [_worded(nx.shortest_path(ring, b, a)) for a, b in sorted(edges)[:_CYCLES]]
            if found:
                return min(found, key=lambda words: (len(words), words))
    return None


def _any(graph: nx.DiGraph, a: _Node, b: _Node) -> bool:
    return _Age.ANY in graph[a][b]["ages"]


def _leaves_order(graph: nx.DiGraph, a: _Node, b: _Node) -> bool:
    """Whether the edge leads to the same vector of another stream than those of a common order."""
    own = a[0] == QUEUE and b[0] == PACKET and a[1] == b[1]
    return _Age.SAME in graph[a][b]["ages"] and not own


def _second_order(graph: nx.DiGraph, ring: nx.DiGraph) -> list[tuple[_Node, _Node]]:
    """Edges AHEAD of a ring where streams are in more than one order."""
    edges = [(a, b) for a, b in ring.edges if _Age.AHEAD in graph[a][b]["ages"]]
    orders = set().union(*(graph[a][b]["orders"] for a, b in edges))
    return edges if len(orders) > 1 else []


def _worded(cycle: list[_Node]) -> list[str]:
    """The cycle in words, its first node at its end again."""
    words = []
    for kind, *what in cycle:
        if kind in (PACKET, QUEUE):
            word = f"stream {what[0]} in {what[1]}"
        elif kind == TURN:
            word = f"turn of stream {what[0]} at tile {what[1]}"
        elif kind == END:
            word = channel(*what[:2])
        elif kind == TAKE:
            word = channel(*what, fabric.INPUT)
        else:
            word = f"arrival of stream {what[0]}"
        if not words or words[-1] != word:
            words.append(word)
    if len(words) > 1 and words[0] == words[-1]:
        words.pop()
    return [*words, words[0]]


class _Tree:
    """The channels of a stream, in order from its source.

    Attributes:
        stream: the stream; source: the channel that it begins in.
        ways: for every channel, the channels before it, from the source on, and itself.
        fork: for every channel but the source, the hop at which it is taken.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self.source = stream, stream.source
        self.ways: dict[str, tuple[str, ...]] = {self.source: (self.source,)}
        self.fork: dict[str, Hop] = {}
        for hop in stream.hops:
            for name in hop.channels:
                self.ways[name] = (*self.ways[hop.entered], name)
                self.fork[name] = hop

    @property
    def unicast(self) -> bool:
        """Whether it has one way and one end."""
        return all(len(hop.sinks) == 1 for hop in self.stream.hops)

    def after(self, name: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Tiles and sinks of the hops that follow a channel."""
        channels, found = {name}, []
        for hop in self.stream.hops:
            if hop.entered in channels:
                channels.update(hop.channels)
                found.append((hop.tile, hop.sinks))
        return tuple(found)

    def missing(self, name: str) -> Iterator[str]:
        """Channels that may not be taken yet when `name` is."""
        taken = {id(self.fork[before]) for before in self.ways[name][1:]}
        for other, hop in self.fork.items():
            if id(hop) not in taken:
                yield other


class _Waits:
    """Builds the graph; only what can be waited for is in it."""

    def __init__(self, program: Program, streams: tuple[Stream, ...], chip: Chip) -> None:
        self.graph = nx.DiGraph()
        self._trees = {stream.number: _Tree(stream) for stream in streams}
        self._users: dict[str, list[int]] = defaultdict(list)
        for number, tree in self._trees.items():
            for name in tree.ways:
                self._users[name].append(number)
        self._place = {host.stream: place for place, host in enumerate(program.inputs)}
        self._flow = Dataflow(streams, chip)
        self._orders = Orders(streams, self._flow)
        self._shared_inputs = {
            channel(tile, fabric.INPUT): tile
            for stream in streams
            for tile in stream.ends(fabric.INPUT)
            if len(self._flow.into(tile, fabric.INPUT)) > 1
        }
        expand = {
            PACKET: self._packet, QUEUE: self._queue, TURN: self._turn, END: self._end,
            TAKE: self._take, ARRIVAL: self._arrival,
        }  # fmt: skip
        waiting: list[_Node] = [
            (QUEUE, number, name)
            for number, tree in self._trees.items()
            for name in tree.ways
            if name == tree.source or len(self._users[name]) > 1
        ]
        seen = set(waiting)
        for node in waiting:
            kind, *what = node
            for other, age in expand[kind](*what):
                if not self.graph.has_edge(node, other):
                    self.graph.add_edge(node, other, ages=set(), orders=set())
                edge = self.graph[node][other]
                edge["ages"].add(age)
                if age == _Age.AHEAD:
                    edge["orders"].add(self._orders.of(other[1]))
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)

    def _order(self, stream: int, other: int, name: str) -> _Age:
        """Which vectors of `other` may be ahead of `stream` in a channel that both use."""
        one, two = self._trees[stream], self._trees[other]
        if self._orders.together(stream, other):
            return _Age.AHEAD if one.after(name) == two.after(name) else _Age.SAME
        if one.stream.port is None or one.ways[name] != two.ways[name]:
            return _Age.ANY
        return _Age.SAME if self._place[other] < self._place[stream] else _Age.OLDER

    def _ahead(self, stream: int, name: str, kind: str) -> Iterator[tuple[_Node, _Age]]:
        """Others in a channel that may be ahead, as nodes of that kind."""
        tile = self._shared_inputs.get(name)
        for other in self._users[name]:
            if other == stream:
                continue
            if tile is None or self._orders.together(stream, other):
                yield (kind, other, name), self._order(stream, other, name)
            elif self._trees[other].unicast:
                yield (TAKE, tile), self._older(tile, stream)
            elif self._older(tile, other) < self._older(tile, stream):
                # There is room for one vector more than the one that `stream` is still missing in.
                yield (kind, other, name), _Age.SAME
            else:
                yield (kind, other, name), _Age.ANY

    def _older(self, tile: int, stream: int) -> _Age:
        """Age of a tile's vectors before the one that a packet of `stream` is a part of."""
        # The packet's own vector is the one before that of the step which it is an input of.
        return _Age.SAME if tile in self._trees[stream].stream.before else _Age.OLDER

    def _holders(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        """Who may hold a channel, or keep it by their turn."""
        for node, age in self._ahead(stream, name, QUEUE):
            yield node, age
            hop = self._trees[node[1]].fork.get(name) if node[0] == QUEUE else None
            if hop is not None and len(hop.channels) > 1:
                yield (TURN, node[1], hop.tile), age

    def _packet(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        tree = self._trees[stream]
        for missing in tree.missing(name):
            yield from self._holders(stream, missing)
        for sink in (fabric.INPUT, fabric.RX, fabric.GDPU):
            for tile in tree.stream.ends(sink):
                if channel(tile, sink) != name:
                    yield (END, tile, sink, stream), _Age.SAME
        if name in self._shared_inputs:
            tile = self._shared_inputs[name]
            yield (TAKE, tile), self._older(tile, stream)
        producer = tree.stream.producer
        if producer is not None:
            for partner in self._flow.into(producer, fabric.RX):
                yield (PACKET, partner, channel(producer, fabric.RX)), _Age.SAME

    def _queue(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        yield (PACKET, stream, name), _Age.SAME
        yield from self._ahead(stream, name, PACKET)

    def _turn(self, stream: int, tile: int) -> Iterator[tuple[_Node, _Age]]:
        for hop in self._trees[stream].stream.hops:
            if hop.tile == tile:
                for name in hop.channels:
                    for node, age in self._holders(stream, name):
                        if node[0] != TURN:  # one at a time has it
                            yield node, age

    def _end(self, tile: int, sink: str, stream: int) -> Iterator[tuple[_Node, _Age]]:
        results = self._flow.results(tile, sink)
        source = self._trees[results].source
        if sink == fabric.GDPU:
            yield (QUEUE, results, source), _Age.OLDER
            return
        if sink == fabric.INPUT:
            yield (TAKE, tile), self._older(tile, stream)
            for part in self._flow.into(tile, fabric.INPUT):
                if part != stream:
                    yield (ARRIVAL, part), _Age.OLDER
        else:
            yield (QUEUE, results, source), _Age.SAME
            yield from self._inputs(tile)

    def _take(self, tile: int) -> Iterator[tuple[_Node, _Age]]:
        """What the results of vectors that a tile has taken wait for."""
        results = self._flow.results(tile, fabric.INPUT)
        yield (QUEUE, results, self._trees[results].source), _Age.SAME
        for partner in self._flow.into(tile, fabric.RX):
            yield (ARRIVAL, partner), _Age.SAME

    def _inputs(self, tile: int) -> Iterator[tuple[_Node, _Age]]:
        """Arrival of all parts of a tile's input, as its results wait for them."""
        for part in self._flow.into(tile, fabric.INPUT):
            before = tile in self._trees[part].stream.before
            yield (ARRIVAL, part), _Age.OLDER if before else _Age.SAME

    def _arrival(self, stream: int) -> Iterator[tuple[_Node, _Age]]:
        tree = self._trees[stream]
        yield (QUEUE, stream, tree.source), _Age.SAME
        producer = tree.stream.producer
        if producer is not None:
            yield from self._inputs(producer)
            for partner in self._flow.into(producer, fabric.RX):
                yield (ARRIVAL, partner), _Age.SAME
        if tree.stream.slice is not None:
            yield (ARRIVAL, self._flow.gates(tree.stream.slice)), _Age.SAME
