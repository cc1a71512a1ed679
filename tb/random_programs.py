"""Random programs for a chip: any dataflow that its links allow without deadlock."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from caduceus.compiler import deadlock
from caduceus.compiler.route import Link, Router
from caduceus.compiler.routed_streams import Kept, entries
from caduceus.spec import fabric, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import HOST, INPUT, RX, payload_max
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import HostStream, Program, Route, TileConfig, TileProgram, chip_digest
from caduceus.spec.program_codes import computing, device_codes
from caduceus.spec.streams import trace
from tb.tile_bench import random_config, random_state

_ALSO_OUT, _STRAIGHT, _WANDER = 0.2, 0.2, 0.3
"""Probabilities: results that a tile takes also leave; a stream leaves twice; the host sends a
packet to itself; routes take detours."""
_TRIES = 12
"""Draws for a number of tiles before the next number."""


class _Wanderer(Router):
    """Takes any route, and shares links with any stream."""

    def __init__(self, chip: Chip, random: np.random.Generator) -> None:
        super().__init__(chip)
        self._random = random

    def _weight(self, link: Link, other: int, source: int, group: Hashable) -> int:
        return int(self._random.integers(1, 100))


@dataclass
class _Packet:
    """A drawn stream: its source, its length, and its receivers.

    Attributes:
        source: the tile where it enters the fabric.
        port: its host input, or None.
        length: of the payload, in bytes.
        takes: for each tile that keeps a part: its sink, start and length.
        leaves: host outputs that get all of it.
        binary16: it holds binary16 results, which no INPUT accepts.
    """

    source: int
    port: int | None
    length: int
    takes: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    leaves: set[int] = field(default_factory=set)
    binary16: bool = False


class _Draft:
    """A drawn program, tile by tile; each tile takes vectors of earlier tiles."""

    def __init__(self, random: np.random.Generator, chip: Chip, tiles: int) -> None:
        self._random, self._chip, self._most = random, chip, payload_max(chip)
        self._binary16 = chip.link.partial_sums == "binary16"
        self.packets: list[_Packet] = []
        self.configs: dict[int, TileConfig] = {}
        self.results: dict[int, _Packet] = {}
        # The probabilities differ between programs: higher ones deadlock more easily.
        self._host_share, self._rx_share, self._shared = random.uniform(0, (1, 0.7, 0.7))
        self.mode = ReadMode.FOUR_PHASE if self._chance(0.3) else ReadMode.ONE_PHASE
        for tile in random.choice(chip.tiles, tiles, replace=False).tolist():
            self._add(tile)
        if self._chance(_STRAIGHT):
            self._from_host(self._below(self._most))
        outputs = len(chip.host.outputs)
        for packet in self.packets:
            if not packet.takes or self._chance(_ALSO_OUT):
                several = min(outputs, 1 + self._chance(_ALSO_OUT))
                packet.leaves |= set(random.choice(outputs, several, replace=False).tolist())

    def _chance(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _below(self, most: int) -> int:
        """A number from 1 to `most`."""
        return int(self._random.integers(1, most + 1))

    def _from_host(self, least: int) -> _Packet:
        """A new packet of the host, of length `least` or more."""
        port = int(self._random.integers(len(self._chip.host.inputs)))
        length = least if self._chance(0.5) else int(self._random.integers(least, self._most + 1))
        edge = fabric.host_tiles(self._chip, "inputs")[port]
        self.packets.append(_Packet(edge, port, length))
        return self.packets[-1]

    def _add(self, tile: int) -> None:
        chip = self._chip
        source = self._choose(tile, INPUT)
        most = chip.array.rows if source is None else min(chip.array.rows, source.length)
        rows, columns = self._below(most), self._below(chip.array.columns)
        self._take(tile, INPUT, rows, source or self._from_host(rows))
        with_rx, rx_binary16 = self._chance(self._rx_share), False
        tx_binary16 = self._binary16 and self._chance(0.5)
        if with_rx:
            partner = self._choose(tile, RX)
            if partner is None:
                rx_binary16 = self._binary16 and self._chance(0.5)
            else:
                rx_binary16 = partner.binary16
                columns = min(columns, partner.length // (2 if rx_binary16 else 1))
            length = columns * (2 if rx_binary16 else 1)
            self._take(tile, RX, length, partner or self._from_host(length))
        flags = self._chance(0.2), self._chance(0.3), with_rx
        config = random_config(self._random, chip, self.mode, *flags)
        constants = np.resize(config.constants, (columns, config.constants.shape[1]))
        config = replace(config, rows=rows, columns=columns, constants=constants)
        config = replace(config, rx_binary16=rx_binary16, tx_binary16=tx_binary16)
        self.configs[tile] = config
        self.results[tile] = _Packet(tile, None, config.tx_bytes, binary16=tx_binary16)
        self.packets.append(self.results[tile])

    def _choose(self, tile: int, sink: str) -> _Packet | None:
        """An existing packet that `sink` can take, or None for a new packet of the host."""
        from_host = self._chance(self._host_share)
        known = [
            packet
            for packet in self.packets
            if tile not in packet.takes
            and (packet.port is not None) == from_host
            and not (sink == INPUT and packet.binary16)
        ]
        if not known or (from_host and not self._chance(self._shared)):
            return None
        return known[int(self._random.integers(len(known)))]

    def _take(self, tile: int, sink: str, length: int, packet: _Packet) -> None:
        units = self._chip.link.units
        start = int(self._random.integers((packet.length - length) // units + 1)) * units
        packet.takes[tile] = sink, min(start, (self._most - 1) // units * units), length


def draw(random: np.random.Generator, chip: Chip, tiles: int) -> Program:
    """A random program with `tiles` computing tiles. It might deadlock.

    Raises:
        UserError: a required link does not exist.
    """
    draft = _Draft(random, chip, tiles)
    router = _Wanderer(chip, random) if random.random() < _WANDER else Router(chip)
    numbers = random.permutation(fabric.STREAMS).tolist()
    edges = fabric.host_tiles(chip, "outputs")
    routes: dict[int, list[Route]] = defaultdict(list)
    inputs, outputs, preambles = [], [], {}
    received = 0
    whole = max([packet.length for packet in draft.packets if packet.port is not None])
    whole += int(random.integers(payload_max(chip)))
    for number, packet in zip(numbers, draft.packets, strict=False):
        ends = [(tile, sink) for tile, (sink, _, _) in packet.takes.items()]
        ends += [(edges[port], HOST) for port in packet.leaves]
        group = ("port", packet.port) if packet.port is not None else ("tile", packet.source)
        shuffled = [ends[index] for index in random.permutation(len(ends))]
        tree = router.tree(packet.source, shuffled, group)
        kept = {tile: Kept(start, length) for tile, (_, start, length) in packet.takes.items()}
        for tile, route in entries(chip, number, tree, kept, Kept(0, 0)):
            routes[tile].append(route)
        if packet.port is not None:
            start = int(random.integers(whole - packet.length + 1))
            inputs.append(HostStream(packet.port, number, start, packet.length))
        else:
            preambles[packet.source] = number
        for port in sorted(packet.leaves):
            outputs.append(HostStream(port, number, received, packet.length))
            received += packet.length
    codes = {
        tile: random_state(random, chip).codes[0, : config.rows, : config.columns]
        for tile, config in draft.configs.items()
    }
    return Program(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network="random",
        read_mode=draft.mode,
        tiles=tuple(
            TileProgram(
                tile,
                tuple(random.permutation(np.array(routes[tile], dtype=object)).tolist()),
                draft.configs.get(tile),
                codes.get(tile),
                preambles.get(tile),
            )
            for tile in sorted(routes)
        ),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        input_length=whole,
        output_length=received,
    )


def programs(random: np.random.Generator, chip: Chip, most: int | None = None) -> Iterator[Program]:
    """Endless random programs for `chip`, of up to `most` computing tiles, without deadlock."""
    most = min(most or chip.tiles, chip.tiles)
    while True:
        # Small programs are as likely as large ones.
        tiles = min(most, int(np.exp(random.uniform(0, np.log(most + 1)))))
        for _ in range(_TRIES):
            program = draw(random, chip, tiles)
            if _accepted(program, chip):
                yield program
                break


def _accepted(program: Program, chip: Chip) -> bool:
    """Whether the compiler's deadlock check accepts it."""
    try:
        deadlock.check(program, chip)
    except UserError:
        return False
    return True


