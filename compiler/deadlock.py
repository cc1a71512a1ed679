"""Whether a program could deadlock: a graph of what waits for what, with the vectors' ages.

A packet takes all outputs that it needs at a tile at once, keeps each until its last beat has
passed, and moves in all of them at the pace of the slowest. Packets that share a channel (a host
input, a tile's results, a link, a host output) pass it one after the other. What takes part:

    (PACKET, S, c)   a packet of stream S in channel c, waiting for all that it has still to take
    (QUEUE, S, c)    the packet, behind others in the channel or that hold it
    (TURN, S, t)     the packet when it has the turn at tile t, which keeps its outputs for it
    (END, t, sink)   a tile's INPUT or RX, before it takes a vector
    (ARRIVAL, S)     a whole packet of S, where it is delivered

An edge leads to what is waited for, of the same input vector, of an older one, or of any. So a ring
of packets that wait for each other is a cycle of edges to the same vector, or else it has an edge
to any vector: steps to older vectors only never lead back. The program is refused if there is a
cycle of the first kind, or any cycle at all with an edge of the last kind.

- A packet waits for whatever else may hold a channel that it has not taken yet, for whoever may
  have the turn there, and for the ends it is delivered to. In a queue it waits for what those ahead
  wait for. Two streams from one host input along one way are in the order in which they were sent,
  which for every vector is the order of the program's inputs. In any other shared channel the
  packets may be of any vectors.
- INPUT waits for the tile's older results to leave, and for the older RX vectors to arrive.
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

from compiler.streams import Hop, Stream, channel, source_name, trace
from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.program import ChipProgram

PACKET, QUEUE, TURN, END, ARRIVAL = "packet", "queue", "turn", "end", "arrival"
_Node = tuple
_CYCLES = 500
"""Cycles to choose from when one is told."""


class _Age(IntEnum):
    """Which input vector is waited for; the larger one of two in a row counts."""

    SAME = 0
    OLDER = 1
    ANY = 2


class Deadlock(UserError):
    """A program could deadlock."""


def check(program: ChipProgram, chip: Chip) -> None:
    """Refuse a program of `chip` that could deadlock.

    Raises:
        Deadlock: it could; the sentence gives the cycle.
        UserError: its streams are not as `compiler.streams.trace` demands.
    """
    graph = _Waits(program, trace(program, chip)).graph
    cycle = _cycle(graph)
    if cycle is not None:
        raise Deadlock(
            f"program could deadlock: {' -> '.join(cycle)}: allowed is a program without "
            "such a cycle"
        )


def _cycle(graph: nx.DiGraph) -> list[str] | None:
    """A cycle that must not be, in words: the shortest of those looked at."""
    same = nx.DiGraph((a, b) for a, b, ages in graph.edges(data="ages") if _Age.SAME in ages)
    for searched, wanted in ((same, _Age.SAME), (graph, _Age.ANY)):
        for part in nx.strongly_connected_components(searched):
            ring = searched.subgraph(part)
            edges = sorted((a, b) for a, b in ring.edges if wanted in graph[a][b]["ages"])
            found = [_told(nx.shortest_path(ring, b, a)) for a, b in edges[:_CYCLES]]
            if found:
                return min(found, key=lambda words: (len(words), words))
    return None


def _told(cycle: list[_Node]) -> list[str]:
    """The cycle in words, its first node at its end again."""
    words = []
    for kind, *what in cycle:
        if kind in (PACKET, QUEUE):
            word = f"stream {what[0]} in {what[1]}"
        elif kind == TURN:
            word = f"turn of stream {what[0]} at tile {what[1]}"
        elif kind == END:
            word = channel(*what)
        else:
            word = f"arrival of stream {what[0]}"
        if not words or words[-1] != word:
            words.append(word)
    if len(words) > 1 and words[0] == words[-1]:
        words.pop()
    return [*words, words[0]]


class _Tree:
    """A stream's way: how its channels follow each other.

    Attributes:
        stream: the stream; source: the channel that it begins in.
        ways: for every channel, the channels before it, from the source on, and itself.
        fork: for every channel but the source, the hop at which it is taken.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self.source = stream, source_name(stream)
        self.ways: dict[str, tuple[str, ...]] = {self.source: (self.source,)}
        self.fork: dict[str, Hop] = {}
        for hop in stream.hops:
            for name in hop.channels:
                self.ways[name] = (*self.ways[hop.entered], name)
                self.fork[name] = hop

    def missing(self, name: str) -> Iterator[str]:
        """Channels that may not be taken yet when `name` is."""
        taken = {id(self.fork[before]) for before in self.ways[name][1:]}
        for other, hop in self.fork.items():
            if id(hop) not in taken:
                yield other


