"""The route table of a link controller: where the packets of every stream go on."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.fabric.link_sizes import LinkSizes


class RouteWrite(wiring.Signature):
    """A route table entry on its way into the table, see `caduceus.spec.program.Route`.

    Attributes:
        write: one clock: store the entry.
        stream: which entry.
        mask: its sinks, a bit each; none means that there is no entry.
        start, length: the slice of the payload that the tile keeps.
        part: which part of the tile's input vector it is.
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
    """A source's look into the table, as the source sees it.

    Attributes:
        arriving: a stream; known: in the same clock, whether it has an entry.
        next: a stream; entry: a clock later, what the memory has of it.
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
    """An entry for each stream, in a memory with a read port for each source.

    Latency: a lookup finds an entry from two clocks after its write on.

    Attributes (domain `sync`):
        write: an entry to store.
        lookups: one for each source.
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
        known = Signal(streams)  # the memory itself outlives a reset
        write = memory.write_port()
        # A clock of its own for a write: it comes from the end of the registers' longest path.
        m.d.sync += [
            write.en.eq(routes.write),
            write.addr.eq(routes.stream),
            write.data.eq(Cat(routes.mask, routes.start, routes.length, routes.part)),
        ]
        with m.If(write.en):
            m.d.sync += known.bit_select(write.addr, 1).eq(write.data.mask.any())
        for lookup in self.lookups:
            read = memory.read_port()
            m.d.comb += [
                lookup.known.eq(known.bit_select(lookup.arriving, 1)),
                read.addr.eq(lookup.next),
                lookup.entry.eq(read.data),
            ]
        return m
