"""A chip's fabric as coarsely as deadlocks allow: packets that hold channels, and nothing else.

This is the third model of the fabric, beside the RTL and the golden model, and independent of both
and of the compiler: it follows the program's route tables by itself and shares nothing but the
formats of `spec`. It exists to see whether what the compiler's analysis accepts gets through, so it
uses neither its router nor its tracing. Packets for an RX come in turn where the tile's program
says so.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.program import Program


@dataclass(eq=False)
class Packet:
    """One packet in the fabric: where its heads wait, and which channels it holds."""

    stream: int
    heads: list[tuple[tuple, int]]
    held: set[tuple] = field(default_factory=set)


def runs_through(
    program: Program, chip: Chip, vectors: int, seed: int, long_packets: bool, buffers: int
) -> bool:
    """Whether `vectors` input vectors give all their results, with one random order of events.

    Args:
        program: to run.
        chip: its chip.
        vectors: input vectors sent, each port as fast as it takes them.
        seed: of the order.
        long_packets: a packet holds every channel on its way until its end is delivered; otherwise
            it holds only the one where it is.
        buffers: packets that an INPUT or RX holds.
    """
    random = np.random.default_rng(seed)
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    entries = {(tile.tile, r.stream): r for tile in program.tiles for r in tile.routes}
    routes = {place: route.sinks for place, route in entries.items()}
    computing = {tile.tile: tile for tile in program.tiles if tile.config is not None}
    edges = fabric.host_tiles(chip, "inputs")
    queues = {port: deque() for port in range(len(edges))}
    for _ in range(vectors):
        for host in program.inputs:
            queues[host.port].append(host.stream)
    mailbox = {(tile, sink): 0 for tile in computing for sink in (fabric.INPUT, fabric.RX)}
    turns = dict.fromkeys(computing, 0)  # part whose packet may come to RX
    packets: list[Packet] = []
    busy: set[tuple] = set()
    received = 0

    def enter(stream: int, channel: tuple, tile: int) -> None:
        busy.add(channel)
        packets.append(Packet(stream, [(channel, tile)], {channel}))

    def free(tile: int, sink: str, stream: int) -> bool:
        waits = sink == fabric.RX and computing[tile].config.rx_parts > 1
        if waits and entries[tile, stream].part != turns[tile]:
            return False
        if sink in (fabric.INPUT, fabric.RX) and mailbox[tile, sink] >= buffers:
            return False
        return (tile, sink) not in busy

    def advance(packet: Packet, head: tuple[tuple, int]) -> None:
        nonlocal received
        channel, tile = head
        packet.heads.remove(head)
        for sink in routes[tile, packet.stream]:
            if sink in directions:
                busy.add((tile, sink))
                packet.held.add((tile, sink))
                other = fabric.neighbour(chip, tile, directions[sink])
                packet.heads.append(((tile, sink), other))
            elif sink == fabric.HOST:
                received += 1
                if long_packets:
                    busy.add((tile, sink))
                    packet.held.add((tile, sink))
            else:
                mailbox[tile, sink] += 1
                if sink == fabric.RX:
                    turns[tile] = (turns[tile] + 1) % computing[tile].config.rx_parts
        done = {channel} if packet.heads and not long_packets else set()
        if not packet.heads:
            done = packet.held.copy()
            packets.remove(packet)
        if not long_packets:
            done = (done | {channel}) & packet.held
        packet.held -= done
        busy.difference_update(done)

    while True:
        moves = []
        for port, queue in queues.items():
            if queue and ("host", port) not in busy:
                moves.append(("send", port))
        for number, tile in computing.items():
            needed = [fabric.INPUT] + [fabric.RX] * tile.config.rx_enable
            if all(mailbox[number, sink] for sink in needed) and (number, fabric.TX) not in busy:
                moves.append(("fire", number))
        for packet in packets:
            for head in packet.heads:
                sinks = routes[head[1], packet.stream]
                if all(free(head[1], sink, packet.stream) for sink in sinks):
                    moves.append((packet, head))
        if not moves:
            return received == vectors * len(program.outputs)
        what, where = moves[random.integers(len(moves))]
        if what == "send":
            enter(queues[where].popleft(), ("host", where), edges[where])
        elif what == "fire":
            for sink in [fabric.INPUT] + [fabric.RX] * computing[where].config.rx_enable:
                mailbox[where, sink] -= 1
            enter(computing[where].tx_stream, (where, fabric.TX), where)
        else:
            advance(what, where)