class _Waits:
    """Builds the graph; only what can be waited for is in it."""

    def __init__(self, program: ChipProgram, streams: tuple[Stream, ...]) -> None:
        self.graph = nx.DiGraph()
        self._trees = {stream.number: _Tree(stream) for stream in streams}
        self._users: dict[str, list[int]] = defaultdict(list)
        for number, tree in self._trees.items():
            for name in tree.ways:
                self._users[name].append(number)
        self._place = {host.stream: place for place, host in enumerate(program.inputs)}
        self._results = {s.producer: s.number for s in streams if s.producer is not None}
        self._into = {
            (tile, sink): stream.number
            for stream in streams
            for sink in (fabric.INPUT, fabric.RX)
            for tile in stream.ends(sink)
        }
        expand = {
            PACKET: self._packet, QUEUE: self._queue, TURN: self._turn, END: self._end,
            ARRIVAL: self._arrival,
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
                if self.graph.has_edge(node, other):
                    self.graph[node][other]["ages"].add(age)
                else:
                    self.graph.add_edge(node, other, ages={age})
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)

    def _order(self, stream: int, other: int, name: str) -> _Age:
        """Which vectors of `other` may be ahead of `stream` in a channel that both use."""
        one, two = self._trees[stream], self._trees[other]
        if one.stream.port is None or one.ways[name] != two.ways[name]:
            return _Age.ANY
        return _Age.SAME if self._place[other] < self._place[stream] else _Age.OLDER

    def _holders(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        """Who may hold a channel, or keep it by their turn."""
        for other in self._users[name]:
            if other == stream:
                continue
            age = self._order(stream, other, name)
            yield (QUEUE, other, name), age
            hop = self._trees[other].fork.get(name)
            if hop is not None and len(hop.channels) > 1:
                yield (TURN, other, hop.tile), age

    def _packet(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        tree = self._trees[stream]
        for missing in tree.missing(name):
            yield from self._holders(stream, missing)
        for sink in (fabric.INPUT, fabric.RX):
            for tile in tree.stream.ends(sink):
                if channel(tile, sink) != name:
                    yield (END, tile, sink), _Age.SAME
        producer = tree.stream.producer
        partner = self._into.get((producer, fabric.RX))
        if partner is not None:
            yield (PACKET, partner, channel(producer, fabric.RX)), _Age.SAME

    def _queue(self, stream: int, name: str) -> Iterator[tuple[_Node, _Age]]:
        yield (PACKET, stream, name), _Age.SAME
        for other in self._users[name]:
            if other != stream:
                yield (PACKET, other, name), self._order(stream, other, name)

    def _turn(self, stream: int, tile: int) -> Iterator[tuple[_Node, _Age]]:
        for hop in self._trees[stream].stream.hops:
            if hop.tile == tile:
                for name in hop.channels:
                    for node, age in self._holders(stream, name):
                        if node[0] != TURN:  # one at a time has it
                            yield node, age

    def _end(self, tile: int, sink: str) -> Iterator[tuple[_Node, _Age]]:
        age = _Age.OLDER if sink == fabric.INPUT else _Age.SAME
        results = self._results[tile]
        yield (QUEUE, results, self._trees[results].source), age
        partner = self._into.get((tile, fabric.RX if sink == fabric.INPUT else fabric.INPUT))
        if partner is not None:
            yield (ARRIVAL, partner), age

    def _arrival(self, stream: int) -> Iterator[tuple[_Node, _Age]]:
        tree = self._trees[stream]
        yield (QUEUE, stream, tree.source), _Age.SAME
        for sink in (fabric.INPUT, fabric.RX):
            partner = self._into.get((tree.stream.producer, sink))
            if partner is not None:
                yield (ARRIVAL, partner), _Age.SAME
