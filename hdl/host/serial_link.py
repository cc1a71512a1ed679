"""Frames on a byte stream: COBS and CRC, see `caduceus.spec.serial_protocol`."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.crc.catalog import CRC16_GENIBUS
from amaranth.lib.wiring import In, Out

from caduceus.spec.serial_protocol import CONTENT_MAX, CONTENT_MIN, CRC_BYTES, DELIMITER, RUN_MAX

BYTE = 8
COUNT_BITS = 16
"""Bits of the count of broken frames."""
CONTENT = data.StructLayout({"byte": unsigned(BYTE), "last": 1})
"""A byte of a frame's content without the CRC; `last` marks the last byte."""


class FrameReceiver(wiring.Component):
    """Receives frames from the line, and outputs the contents of intact ones.

    Contract: a frame is broken if it has fewer than `CONTENT_MIN` or more than `CONTENT_MAX` bytes,
    a truncated run, or a wrong CRC. Two adjacent delimiters are not a frame.

    Back-pressure: none on the line. From a frame's delimiter until the last byte of its content was
    accepted, arriving bytes are dropped, together with the rest of a frame that began meanwhile;
    the host repeats it.

    Attributes:
        input: the line's bytes, accepted in every clock.
        output: the content.
        broken: saturating count of broken frames.
    """

    input: In(stream.Signature(BYTE))
    output: Out(stream.Signature(CONTENT))
    broken: Out(COUNT_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC16_GENIBUS(data_width=BYTE).create()
        m.submodules.memory = store = memory.Memory(shape=BYTE, depth=CONTENT_MAX, init=[])
        writer, reader = store.write_port(), store.read_port()
        length = Signal(range(CONTENT_MAX + 1))
        left = Signal(BYTE)  # remaining bytes of the run
        zero_due = Signal()  # a zero byte separates this run from the next
        begun, long = Signal(), Signal()
        skipping = Signal()  # the rest of a frame whose beginning was dropped
        at, byte = Signal(range(CONTENT_MAX)), self.input.payload
        put = Signal()
        arrives = self.input.valid & self.input.ready
        ends = byte == DELIMITER
        whole = ~long & (left == 0) & (length >= CONTENT_MIN) & crc.match_detected

        m.d.comb += [
            self.input.ready.eq(1),
            writer.addr.eq(length),
            writer.en.eq(put),
            crc.valid.eq(put),
            crc.data.eq(writer.data),
        ]

        def clear() -> None:
            """Prepare for the next frame."""
            m.d.sync += [left.eq(0), zero_due.eq(0), begun.eq(0), long.eq(0), length.eq(0)]
            m.d.comb += crc.start.eq(1)

        # A too long frame counts as broken, whatever it does to memory and CRC.
        with m.If(put):
            with m.If(length == CONTENT_MAX):
                m.d.sync += long.eq(1)
            with m.Else():
                m.d.sync += length.eq(length + 1)
        with m.FSM() as fsm:
            with m.State("TAKE"):
                with m.If(arrives & ends):
                    m.d.sync += skipping.eq(0)
                    with m.If(~begun | skipping):
                        clear()
                    with m.Elif(whole):
                        m.next = "LOOK"
                    with m.Else():
                        clear()
                        with m.If(~self.broken.all()):
                            m.d.sync += self.broken.eq(self.broken + 1)
                with m.Elif(arrives & ~skipping):
                    m.d.sync += begun.eq(1)
                    with m.If(left == 0):
                        m.d.sync += [left.eq(byte - 1), zero_due.eq(byte != RUN_MAX + 1)]
                        m.d.comb += [put.eq(zero_due), writer.data.eq(0)]
                    with m.Else():
                        m.d.sync += left.eq(left - 1)
                        m.d.comb += [put.eq(1), writer.data.eq(byte)]
            with m.State("LOOK"):
                m.d.comb += reader.addr.eq(at)
                m.next = "GIVE"
            with m.State("GIVE"):
                last = at == length - CRC_BYTES - 1
                m.d.comb += [
                    self.output.valid.eq(1),
                    self.output.payload.byte.eq(reader.data),
                    self.output.payload.last.eq(last),
                    reader.addr.eq(at),
                ]
                with m.If(self.output.ready):
                    m.d.sync += at.eq(at + 1)
                    m.next = "LOOK"
                    with m.If(last):
                        m.d.sync += at.eq(0)
                        clear()
                        m.next = "TAKE"
        with m.If(arrives & ~fsm.ongoing("TAKE")):
            m.d.sync += skipping.eq(~ends)
        return m


class FrameSender(wiring.Component):
    """Stores a content and sends it as a frame; repeats the frame on request.

    Back-pressure: `input` waits while `busy`; bytes wait for `output`.

    Attributes:
        input: the content without its CRC, at most `CONTENT_MAX` - 2 bytes; accepted while not
            `busy`. After its last byte the frame is sent.
        again: pulse of one clock while not `busy`: send the last frame again.
        busy: a frame is being sent.
        output: bytes for the line.
    """

    input: In(stream.Signature(CONTENT))
    again: In(1)
    busy: Out(1)
    output: Out(stream.Signature(BYTE))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC16_GENIBUS(data_width=BYTE).create()
        m.submodules.memory = store = memory.Memory(shape=BYTE, depth=CONTENT_MAX, init=[])
        writer, reader = store.write_port(), store.read_port()
        length = Signal(range(CONTENT_MAX + 1))
        fresh = Signal(init=1)  # the next byte is the first of a content
        at, scan = Signal.like(length), Signal.like(length)
        run_end = Signal.like(length)
        run = Signal(BYTE)
        full_run = run == RUN_MAX

        m.d.comb += [writer.addr.eq(length), reader.addr.eq(at)]
        crc_high = Signal()
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("FILL"))
            with m.State("FILL"):
                place = Mux(fresh, 0, length)
                m.d.comb += [
                    self.input.ready.eq(1),
                    writer.addr.eq(place),
                    writer.data.eq(self.input.payload.byte),
                    writer.en.eq(self.input.valid),
                    crc.start.eq(fresh),
                    crc.valid.eq(self.input.valid),
                    crc.data.eq(self.input.payload.byte),
                ]
                with m.If(self.input.valid):
                    m.d.sync += [length.eq(place + 1), fresh.eq(self.input.payload.last)]
                    with m.If(self.input.payload.last):
                        m.d.sync += crc_high.eq(1)
                        m.next = "CRC"
                with m.Elif(self.again):
                    m.next = "BEGIN"
            with m.State("CRC"):
                m.d.comb += [writer.data.eq(crc.crc.word_select(crc_high, BYTE)), writer.en.eq(1)]
                m.d.sync += [length.eq(length + 1), crc_high.eq(0)]
                with m.If(~crc_high):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.output.valid.eq(1)
                m.d.sync += [at.eq(0), scan.eq(0), run.eq(0)]
                with m.If(self.output.ready):
                    m.next = "SCAN"
            with m.State("SCAN"):  # reads the memory at `scan`
                m.d.comb += reader.addr.eq(scan)
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += run_end.eq(scan)
                with m.If((scan == length) | full_run | (reader.data == 0)):
                    m.next = "CODE"
                with m.Else():
                    m.d.sync += [scan.eq(scan + 1), run.eq(run + 1)]
                    m.next = "SCAN"
            with m.State("CODE"):
                m.d.comb += [self.output.valid.eq(1), self.output.payload.eq(run + 1)]
                with m.If(self.output.ready):
                    m.next = "RUN"
            with m.State("RUN"):  # reads the memory at `at`
                m.next = "BYTE"
                with m.If(at == run_end):
                    # After a full run there is no zero, and after the last run nothing.
                    m.next = "SCAN"
                    m.d.sync += run.eq(0)
                    with m.If(at == length):
                        m.next = "END"
                    with m.Elif(~full_run):
                        m.d.sync += [at.eq(at + 1), scan.eq(scan + 1)]
            with m.State("BYTE"):
                m.d.comb += [self.output.valid.eq(1), self.output.payload.eq(reader.data)]
                with m.If(self.output.ready):
                    m.d.sync += at.eq(at + 1)
                    m.next = "RUN"
            with m.State("END"):
                m.d.comb += self.output.valid.eq(1)
                with m.If(self.output.ready):
                    m.next = "FILL"
        return m
