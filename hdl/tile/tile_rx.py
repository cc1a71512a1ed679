"""The RX path of a tile: sequence check, RX buffer, and conversion to the LDPU's groups."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.value_formats import value_formats
from caduceus.hdl.common.vector_receiver import VectorReceiver
from caduceus.hdl.common.width_converter import WidthConverter
from caduceus.hdl.fabric.link_credit import RxCredit
from caduceus.hdl.tile.ldpu import value_bits
from caduceus.hdl.tile.rx_buffer import RxBuffer
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PARTS
from caduceus.spec.formats import ACTIVATION_BITS


class TileRx(wiring.Component):
    """Supplies the LDPU with one group of RX values per group of columns.

    Vectors wait in the RX buffer of `buffers.rx` bytes for their results.

    Latency: none between equal widths while the buffer is empty, otherwise that of `RxBuffer` and
    `WidthConverter`. Back-pressure: the stream waits while the buffer is full.

    Errors: wrong lengths as in `VectorReceiver`. While `enable` is 0, vectors are dropped and
    reported as unexpected.

    Attributes (domain `sync`):
        enable, binary16, columns, parts: registers, see MODE.rx_enable, MODE.rx_binary16, COLUMNS
            and RX_PARTS in `caduceus.spec.registers`; quasi-static.
        restart: pulse of one clock: discard waiting vectors and restart the sequence at part 0;
            only while not `busy`.
        stream: vectors, in the order of their results.
        credit: sequence of the packets.
        valid, values: a group of values, `value_bits` per lane.
        take: the group is consumed in this clock.
        short, long, unexpected: pulse of one clock: a vector was shorter or longer than its length,
            or arrived or waited while `enable` was 0.
        busy: a packet is arriving, being added, or being dropped. Waiting vectors do not count: the
            clock may stop.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        super().__init__(
            {
                "enable": In(1),
                "binary16": In(1),
                "columns": In(range(chip.array.columns + 1)),
                "parts": In(range(PARTS + 1)),
                "restart": In(1),
                "stream": In(AxiStream(chip.link.units)),
                "credit": In(RxCredit()),
                "valid": Out(1),
                "values": Out(chip.ldpu.lanes * value_bits(chip)),
                "take": In(1),
                "short": Out(1),
                "long": Out(1),
                "unexpected": Out(1),
                "busy": Out(1),
            }
        )

    def _give_turns(self, m: Module) -> None:
        """Advance the sequence of parts as their packets are admitted."""
        turn = Signal(range(PARTS))
        with m.If(self.credit.take):
            m.d.sync += turn.eq(Mux(turn == self.parts - 1, 0, turn + 1))
        m.d.comb += self.credit.room.eq(Mux(self.parts == 1, ~0, 1 << turn))

    def _receive(
        self, m: Module, beats: wiring.PureInterface, size: int, chosen: Value
    ) -> tuple[WidthConverter, VectorReceiver]:
        """Receive vectors of `size`-byte values if `chosen`; return converter and receiver."""
        lanes = self._chip.ldpu.lanes
        convert = WidthConverter(self._chip.link.units, lanes * size)
        receive = VectorReceiver(lanes * size, self._chip.column_groups, raw=size > 1)
        # Its content is dropped together with the rest of a vector.
        m.submodules[f"regroup_{size}"] = ResetInserter(~self.enable)(convert)
        m.submodules[f"receive_{size}"] = receive
        connect(m, convert.output, receive.stream)
        m.d.comb += [
            convert.input.tdata.eq(beats.tdata),
            convert.input.tkeep.eq(beats.tkeep),
            convert.input.tlast.eq(beats.tlast),
            convert.input.tvalid.eq(beats.tvalid & self.enable & chosen),
            receive.length.eq(self.columns * size),
            receive.ready.eq(self.take & chosen),
        ]
        with m.If(chosen):
            m.d.comb += self.valid.eq(receive.valid)
            for lane in range(lanes):
                value = receive.data.word_select(lane, size * ACTIVATION_BITS)
                m.d.comb += self.values.word_select(lane, value_bits(self._chip)).eq(value)
        return convert, receive

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = RxBuffer(self._chip)
        connect(m, flipped(self.stream), buffer.input)
        self._give_turns(m)
        beats = buffer.output
        unfinished = Signal()  # within a packet that is dropped
        with m.If(beats.tvalid & ~self.enable):
            m.d.sync += unfinished.eq(~beats.tlast)
        ready, waiting, midway, short, long = ~self.enable, buffer.holds, 0, 0, 0
        for size, chosen in value_formats(self._chip, self.binary16):
            convert, receive = self._receive(m, beats, size, chosen)
            ready |= convert.input.tready & chosen
            waiting |= convert.holds
            midway |= receive.midway
            short |= receive.short
            long |= receive.long
        m.d.comb += [
            beats.tready.eq(ready),
            self.unexpected.eq(~self.enable & (beats.tvalid | waiting)),
            self.short.eq(short),
            self.long.eq(long),
            self.busy.eq(
                (self.stream.tvalid & self.stream.tready)
                | buffer.midway
                | midway
                | (waiting & ~self.enable)
                | unfinished
            ),
        ]
        return ResetInserter(self.restart)(m)
