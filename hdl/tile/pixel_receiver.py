"""The pixel receiver: admits packets and writes them as pixels to the activation buffer's ring."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.vector_receiver import VectorReceiver
from caduceus.hdl.fabric.link_credit import InputCredit
from caduceus.hdl.tile.activation_buffer import address_bits, around
from caduceus.hdl.tile.gather_config import GatherConfig
from caduceus.hdl.tile.input_assembler import PartWrite
from caduceus.spec import fabric
from caduceus.spec.formats import ACTIVATION_BITS

UNDERWAY_MAX = fabric.PARTS - 1
"""Largest number of admitted packets that have not arrived: far more than the path can hold."""


class PixelReceiver(wiring.Component):
    """Admits packets in sequence, and writes them to the ring one after the other.

    A pixel's first packet is admitted while fewer than `config.ring_pixels` pixels are held. A
    pixel is held from then until its release, so every admitted packet has a place in the ring.

    Back-pressure: the stream waits only for `accept`, and while a short packet is padded. After a
    dropped packet no packet is admitted until all earlier ones have arrived; then its place in the
    ring is skipped and keeps its old content.

    Latency: a beat is written in the clock in which it is accepted.

    Errors: wrong lengths as in `VectorReceiver`.

    Attributes (domain `sync`):
        config, parts: registers; quasi-static. `pixel_bytes` is the sum of the lengths of a pixel's
            `pixel_packets` packets.
        table: lengths of the parts, if there are several; quasi-static.
        accept: the stream may be accepted.
        stream: admitted packets.
        credit: `room` is 1 for the next part in the sequence if its packet may be admitted, and 0
            for all others. A drop refers to the packet admitted last.
        write_enable, write_address, write_count, write_data: the activation buffer's.
        arrived: pulse of one clock: a pixel is complete and can be read from the next clock on.
        release: pulse of one clock: a pixel returns its place; only while `holds`.
        holds: at least one pixel is held.
        too_short, too_long: pulse of one clock: a packet was shorter or longer than its length.
        busy: a packet is in progress, or the place of a dropped one is being skipped.
    """

    def __init__(self, units: int, size: int, rows: int, payload: int) -> None:
        """Make a receiver.

        Args:
            units: bytes per beat.
            size: bytes of the activation buffer.
            rows: rows of the array, the largest length of a part.
            payload: bytes of the longest packet.
        """
        self._units, self._size = units, size
        self._longest = max(payload, rows)
        super().__init__(
            {
                "config": In(GatherConfig()),
                "parts": In(range(fabric.PARTS + 1)),
                "table": In(PartWrite(rows)),
                "accept": In(1),
                "stream": In(AxiStream(units)),
                "credit": In(InputCredit()),
                "write_enable": Out(1),
                "write_address": Out(address_bits(size)),
                "write_count": Out(range(units + 1)),
                "write_data": Out(units * ACTIVATION_BITS),
                "arrived": Out(1),
                "release": In(1),
                "holds": Out(1),
                "too_short": Out(1),
                "too_long": Out(1),
                "busy": Out(1),
            }
        )

    def _turn(self, m: Module, name: str, advance: Value) -> tuple[Signal, Signal, Value]:
        """The next part in the sequence, its position in its pixel, and whether it is the last."""
        part = Signal(range(fabric.PARTS), name=f"{name}_part")
        packet = Signal(range(fabric.PARTS), name=f"{name}_packet")
        last = packet == self.config.pixel_packets - 1
        with m.If(advance):
            m.d.sync += [
                part.eq(Mux(part == self.parts - 1, 0, part + 1)),
                packet.eq(Mux(last, 0, packet + 1)),
            ]
        return part, packet, last

    def _length(self, m: Module, part: Value) -> Value:
        """Bytes of a packet of `part`."""
        table = self.table
        lengths = Memory(shape=table.length.shape(), depth=fabric.PARTS, init=[])
        m.submodules.lengths = lengths
        # Read in the same clock: the clock may stop as soon as the table is written.
        write, read = lengths.write_port(), lengths.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(table.write),
            write.addr.eq(table.part),
            write.data.eq(table.length),
            read.addr.eq(part),
        ]
        return Mux(self.parts == 1, self.config.pixel_bytes, read.data)

    def _let_in(self, m: Module, here: Value, dropped: Value) -> Value:
        """Grant places; `here` and `dropped` mark the end of an admitted packet.

        Returns:
            Whether the dropped packet is the next to arrive, so that its place may be skipped.
        """
        config, credit = self.config, self.credit
        taken = Signal()
        m.d.comb += taken.eq(credit.take & config.enable)
        part, packet, last = self._turn(m, "next", taken)
        held = Signal(range(self._size + 1))
        underway = Signal(range(UNDERWAY_MAX + 1))
        drop, admits = Signal(), Signal(init=1)
        m.d.comb += self.holds.eq(held != 0)

        dropping = Signal()
        m.d.comb += dropping.eq((credit.drop & config.enable) | (drop & ~dropped))
        m.d.sync += drop.eq(dropping)
        # `credit.take` ends the switch's longest path, which begins at `credit.room`. So both
        # outcomes are computed in advance, and the room of the next clock is registered.
        first = packet == 0
        with_it, without = Signal.like(held), Signal.like(held)
        held_fits, fits = Signal(), Signal()
        m.d.comb += [
            without.eq(held - self.release),
            with_it.eq(held + first - self.release),
            fits.eq(~first | (without < config.ring_pixels)),
            held_fits.eq(~last | (with_it < config.ring_pixels)),
        ]
        gone = Signal()
        m.d.comb += gone.eq(here | dropped)
        m.d.sync += [
            held.eq(Mux(taken, with_it, without)),
            underway.eq(Mux(taken, underway + ~gone, underway - gone)),
            admits.eq(
                ~dropping
                & Mux(
                    taken,
                    held_fits & (gone | (underway != UNDERWAY_MAX - 1)),
                    fits & (gone | (underway != UNDERWAY_MAX)),
                )
            ),
        ]
        m.d.comb += credit.room.eq(
            Mux(config.enable, Mux(admits, Const(1, fabric.PARTS) << part, 0), ~0)
        )
        return drop & (underway == 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, units = self.config, self._units
        # Raw: the modulator reads -128 as -127.
        m.submodules.receive = receive = VectorReceiver(units, self._longest // units, raw=True)
        stream, accept = receive.stream, self.accept & config.enable
        stored = receive.valid & accept
        here, dropped = Signal(), Signal()
        part, _, last = self._turn(m, "current", here | dropped)
        length = self._length(m, part)
        m.d.comb += [
            stream.tdata.eq(self.stream.tdata),
            stream.tkeep.eq(self.stream.tkeep),
            stream.tlast.eq(self.stream.tlast),
            stream.tvalid.eq(self.stream.tvalid & accept),
            self.stream.tready.eq(stream.tready & accept),
            receive.ready.eq(accept),
            receive.length.eq(length),
            here.eq(stored & receive.last),
            dropped.eq(self._let_in(m, here, dropped)),
            self.arrived.eq((here | dropped) & last),
        ]

        address = Signal.like(self.write_address)
        in_last = Signal(range(units + 1))  # bytes in a packet's last beat
        m.d.comb += in_last.eq(length - (receive.group << exact_log2(units)))
        count = Mux(receive.last, in_last, units)
        m.d.comb += [
            self.write_enable.eq(stored),
            self.write_address.eq(address),
            self.write_count.eq(count),
            self.write_data.eq(receive.data),
            self.too_short.eq(receive.short),
            self.too_long.eq(receive.long),
            self.busy.eq(receive.midway | dropped),
        ]
        # A packet never goes beyond the ring's end: the ring is a multiple of the pixels.
        with m.If(stored | dropped):
            m.d.sync += address.eq(around(address, Mux(dropped, length, count), config.ring_size))
        return m
