"""The route table of a link controller: the sinks of every stream's packets."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.fabric.link_sizes import LinkSizes

_WORD = 32
"""Bits of `known` that are written together."""


class RouteWrite(wiring.Signature):
    """Write port of the route table, see `caduceus.spec.program.Route`.

    Attributes:
        write: pulse of one clock: store the entry.
        stream: number of the entry.
        mask: mask of its sinks; 0: no entry.
        start, length: the slice of the payload that the tile keeps.
        part: the slice's part number in the tile's input vector.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        super().__init__(
            {
                "write": Out(1),
                "stream": Out(sizes.stream_bits),
                "mask": Out(len(sizes.sinks)),
                "start": Out(sizes.length_bits),
                "length": Out(sizes.length_bits),
                "part": Out(sizes.part_bits),
            }
        )


class RouteLookup(wiring.Signature):
    """Read port of the route table, from the source's side.

    Attributes:
        arriving: a stream; known: in the same clock, whether it has an entry.
        next: a stream; entry: its entry, one clock later.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        super().__init__(
            {
                "arriving": Out(sizes.stream_bits),
                "known": In(1),
                "next": Out(sizes.stream_bits),
                "entry": In(sizes.entry),
            }
        )


class RouteTable(wiring.Component):
    """A memory with one entry per stream and one read port per source.

    Latency: a lookup finds an entry two clocks after its write or later.

    Attributes (domain `sync`):
        write: the write port.
        lookups: the read ports.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        self._sizes = sizes
        super().__init__(
            {
                "write": In(RouteWrite(sizes)),
                "lookups": In(RouteLookup(sizes)).array(len(sizes.sources)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams, routes = self._sizes.streams, self.write
        m.submodules.memory = memory = Memory(shape=self._sizes.entry, depth=streams, init=[])
        known = Signal(streams)  # reset clears these bits, but not the memory
        write = memory.write_port()
        # A pipeline stage for writes, which come from the end of the registers' longest path.
        m.d.sync += [
            write.en.eq(routes.write),
            write.addr.eq(routes.stream),
            write.data.eq(Cat(routes.mask, routes.start, routes.length, routes.part)),
        ]
        # Word by word, and a bit is toggled if it differs: each bit with an enable of its own would
        # cost a simulator 256 tests in every clock.
        differs = known.bit_select(write.addr, 1) ^ write.data.mask.any()
        for start in range(0, streams, _WORD):
            word = known[start : start + _WORD]
            with m.If(write.en & (write.addr // _WORD == start // _WORD)):
                m.d.sync += word.eq(word ^ (differs << write.addr % _WORD))
        for lookup in self.lookups:
            read = memory.read_port()
            m.d.comb += [
                lookup.known.eq(known.bit_select(lookup.arriving, 1)),
                read.addr.eq(lookup.next),
                lookup.entry.eq(read.data),
            ]
        return m