def random_devices(random: np.random.Generator, program: Program, chip: Chip) -> PcmState:
    """The program's codes on converters of random gain and offset, with read noise."""
    drawn = [random_state(random, chip) for _ in computing(program)]
    parts = {
        name: np.concatenate([getattr(state, name) for state in drawn])
        for name in ("gain_p", "gain_n", "offset_p", "offset_n", "noise")
    }
    return PcmState(chip=chip.name, seed=drawn[0].seed, codes=device_codes(program, chip), **parts)


def random_vectors(random: np.random.Generator, program: Program, count: int) -> np.ndarray:
    """Input vectors, int8 [count, program.input_length]; cover every value, -128 included."""
    lowest = -formats.INT8_MAX - 1
    shape = (count, program.input_length)
    return random.integers(lowest, formats.INT8_MAX + 1, shape, dtype=np.int8)


def hops(program: Program, chip: Chip) -> int:
    """Packets that enter a tile's link controller per input vector, from any source."""
    return sum(len(stream.hops) for stream in trace(program, chip).streams)


def describe(program: Program) -> str:
    """Streams and sizes of the program in words, for the log of a failure."""
    lines = [f"{program.read_mode} reads"]
    for side in ("inputs", "outputs"):
        lines += [f"{side}: {stream}" for stream in getattr(program, side)]
    for tile in program.tiles:
        config = tile.config
        sizes = "forwards"
        if config is not None:
            sizes = f"{config.rows}x{config.columns}, rx {config.rx_enable}, tx {tile.tx_stream}"
        lines.append(f"tile {tile.tile}: {sizes}")
        lines += [f"    {route}" for route in tile.routes]
    return "\n".join(lines) + "\n"
