"""Whether the buffers of a program's tiles suffice for its images, what they need, what would do.

The program runs here on packets without values. A source sends a packet when all its destinations
have room for it. That is stricter than the chip, which delivers to each as it can and has room on
its links. A tile makes its results one after another, each when its pixels are in the activation
buffer and its RX packet in the RX buffer. No two streams share a link (checked, too), so nothing
else can stop a packet. A tile's behavior depends on the packets that it got, not on when they came:
a Kahn process network with bounded buffers. If it stops in one order of events it stops in every
order, and more room never makes it stop. So one run decides. It decides for any number of images
once the chip, between two images, is in a state that it was in before.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from caduceus.spec.chip import BUFFER_MAX, Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import INPUT, RX
from caduceus.spec.feature_map import Window
from caduceus.spec.paths import Stream, demand_one_source
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing
from caduceus.spec.streams import trace

IMAGES_MAX = 64
"""Images after which the state must have come back: buffers hold parts of a few."""

Place = tuple[int, str]
"""A buffer: tile, and `fabric.INPUT` or `fabric.RX`."""


KEYS = {INPUT: "activation", RX: "rx"}
"""By buffer its size's key in `buffers` of a chip description."""
_NAMES = {INPUT: "activation buffer", RX: "RX buffer"}


@dataclass(frozen=True)
class Need:
    """Bytes that a buffer of a tile must hold.

    Attributes:
        tile: the tile; sink: which of its buffers.
        bytes: that suffice if every other buffer holds what it needs.
        limit: bytes of the chip's buffer.
    """

    tile: int
    sink: str
    bytes: int
    limit: int


class TooSmall(UserError):
    """Buffers do not suffice."""


def check(program: Program, chip: Chip) -> None:
    """Refuse a program that could stop because a buffer is full, or whose streams share links.

    Raises:
        TooSmall: buffers are too small; the sentence names those that fill up, and sizes that would
            do.
        UserError: streams share a link, or the program is not as `spec.streams.trace` demands.
    """
    demand_one_source(program, chip)
    _check_links(trace(program, chip).streams)
    got = _limits(chip)
    full = _Flow(program, chip, _room(program, chip, got)).blocked()
    if not full:
        return
    named = {f"the {_NAMES[sink]} of layer {_layer(program, tile)}": None for tile, sink in full}
    enough = _enough(program, chip)
    if enough is None:
        advice = f", and nothing up to {BUFFER_MAX} would do"
    else:
        larger = {sink: size for sink, size in enough.items() if size > got[sink]}
        advice = f"; {_settings(larger)} would do"
    raise TooSmall(
        f"network {program.network} on chip {chip.name}: buffers are too small: the program stops "
        f"with {' and '.join(named)} full: got {_settings(got)}{advice}"
    )


def needs(
    program: Program, chip: Chip, limits: Mapping[str, int] | None = None
) -> tuple[Need, ...]:
    """What every buffer must hold for the program not to stop.

    The largest need of an activation buffer is the least `buffers.activation` that the program runs
    with, given `buffers.rx`; that of an RX buffer is then the least `buffers.rx`. What single tiles
    need is found as Parks did (1995): with the least room that each can work with, and a place more
    for whatever stops the program, up to these sizes, until nothing does.

    Args:
        program: one that `check` accepts.
        chip: the chip description.
        limits: bytes by buffer, instead of the chip's.

    Raises:
        TooSmall: it stops at these limits.
        UserError: it stops for another reason than a full buffer.
    """
    given = dict(limits or _limits(chip))
    sizes, least = _sizes(program, chip), _least(program)
    found: Mapping[str, int] | None = given
    for sink in (INPUT, RX):
        least_bytes = [least[place] * sizes[place] for place in least if place[1] == sink]
        start = {**found, sink: max(least_bytes, default=0)}
        found = _grown(program, chip, start, (sink,))
        if found is None or found[sink] > given[sink]:
            raise TooSmall(
                f"network {program.network}: buffers are too small: got {_settings(given)}"
            )
    most = _room(program, chip, found)
    flow = _Flow(program, chip, least)
    while full := flow.blocked():
        # A ring whose buffers are all as large as can be would stop the program with these sizes.
        place = min(
            (place for place in full if place in sizes and flow.room()[place] < most[place]),
            key=lambda place: (sizes[place], place),
        )
        flow.resize({place: flow.room()[place] + 1})
    return tuple(
        Need(tile, sink, count * sizes[tile, sink], given[sink])
        for (tile, sink), count in sorted(flow.room().items())
    )


