"""The fabric's formats: the ports of a tile's link controller, packets, and route entries.

A packet is a beat that carries the preamble, then beats with up to `PAYLOAD_MAX` values, the last
one marked. A value is INT8, one byte, or, where the chip has it, binary16, two bytes, the low one
first. The preamble is the number of a stream, in the lowest byte of its beat. At every tile the
entry of that stream says where the packet goes on: links (several are a multicast), the host, the
tile's own input or RX, and which part of the payload the tile itself keeps.
Published: preambles, and static tables set before a run. Formats, and ready/valid on every link,
are our choice.
"""

from dataclasses import dataclass

from caduceus.spec.chip import Chip

STREAMS = 256
"""Streams of a chip: the preamble is one byte."""
STREAM_BITS = (STREAMS - 1).bit_length()
PAYLOAD_MAX = 256
"""Values in a packet."""
PARTS = 16
"""Packets that may make up a tile's input vector together."""
PART_BITS = (PARTS - 1).bit_length()

GDPU = "gdpu"
HOST = "host"
INPUT = "input"
RX = "rx"
TX = "tx"


@dataclass(frozen=True)
class Direction:
    """A kind of link: from tile (row, column) to tile (row + rows, column + columns).

    A packet sent through the port of this name is received through the port of this name.
    """

    name: str
    rows: int
    columns: int


def payload_max(chip: Chip) -> int:
    """Bytes in a packet, at most."""
    return PAYLOAD_MAX * chip.link.value_bytes


def directions(chip: Chip) -> tuple[Direction, ...]:
    """The kinds of links that the chip's adjacency has, in the order of their ports."""
    found = []
    for distance in chip.adjacency.horizontal:
        found += [
            Direction(f"east_{distance}", 0, distance),
            Direction(f"west_{distance}", 0, -distance),
        ]
    for distance in chip.adjacency.vertical:
        found += [
            Direction(f"south_{distance}", distance, 0),
            Direction(f"north_{distance}", -distance, 0),
        ]
    return tuple(found)


def sources(chip: Chip) -> tuple[str, ...]:
    """Where a link controller's packets come from: links, GDPU, host, the tile's own results."""
    return (*(direction.name for direction in directions(chip)), GDPU, HOST, TX)


def sinks(chip: Chip) -> tuple[str, ...]:
    """Where they go to; the position is the bit in a route entry's mask."""
    return (*(direction.name for direction in directions(chip)), GDPU, HOST, INPUT, RX)


def neighbour(chip: Chip, tile: int, direction: Direction) -> int | None:
    """The tile that a link of `tile` leads to, or None at the edge of the grid."""
    row, column = divmod(tile, chip.grid.columns)
    row, column = row + direction.rows, column + direction.columns
    if 0 <= row < chip.grid.rows and 0 <= column < chip.grid.columns:
        return row * chip.grid.columns + column
    return None


def links(chip: Chip) -> tuple[tuple[int, str, int], ...]:
    """Every link of the chip: from tile, name of the port at both ends, to tile."""
    found = []
    for tile in range(chip.tiles):
        for direction in directions(chip):
            other = neighbour(chip, tile, direction)
            if other is not None:
                found.append((tile, direction.name, other))
    return tuple(found)


def host_tiles(chip: Chip, side: str) -> tuple[int, ...]:
    """Tiles behind the host's streams, in the streams' order; `side` is `inputs` or `outputs`."""
    return tuple(row * chip.grid.columns + column for row, column in getattr(chip.host, side))


NORTH, SOUTH = "north", "south"
"""The two sides of a GDPU slice, each linked with one tile in both directions."""


def gdpu_tiles(chip: Chip, number: int) -> dict[str, int]:
    """Tiles linked with GDPU slice `number`, by the side of the slice that they are on.

    A chip with one row of tiles has none to the north.
    """
    row = chip.grid.rows // 2
    tiles = {SOUTH: row * chip.grid.columns + number}
    return {NORTH: tiles[SOUTH] - chip.grid.columns, **tiles} if row else tiles


def gdpu_slice(chip: Chip, tile: int) -> int | None:
    """The GDPU slice that `tile` is linked with, or None."""
    number = tile % chip.grid.columns
    return number if tile in gdpu_tiles(chip, number).values() else None
