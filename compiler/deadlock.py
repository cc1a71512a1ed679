"""Whether a program could deadlock: a graph of what waits for what must have no cycle.

Links have ready/valid flow control. A packet holds the outputs it got at a tile until its last beat
has passed; a multicast gets all of its outputs at once and moves at the pace of the slowest. Nodes
of the graph are channels (the ports of a tile that packets leave through, host inputs, a tile's
results), the arrival of a stream where it is delivered, and its passage, on all its branches at
once, since a multicast moves in lock step; an edge points to what is waited for.

- A packet in a channel waits for every channel it goes on through.
- Of the outputs of a multicast, each waits for whatever the other ones lead to.
- A tile's INPUT and RX wait for its results to leave, and for the arrival of each other's stream.
- The arrival of a stream waits for its passage, and for the arrivals at the tile that produces it.
- The passage of a stream that ends at an RX waits for the arrival of the vector that it is added
  to, as an RX takes values only while its tile's results leave, and so for the passage of these.
- The passage of a stream waits for that of the packets of the same input vector that the host sends
  before it on the same port; and, where it shares a channel, for whatever the other stream leads
  to, as a packet of that may be ahead.

The last rule is dropped where nothing can be ahead that does not belong there: if streams share
channels only behind the host input that all of them come from, along one way, then their packets
are everywhere in the order in which they were sent. The oldest unfinished vector then always moves:
its inputs are behind older packets only, and its partial sums have their channels for themselves.
The analysis is conservative: it may refuse a program that never deadlocks.
"""

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

from compiler.streams import Stream, channel, trace
from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.program import ChipProgram

_Graph = dict[str, dict[str, None]]
"""What every node waits for; dictionaries as sets that keep their order."""


def check(program: ChipProgram, chip: Chip) -> None:
    """Refuse a program of `chip` that could deadlock.

    Raises:
        UserError: it could (the sentence gives the cycle), or its streams are not as
            `compiler.streams.trace` demands.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for node, others in _waits(program, trace(program, chip)).items():
        for other in others:
            sorter.add(other, node)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise UserError(
            f"program could deadlock: {cycle}: allowed is a program without such a cycle"
        ) from None


def _arrival(stream: int) -> str:
    return f"arrival of stream {stream}"


def _passage(stream: int) -> str:
    return f"passage of stream {stream}"


def _waits(program: ChipProgram, streams: tuple[Stream, ...]) -> _Graph:
    graph: _Graph = defaultdict(dict)
    users = _users(streams)
    for stream in streams:
        for hop in stream.hops:
            graph[hop.entered] |= dict.fromkeys(hop.channels)
    delivered = {
        (tile, sink): stream.number
        for stream in streams
        for sink in (fabric.INPUT, fabric.RX)
        for tile in stream.ends(sink)
    }
    for (tile, sink), _ in delivered.items():
        partner = delivered.get((tile, fabric.RX if sink == fabric.INPUT else fabric.INPUT))
        graph[channel(tile, sink)][channel(tile, fabric.TX)] = None
        if partner is not None:
            graph[channel(tile, sink)][_arrival(partner)] = None
    _add_multicasts(graph, streams)
    _add_arrivals(graph, streams, delivered)
    _add_passages(graph, program, streams, users, delivered)
    return graph


def _users(streams: tuple[Stream, ...]) -> dict[str, dict[Stream, tuple[str, ...]]]:
    """Streams that use a channel, and the channels that they go on through after it."""
    users: dict[str, dict[Stream, tuple[str, ...]]] = defaultdict(dict)
    for stream in streams:
        for hop in stream.hops:
            users[hop.entered][stream] = hop.channels
            for name in hop.channels:
                users[name].setdefault(stream, ())
    return users


def _add_multicasts(graph: _Graph, streams: tuple[Stream, ...]) -> None:
    """Each output of a multicast waits for what follows the others, for any stream."""
    following = {node: tuple(others) for node, others in graph.items()}
    for stream in streams:
        for hop in stream.hops:
            for one in hop.channels:
                for other in hop.channels:
                    if one != other:
                        graph[one] |= dict.fromkeys(following.get(other, ()))


def _add_arrivals(
    graph: _Graph, streams: tuple[Stream, ...], delivered: dict[tuple[int, str], int]
) -> None:
    """What the arrivals wait for."""
    for stream in streams:
        node = graph[_arrival(stream.number)]
        node[_passage(stream.number)] = None
        for sink in (fabric.INPUT, fabric.RX):
            source = delivered.get((stream.producer, sink))
            if source is not None:
                node[_arrival(source)] = None


def _add_passages(
    graph: _Graph,
    program: ChipProgram,
    streams: tuple[Stream, ...],
    users: dict[str, dict[Stream, tuple[str, ...]]],
    delivered: dict[tuple[int, str], int],
) -> None:
    """What the passages wait for."""
    results = {stream.producer: stream.number for stream in streams if stream.producer is not None}
    sent: dict[int, list[int]] = defaultdict(list)
    for host in program.inputs:
        graph[_passage(host.stream)] |= dict.fromkeys(map(_passage, sent[host.port]))
        sent[host.port].append(host.stream)
    in_order = _shares_in_order(streams, users)
    for stream in streams:
        node = graph[_passage(stream.number)]
        for tile in stream.ends(fabric.RX):
            waits = _arrival(delivered[tile, fabric.INPUT]), _passage(results[tile])
            node |= dict.fromkeys(waits)
        if in_order:
            continue
        for sharers in users.values():
            if stream in sharers:
                for other, following in sharers.items():
                    if other != stream:
                        node |= dict.fromkeys(following)


def _shares_in_order(
    streams: tuple[Stream, ...], users: dict[str, dict[Stream, tuple[str, ...]]]
) -> bool:
    """Whether streams that a tile waits for share channels only as the module's text allows.

    Where two streams share a channel that all streams enter from one other, they share that one,
    too, and so on back to a host input: tiles have one stream of results each.
    """
    entered_from: dict[str, set[str]] = defaultdict(set)
    for stream in streams:
        for hop in stream.hops:
            for name in hop.channels:
                entered_from[name].add(hop.entered)
    waited = {stream for stream in streams if stream.ends(fabric.INPUT) or stream.ends(fabric.RX)}
    return all(
        len(entered_from[name]) <= 1
        for name, sharers in users.items()
        if len(sharers) > 1 and waited & sharers.keys()
    )