def _limits(chip: Chip) -> dict[str, int]:
    """Bytes of a tile's buffers."""
    return {sink: getattr(chip.buffers, key) for sink, key in KEYS.items()}


def _settings(sizes: Mapping[str, int]) -> str:
    """Sizes as in a chip description."""
    return " and ".join(f"buffers.{KEYS[sink]} = {size}" for sink, size in sizes.items())


def _enough(program: Program, chip: Chip) -> dict[str, int] | None:
    """Sizes at which the program runs: one of the two larger if that suffices, else both.

    Each is one that a chip description may have. None if there are none.
    """
    given = _limits(chip)
    alone = [_grown(program, chip, given, (sink,)) for sink in (INPUT, RX)]
    found = [sizes for sizes in alone if sizes is not None]
    if not found:
        both = _grown(program, chip, given, (INPUT, RX))
        if both is None:
            return None
        found = [both]
    best = min(found, key=lambda sizes: sum(sizes.values()))
    steps = {INPUT: chip.buffers.gather, RX: chip.link.units}
    rounded = {sink: -(-size // steps[sink]) * steps[sink] for sink, size in best.items()}
    return rounded if max(rounded.values()) <= BUFFER_MAX else None


def _grown(
    program: Program, chip: Chip, start: Mapping[str, int], free: Collection[str]
) -> dict[str, int] | None:
    """Bytes by buffer, equal for all tiles, so that the program does not stop.

    Those of `free` grow from `start` on, and no more than they must if there is one of them. None
    if they would be larger than any chip's.
    """
    found, sizes = dict(start), _sizes(program, chip)
    flow = _Flow(program, chip, _room(program, chip, found))
    while full := flow.blocked():
        # One of the full buffers must hold a place more, whatever the others hold.
        wanted = [
            ((flow.room()[place] + 1) * sizes[place], place[1])
            for place in full
            if place[1] in free and place in sizes
        ]
        size, sink = min(wanted, key=lambda w: w[0] - found[w[1]], default=(BUFFER_MAX + 1, ""))
        if size > BUFFER_MAX:
            return None
        found[sink] = size
        flow.resize(_room(program, chip, found))
    return found


def _room(program: Program, chip: Chip, limits: Mapping[str, int]) -> dict[Place, int]:
    """Places of pixels, or of RX packets, that fit that many bytes."""
    return {place: limits[place[1]] // size for place, size in _sizes(program, chip).items()}


def _layer(program: Program, number: int) -> str:
    (tile,) = (tile for tile in program.tiles if tile.tile == number)
    return tile.block.layer if tile.block else "of no name"


def _check_links(streams: tuple[Stream, ...]) -> None:
    taken: dict[str, int] = {}
    for stream in streams:
        for hop in stream.hops:
            for sink, name in zip(hop.sinks, hop.channels, strict=True):
                if sink in (INPUT, RX):
                    continue
                if name in taken:
                    raise UserError(
                        f"program: streams {taken[name]} and {stream.number} share {name}: "
                        "expected one stream per link where tiles gather from feature maps"
                    )
                taken[name] = stream.number


def _sizes(program: Program, chip: Chip) -> dict[Place, int]:
    """Bytes that a pixel, or an RX packet, takes, by buffer whose size counts."""
    found = {}
    for tile in computing(program):
        if tile.config.window is not None:
            found[tile.tile, INPUT] = tile.config.window.channels
        if tile.config.rx_enable:
            found[tile.tile, RX] = chip.rx_place(tile.config.rx_bytes)
    return found


def _least(program: Program) -> dict[Place, int]:
    """Room without which a tile could make nothing: a window's pixels, and one RX packet."""
    found = {}
    for tile in computing(program):
        window = tile.config.window
        if window is not None:
            newest, oldest = _bounds(window, tile.config.rows)
            found[tile.tile, INPUT] = max(
                1, *(last - first + 1 for last, first in zip(newest, oldest, strict=False))
            )
        if tile.config.rx_enable:
            found[tile.tile, RX] = 1
    return found


@cache
def _bounds(window: Window, rows: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """By result, its last pixel, and the first that it or a later one is made of."""
    return (
        tuple(window.newest(result, rows) for result in range(window.results)),
        tuple(window.oldest(result) for result in range(window.results + 1)),
    )


class _Tile:
    """A tile's packets and results so far.

    Attributes:
        made: results.
        packets: received packets of pixels.
        waiting: RX packets that wait; added: received RX packets.
    """

    def __init__(self, tile: TileProgram, room: Mapping[Place, int]) -> None:
        config = tile.config
        self.config, self.window = config, config.window
        self.made = self.packets = self.waiting = self.added = 0
        self.parts = len(config.input_parts)
        window = config.window
        # Without a window there is room for one vector, whatever the buffer's size.
        self.capacity = room.get((tile.tile, INPUT), 1)
        self.rx_capacity = room.get((tile.tile, RX), 0)
        self.results = 1
        if window is not None:
            self.results, self.pixels = window.results, window.pixels
            self.newest, self.oldest = _bounds(window, config.rows)

    @property
    def released(self) -> int:
        """Pixels that are no longer needed."""
        image, result = divmod(self.made, self.results)
        if self.window is None:
            return self.made
        return image * self.pixels + self.oldest[result]

    def turn(self, sink: str) -> int | None:
        """Number of the part that must come next; None if any may."""
        if sink == RX:
            return self.added % self.config.rx_parts if self.config.rx_parts > 1 else None
        return self.packets % self.parts if self.window is not None and self.parts > 1 else None

    def has_room(self, sink: str, part: int) -> bool:
        """Whether a packet of that part may come."""
        if self.turn(sink) not in (None, part):
            return False
        if sink == RX:
            return self.waiting < self.rx_capacity
        per_pixel = self.window.packets if self.window else self.parts
        first = self.packets % per_pixel == 0
        return not first or self.packets // per_pixel - self.released < self.capacity

    def take(self, sink: str) -> None:
        """A packet comes."""
        if sink == RX:
            self.waiting += 1
            self.added += 1
        else:
            self.packets += 1

    def ready(self) -> bool:
        """Whether the pixels and the RX packet of the next result are there."""
        if self.config.rx_enable and not self.waiting:
            return False
        image, result = divmod(self.made, self.results)
        if self.window is None:
            return self.packets >= (self.made + 1) * self.parts
        newest = image * self.pixels + self.newest[result] + 1
        return self.packets // self.window.packets >= newest

    def sends(self) -> bool:
        """Whether a packet leaves with the next result."""
        pooling = self.config.pooling
        if pooling is None:
            return True
        row, column = divmod(self.made % self.results, pooling.width)
        size = pooling.size
        inside = row < pooling.down * size and column < pooling.across * size
        return inside and row % size == size - 1 and column % size == size - 1

    def make(self) -> None:
        """Make the next result."""
        self.made += 1
        self.waiting -= self.config.rx_enable

    def state(self, images: int) -> tuple[int, ...]:
        """Counts relative to those after `images` images with nothing under way."""
        window = self.window
        pixels = window.pixels * window.packets if window else self.parts
        return (
            self.made - images * self.results,
            self.packets - images * pixels,
            self.added - images * self.results * self.config.rx_enable,
            self.waiting,
        )


class _Flow:
    """A program's packets, with `room` for so many pixels and RX packets in each buffer."""

    def __init__(self, program: Program, chip: Chip, room: Mapping[Place, int]) -> None:
        self._program, self._room = program, dict(room)
        self._tiles = {tile.tile: _Tile(tile, room) for tile in computing(program)}
        tables = {
            tile.tile: {route.stream: route.part for route in tile.routes} for tile in program.tiles
        }
        self._senders: dict[tuple[int, str, int], int | None] = {}
        self._ends: dict[int | None, list[list[tuple[int, str, int]]]] = defaultdict(list)
        streams = trace(program, chip).streams
        for stream in streams:
            ends = [
                (tile, sink, tables[tile][stream.number])
                for sink in (INPUT, RX)
                for tile in stream.ends(sink)
            ]
            self._ends[stream.producer].append(ends)
            for tile, sink, part in ends:
                turns = sink == INPUT or self._tiles[tile].config.rx_parts > 1
                self._senders[tile, sink, part if turns else 0] = stream.producer
        (last,) = {
            stream.producer
            for stream in streams
            for output in program.outputs[:1]
            if stream.number == output.stream
        }
        self._last = last
        # The host's streams, each of which sends its own packets.
        self._sent = [0] * len(self._ends[None])

    def room(self) -> Mapping[Place, int]:
        """Capacities of all buffers whose size counts, in pixels and RX packets."""
        return self._room

    def resize(self, room: Mapping[Place, int]) -> None:
        """Give buffers other capacities, none smaller than before."""
        self._room |= room
        for (number, sink), places in room.items():
            if sink == RX:
                self._tiles[number].rx_capacity = places
            else:
                self._tiles[number].capacity = places

    def blocked(self) -> list[Place]:
        """Buffers that are full when the program has stopped; empty if it never does.

        It begins, or goes on, where the program stands.
        """
        seen = set()
        begun = self._images()
        for images in range(begun + 1, begun + IMAGES_MAX + 1):
            while self._images() < images:
                if not self._step():
                    return self._full()
            state = tuple(tile.state(images) for tile in self._tiles.values())
            sent = tuple(s - images * self._program.input_pixels for s in self._sent)
            if (state, sent) in seen:
                return []
            seen.add((state, sent))
        raise UserError(
            f"network {self._program.network}: after {IMAGES_MAX} images the chip is still in a "
            "new state: expected a program that comes to rest in a period"
        )

    def _images(self) -> int:
        """Images whose last output has left."""
        if self._last is None:
            return self._sent[0] // self._program.input_pixels
        tile = self._tiles[self._last]
        return tile.made // tile.results

    def _fits(self, ends: list[tuple[int, str, int]]) -> bool:
        return all(self._tiles[tile].has_room(sink, part) for tile, sink, part in ends)

    def _send(self, ends: list[tuple[int, str, int]]) -> None:
        for tile, sink, _ in ends:
            self._tiles[tile].take(sink)

    def _step(self) -> bool:
        """Make every result and send every packet that can go now; whether there was any."""
        happened = sent = False
        for number, tile in self._tiles.items():
            while tile.ready():
                (ends,) = self._ends[number] or [[]]
                sends = tile.sends()
                if sends and not self._fits(ends):
                    break
                tile.make()
                if sends:
                    self._send(ends)
                happened = True
                if number == self._last and tile.made % tile.results == 0:
                    return True
        for index, ends in enumerate(self._ends[None]):
            # Only when nothing else can happen: so that the state between images comes back soon.
            if not happened and self._fits(ends):
                self._send(ends)
                self._sent[index] += 1
                sent = True
        return happened or sent

    def _full(self) -> list[Place]:
        """The full buffers in the ring of what waits for what, now that nothing can happen.

        Everything waits for something, so following it from anywhere leads into a ring.
        """
        node, seen = self._last, {}
        way: list[tuple[int | None, Place | None]] = []
        while node not in seen:
            seen[node] = len(way)
            other, full = self._waits_for(node)
            way.append((node, full))
            node = other
        return sorted({full for _, full in way[seen[node] :] if full is not None})

    def _waits_for(self, node: int | None) -> tuple[int | None, Place | None]:
        """The sender that a tile, or the image (None), waits for, and the full buffer between."""
        if node is not None and not self._tiles[node].ready():
            tile = self._tiles[node]
            if tile.config.rx_enable and not tile.waiting:
                return self._senders[node, RX, tile.added % tile.config.rx_parts], None
            return self._senders[node, INPUT, tile.packets % tile.parts], None
        for ends in self._ends[node]:
            for tile, sink, part in ends:
                held = self._tiles[tile]
                if held.has_room(sink, part):
                    continue
                turn = held.turn(sink)
                if turn not in (None, part):
                    return self._senders[tile, sink, turn], None
                return tile, (tile, sink)
        raise UserError(f"network {self._program.network}: tiles wait for packets that never come")
