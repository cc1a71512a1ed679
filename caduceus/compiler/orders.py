"""Dependencies between streams, and streams that keep one order on every link they share."""

from collections import defaultdict

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.paths import Stream


class Dataflow:
    """Numbers of the streams that enter and leave tiles and GDPU slices."""

    def __init__(self, streams: tuple[Stream, ...], chip: Chip) -> None:
        self._chip = chip
        self._streams = {stream.number: stream for stream in streams}
        self._of_tile = {s.producer: s.number for s in streams if s.producer is not None}
        self._of_slice = {s.slice: s.number for s in streams if s.slice is not None}
        self._into: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._gates: dict[int, int] = {}
        for stream in streams:
            for sink in (fabric.INPUT, fabric.RX):
                for tile in stream.ends(sink):
                    self._into[tile, sink].append(stream.number)
            for tile in stream.ends(fabric.GDPU):
                self._gates[fabric.gdpu_slice(chip, tile)] = stream.number

    def into(self, tile: int, sink: str) -> tuple[int, ...]:
        """Streams that are delivered to INPUT or RX of a tile."""
        return tuple(self._into.get((tile, sink), ()))

    def gates(self, number: int) -> int:
        """Stream of the gate vectors of a slice."""
        return self._gates[number]

    def results(self, tile: int, sink: str) -> int:
        """Stream of the results made from packets delivered to a sink of a tile."""
        if sink == fabric.GDPU:
            return self._of_slice[fabric.gdpu_slice(self._chip, tile)]
        return self._of_tile[tile]

    def states(self, number: int) -> frozenset[int]:
        """Streams of the hidden states, of the step before, that a slice's gates are made of."""
        found, seen, waiting = set(), set(), [self._gates[number]]
        while waiting:
            stream = self._streams[waiting.pop()]
            if stream.number in seen:
                continue
            seen.add(stream.number)
            if stream.producer is None:
                continue
            for part in self.into(stream.producer, fabric.INPUT):
                if stream.producer in self._streams[part].before:
                    found.add(part)
                else:
                    waiting.append(part)
            waiting += self.into(stream.producer, fabric.RX)
        return frozenset(found)


class Orders:
    """Hidden states that pass one hop, and then the same tree, with every slice needing all.

    No slice sends its next before all of this step have passed that hop: so no packet is ahead of
    another's by a step, and those of a step have one order from that hop on.
    """

    def __init__(self, streams: tuple[Stream, ...], flow: Dataflow) -> None:
        self._root = {s.number: _root(s) for s in streams if s.slice is not None}
        self._needs = {s.number: flow.states(s.slice) for s in streams if s.slice is not None}

    def of(self, stream: int) -> object:
        """The order that a stream is in: equal for those that share it."""
        return self._root[stream]

    def together(self, one: int, other: int) -> bool:
        """Whether two streams are in one order."""
        return (
            one in self._root
            and other in self._root
            and self._root[one] == self._root[other]
            and one in self._needs[other]
            and other in self._needs[one]
        )


def _root(stream: Stream) -> object:
    """The first hop where a stream forks or is delivered, and all that follow, as a value.

    A stream that enters the fabric at two tiles forks in its slice: it shares no order with others.
    """
    source = stream.source
    if sum(hop.entered == source for hop in stream.hops) > 1:
        return source
    trunk = 0
    while len(stream.hops[trunk].sinks) == 1 and trunk + 1 < len(stream.hops):
        trunk += 1
    return tuple((hop.tile, hop.sinks) for hop in stream.hops[trunk:])
