"""From requests on a line of bytes to a chip's AXI4-Lite and AXI4-Stream ports, and back."""

from pathlib import Path

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi_lite import DATA_BITS, RESP_OKAY, AxiLite
from hdl.axi_stream import AxiStream
from hdl.serial_link import BYTE, FrameReceiver, FrameSender
from spec import registers
from spec import serial_protocol as protocol
from spec.chip import Chip
from spec.serial_protocol import ARGUMENTS, Operation, Status

CONTROL = Path(__file__).resolve().with_suffix(".vlt")
"""Goes with the Verilog of whatever contains a bridge, for Verilator."""
RESET_CLOCKS = 64
"""Clocks of `sync` for which a RESET holds the chip: enough for an `mvm` clock 16 times slower."""
FIFO_BYTES = 2048
"""Of a packet or several, at each of the chip's streams."""
_ARGUMENT_BYTES = max(protocol.arguments_length(operation) for operation in Operation)
_WORD = protocol.WORD_BYTES


class SerialBridge(wiring.Component):
    """Does what requests ask (`spec.serial_protocol`), one after another, and replies.

    Nothing that a host sends makes it wait for the host or for ever: register accesses take as long
    as the chip lets them, SEND takes what finds room in the stream's FIFO, RECEIVE gives what is
    there. The chip's outputs wait while their FIFO is full.

    Attributes (domain `sync`):
        input, output: bytes from and to the line; see `hdl.serial_link` for their timing.
        chip_reset: hold the chip in reset; from a flip-flop.
        axil: the chip's registers.
        to_chip_<p>, from_chip_<p>: the chip's host inputs and outputs.
    """

    def __init__(self, chip: Chip) -> None:
        self._units = chip.link.units
        self._inputs, self._outputs = len(chip.host.inputs), len(chip.host.outputs)
        self._address_bits = registers.chip_address_bits(chip.tiles, chip.gdpu.slices)
        self._digest = protocol.digest(chip)
        packets = AxiStream(self._units)
        super().__init__(
            {
                "input": In(stream.Signature(BYTE)),
                "output": Out(stream.Signature(BYTE)),
                "chip_reset": Out(1, init=1),
                "axil": Out(AxiLite(self._address_bits)),
                **{f"to_chip_{p}": Out(packets) for p in range(self._inputs)},
                **{f"from_chip_{p}": In(packets) for p in range(self._outputs)},
            }
        )

    def _fifo(self, m: Module, name: str, source: AxiStream, sink: AxiStream) -> None:
        """Beats wait between two streams; a RESET forgets them."""
        width = len(source.tdata) + len(source.tkeep) + 1
        fifo = SyncFIFOBuffered(width=width, depth=FIFO_BYTES // self._units)
        m.submodules[name] = ResetInserter(self.chip_reset)(fifo)
        m.d.comb += [
            fifo.w_data.eq(Cat(source.tdata, source.tkeep, source.tlast)),
            fifo.w_en.eq(source.tvalid),
            source.tready.eq(fifo.w_rdy & ~self.chip_reset),
            Cat(sink.tdata, sink.tkeep, sink.tlast).eq(fifo.r_data),
            sink.tvalid.eq(fifo.r_rdy),
            fifo.r_en.eq(sink.tready),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        connect(m, flipped(self.input), receiver.input)
        connect(m, sender.output, flipped(self.output))
        asked, reply = receiver.output, sender.input
        packets = AxiStream(self._units)
        ins = [packets.create(path=(f"in_{p}",)) for p in range(self._inputs)]
        outs = [packets.create(path=(f"out_{p}",)) for p in range(self._outputs)]
        for p, each in enumerate(ins):
            self._fifo(m, f"fifo_in_{p}", each, getattr(self, f"to_chip_{p}"))
        for p, each in enumerate(outs):
            self._fifo(m, f"fifo_out_{p}", getattr(self, f"from_chip_{p}"), each)

        # --- the request at hand -----------------------------------------------------------------
        sequence, operation = Signal(BYTE), Signal(BYTE)
        previous, in_session = Signal(BYTE), Signal()
        argument = Signal(_ARGUMENT_BYTES * BYTE)
        missing = Signal(range(_ARGUMENT_BYTES + 1))  # bytes of arguments
        status = Signal(BYTE)
        ended = Signal()  # the request's last byte has been taken
        repeats, counts = Signal(), Signal()  # how the reply goes on when it has
        done = Signal(16)  # words or bytes
        place = Signal(range(max(protocol.CONTENT_MAX, protocol.DIGEST_BYTES)))
        word, word_bytes = Signal(DATA_BITS), Signal(range(_WORD + 1))
        rest = Signal(range(RESET_CLOCKS))

        def arguments(kind: Operation) -> dict[str, Signal]:
            """An operation's, once all are there: the last one came in at the top."""
            low = (_ARGUMENT_BYTES - protocol.arguments_length(kind)) * BYTE
            found = {}
            for name, length in ARGUMENTS[kind]:
                found[name] = argument[low : low + length * BYTE]
                low += length * BYTE
            return found

        def take() -> None:
            """Take a byte of the request in this clock, if there is one."""
            m.d.comb += asked.ready.eq(1)
            with m.If(asked.valid):
                m.d.sync += ended.eq(asked.payload.last)

        def say(byte: object, last: object = 0) -> None:
            """Append a byte to the reply in this clock."""
            m.d.comb += [
                reply.valid.eq(1),
                reply.payload.byte.eq(byte),
                reply.payload.last.eq(last),
            ]

        def finish(outcome: object = Status.DONE, count: bool = False) -> None:
            """Take what is left of the request, then say `done` if wanted, and the status."""
            m.d.sync += [status.eq(outcome), counts.eq(count)]
            m.next = "DRAIN"

        # --- registers ---------------------------------------------------------------------------
        axil = self.axil
        address = Signal(self._address_bits)
        full_address = Signal(32)
        m.d.comb += [
            axil.awaddr.eq(address),
            axil.araddr.eq(address),
            axil.wdata.eq(word),
            axil.wstrb.eq((1 << _WORD) - 1),
        ]
        for channel in ("aw", "w", "ar"):
            with m.If(getattr(axil, f"{channel}ready")):
                m.d.sync += getattr(axil, f"{channel}valid").eq(0)
        beyond = (full_address >> self._address_bits).any()
        step = Signal(16)
        m.d.comb += address.eq(full_address)

        def advance() -> None:
            m.d.sync += [
                full_address.eq(full_address + step.as_signed()),
                done.eq(done + 1),
            ]

        # --- packets: the stream that the request is about ---------------------------------------
        units = self._units
        into, out_of = packets.create(path=("into",)), packets.create(path=("out_of",))
        into_port = arguments(Operation.SEND)["port"]
        out_port = arguments(Operation.RECEIVE)["port"]
        count = Signal(range(units + 1))  # bytes of a beat
        packet_ended = Signal()
        for number, each in enumerate(ins):
            chosen = into_port == number
            m.d.comb += [
                Cat(each.tdata, each.tkeep, each.tlast).eq(Cat(into.tdata, into.tkeep, into.tlast)),
                each.tvalid.eq(into.tvalid & chosen),
            ]
            with m.If(chosen):
                m.d.comb += into.tready.eq(each.tready)
        for number, each in enumerate(outs):
            with m.If(out_port == number):
                m.d.comb += [
                    *(
                        getattr(out_of, name).eq(getattr(each, name))
                        for name in ("tdata", "tkeep", "tlast", "tvalid")
                    ),
                    each.tready.eq(out_of.tready),
                ]
        m.d.comb += [
            into.tkeep.eq(Array(Const((1 << n) - 1, units) for n in range(units + 1))[count]),
            into.tlast.eq(ended & arguments(Operation.SEND)["last"][0]),
        ]

        with m.FSM():
            with m.State("SEQUENCE"):
                m.d.sync += [done.eq(0), place.eq(0), word_bytes.eq(0)]
                m.d.sync += [self.chip_reset.eq(0), repeats.eq(0), counts.eq(0)]
                m.d.comb += asked.ready.eq(~sender.busy)
                with m.If(asked.valid & ~sender.busy):
                    m.d.sync += sequence.eq(asked.payload.byte)
                    m.next = "OPERATION"
            with m.State("OPERATION"):
                take()
                m.d.sync += operation.eq(asked.payload.byte)
                with m.If(asked.valid):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                next_one = sequence == (previous + 1)[:BYTE]
                m.d.sync += status.eq(Status.REFUSED)
                with m.If((operation != Operation.HELLO) & in_session & (sequence == previous)):
                    m.d.sync += repeats.eq(1)
                    m.next = "DRAIN"
                with m.Else():
                    say(sequence)
                    m.d.sync += [previous.eq(sequence), in_session.eq(1)]
                    m.next = "HEAD"
                    with m.If((operation != Operation.HELLO) & ~(in_session & next_one)):
                        m.d.sync += [in_session.eq(0), status.eq(Status.LOST)]
            with m.State("HEAD"):
                say(operation | protocol.REPLY)
                m.next = "DRAIN"
                with m.Switch(operation):
                    for kind in Operation:
                        with m.Case(kind):
                            m.d.sync += missing.eq(protocol.arguments_length(kind))
                            with m.If(status != Status.LOST):
                                m.next = "ARGUMENTS"
            with m.State("ARGUMENTS"):
                with m.If(missing == 0), m.Switch(operation):
                    for kind in Operation:
                        with m.Case(kind):
                            m.next = kind.name
                with m.Elif(ended):
                    m.next = "STATUS"
                with m.Else():
                    take()
                    with m.If(asked.valid):
                        m.d.sync += [
                            missing.eq(missing - 1),
                            argument.eq(Cat(argument[BYTE:], asked.payload.byte)),
                        ]

            with m.State("DRAIN"):
                with m.If(~ended):
                    take()
                with m.Elif(repeats):
                    m.d.comb += sender.again.eq(1)
                    m.next = "SEQUENCE"
                with m.Elif(counts):
                    say(done[:BYTE])
                    m.next = "DONE HIGH"
                with m.Else():
                    m.next = "STATUS"
            with m.State("DONE HIGH"):
                say(done[BYTE:])
                m.next = "STATUS"
            with m.State("STATUS"):
                say(status, last=1)
                m.next = "SEQUENCE"

            with m.State("HELLO"):
                greeting = Cat(
                    arguments(Operation.HELLO)["nonce"],
                    Const(protocol.VERSION, BYTE),
                    receiver.broken,
                    *(Const(byte, BYTE) for byte in self._digest),
                )
                say(greeting.word_select(place, BYTE))
                m.d.sync += place.eq(place + 1)
                with m.If(place == len(greeting) // BYTE - 1):
                    finish()

            with m.State("RESET"):
                m.d.sync += [self.chip_reset.eq(1), rest.eq(RESET_CLOCKS - 1)]
                m.next = "RESETTING"
            with m.State("RESETTING"):
                m.d.sync += rest.eq(rest - 1)
                with m.If(rest == 0):
                    m.d.sync += self.chip_reset.eq(0)
                    finish()

            with m.State("WRITE"):
                given = arguments(Operation.WRITE)
                m.d.sync += [full_address.eq(given["address"]), step.eq(given["step"])]
                m.next = "WRITE WORD"
            with m.State("WRITE WORD"):
                with m.If(word_bytes == _WORD):
                    m.d.sync += word_bytes.eq(0)
                    with m.If(beyond):
                        finish(Status.BUS_ERROR, count=True)
                    with m.Else():
                        m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1), axil.bready.eq(1)]
                        m.next = "WRITTEN"
                with m.Elif(ended):
                    # Some bytes too many are no word.
                    finish(Mux(word_bytes == 0, Status.DONE, Status.REFUSED), count=True)
                with m.Else():
                    take()
                    with m.If(asked.valid):
                        m.d.sync += [
                            word.eq(Cat(word[BYTE:], asked.payload.byte)),
                            word_bytes.eq(word_bytes + 1),
                        ]
            with m.State("WRITTEN"), m.If(axil.bvalid):
                m.d.sync += axil.bready.eq(0)
                with m.If(axil.bresp != RESP_OKAY):
                    finish(Status.BUS_ERROR, count=True)
                with m.Else():
                    advance()
                    m.next = "WRITE WORD"

            with m.State("READ"):
                given = arguments(Operation.READ)
                m.d.sync += [full_address.eq(given["address"]), step.eq(given["step"])]
                m.next = "READ WORD"
                with m.If(given["count"] > protocol.READ_MAX):
                    finish(Status.REFUSED)
            with m.State("READ WORD"):
                with m.If(done == arguments(Operation.READ)["count"]):
                    finish()
                with m.Elif(beyond):
                    finish(Status.BUS_ERROR)
                with m.Else():
                    m.d.sync += [axil.arvalid.eq(1), axil.rready.eq(1)]
                    m.next = "READING"
            with m.State("READING"), m.If(axil.rvalid):
                m.d.sync += [axil.rready.eq(0), word.eq(axil.rdata)]
                m.next = "SAY WORD"
                with m.If(axil.rresp != RESP_OKAY):
                    finish(Status.BUS_ERROR)
            with m.State("SAY WORD"):
                say(word[:BYTE])
                m.d.sync += [word.eq(word >> BYTE), word_bytes.eq(word_bytes + 1)]
                with m.If(word_bytes == _WORD - 1):
                    m.d.sync += word_bytes.eq(0)
                    advance()
                    m.next = "READ WORD"

            with m.State("SEND"):
                m.d.sync += [count.eq(0), into.tdata.eq(0)]
                m.next = "SEND BEAT"
                with m.If((into_port >= self._inputs) | ended):
                    finish(Status.REFUSED)
            with m.State("SEND BEAT"):
                with m.If((count == units) | ended):
                    m.d.comb += into.tvalid.eq(1)
                    with m.If(into.tready):
                        m.d.sync += [count.eq(0), into.tdata.eq(0), done.eq(done + count)]
                    # What is left finds no room.
                    with m.If(~into.tready | ended):
                        finish(count=True)
                with m.Else():
                    take()
                    with m.If(asked.valid):
                        m.d.sync += [
                            into.tdata.word_select(count, BYTE).eq(asked.payload.byte),
                            count.eq(count + 1),
                        ]

            with m.State("RECEIVE"):
                m.d.sync += [count.eq(0), packet_ended.eq(0)]
                m.next = "RECEIVE BYTE"
                with m.If(out_port >= self._outputs):
                    finish(Status.REFUSED)
            with m.State("RECEIVE BYTE"):
                full = (count == 0) & (place == protocol.receive_max(units))
                with m.If(~out_of.tvalid | packet_ended | full):
                    m.next = "RECEIVED"
                with m.Else():
                    with m.If(out_of.tkeep.bit_select(count, 1)):
                        say(out_of.tdata.word_select(count, BYTE))
                        m.d.sync += place.eq(place + 1)
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == units - 1):
                        m.d.comb += out_of.tready.eq(1)
                        m.d.sync += [count.eq(0), packet_ended.eq(out_of.tlast)]
            with m.State("RECEIVED"):
                say(packet_ended)
                finish()
        return m
