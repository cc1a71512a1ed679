"""A bridge from requests on a byte stream to a chip's AXI4-Lite and AXI4-Stream ports."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import DATA_BITS, AxiLite
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.host.serial_link import BYTE, FrameReceiver, FrameSender
from caduceus.hdl.host.serial_request import SerialRequest
from caduceus.spec import registers
from caduceus.spec import serial_protocol as protocol
from caduceus.spec.chip import Chip
from caduceus.spec.host_port import OKAY
from caduceus.spec.serial_protocol import Operation, Status
from caduceus.spec.shipped import shipped_folder

CONTROL = shipped_folder(__package__) / "serial_bridge.vlt"
"""Verilator control file for every design with a bridge."""
RESET_CLOCKS = 64
"""Length of a RESET in clocks of `sync`: enough for an `mvm` clock 16 times slower."""
FIFO_BYTES = 2048
"""Size of the FIFO at each of the chip's streams."""
_WORD = protocol.WORD_BYTES


class SerialBridge(wiring.Component):
    """Executes requests (`caduceus.spec.serial_protocol`), one after another, and replies.

    No request blocks the bridge: register accesses last as long as the chip's handshake, SEND
    accepts the bytes that fit into the stream's FIFO, and RECEIVE returns the bytes available.

    Back-pressure: the chip's outputs wait while their FIFO is full.

    Attributes (domain `sync`):
        input, output: bytes from and to the line; see `hdl.host.serial_link` for their timing.
        chip_reset: holds the chip in reset; from a flip-flop.
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
        """A FIFO between two streams, emptied by a RESET."""
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
        request = SerialRequest(m, receiver.output, sender)
        beats, bus = self._streams(m, request), self._bus(m)
        m.d.sync += self.chip_reset.eq(0)  # overridden in the states of RESET
        with m.FSM():
            request.begin_states()
            self._chip_states(m, request, receiver)
            self._register_states(m, request, *bus)
            self._packet_states(m, request, *beats)
            request.end_states()
        return m

    def _streams(self, m: Module, request: SerialRequest) -> tuple[Signal, AxiStream, AxiStream]:
        """Make the FIFOs at the chip's streams.

        Returns:
            Number of bytes in the present beat, and the streams into and out of the request's port.
        """
        units = self._units
        packets, count = AxiStream(units), Signal(range(units + 1))
        into, out_of = packets.create(path=("into",)), packets.create(path=("out_of",))
        into_port = request.arguments(Operation.SEND)["port"]
        out_port = request.arguments(Operation.RECEIVE)["port"]
        m.d.comb += [
            into.tkeep.eq(Array(Const((1 << n) - 1, units) for n in range(units + 1))[count]),
            into.tlast.eq(request.ended & request.arguments(Operation.SEND)["last"][0]),
        ]
        for p in range(self._inputs):
            each = packets.create(path=(f"in_{p}",))
            self._fifo(m, f"fifo_in_{p}", each, getattr(self, f"to_chip_{p}"))
            m.d.comb += [
                Cat(each.tdata, each.tkeep, each.tlast).eq(Cat(into.tdata, into.tkeep, into.tlast)),
                each.tvalid.eq(into.tvalid & (into_port == p)),
            ]
            with m.If(into_port == p):
                m.d.comb += into.tready.eq(each.tready)
        for p in range(self._outputs):
            each = packets.create(path=(f"out_{p}",))
            self._fifo(m, f"fifo_out_{p}", getattr(self, f"from_chip_{p}"), each)
            with m.If(out_port == p):
                m.d.comb += [
                    *(
                        getattr(out_of, name).eq(getattr(each, name))
                        for name in ("tdata", "tkeep", "tlast", "tvalid")
                    ),
                    each.tready.eq(out_of.tready),
                ]
        return count, into, out_of

    def _bus(self, m: Module) -> tuple[Signal, Signal]:
        """Address and data word of the present register access on the bus."""
        axil, address, word = self.axil, Signal(32), Signal(DATA_BITS)
        m.d.comb += [
            axil.awaddr.eq(address),
            axil.araddr.eq(address),
            axil.wdata.eq(word),
            axil.wstrb.eq((1 << _WORD) - 1),
        ]
        for channel in ("aw", "w", "ar"):
            with m.If(getattr(axil, f"{channel}ready")):
                m.d.sync += getattr(axil, f"{channel}valid").eq(0)
        return address, word

    def _chip_states(self, m: Module, request: SerialRequest, receiver: FrameReceiver) -> None:
        """HELLO and RESET."""
        rest = Signal(range(RESET_CLOCKS))
        place = Signal(range(protocol.DIGEST_BYTES + 8))
        with m.State("HELLO"):
            greeting = Cat(
                request.arguments(Operation.HELLO)["nonce"],
                Const(protocol.VERSION, BYTE),
                receiver.broken,
                *(Const(byte, BYTE) for byte in self._digest),
            )
            request.say(greeting.word_select(place, BYTE))
            m.d.sync += place.eq(place + 1)
            with m.If(place == len(greeting) // BYTE - 1):
                m.d.sync += place.eq(0)
                request.finish()
        with m.State("RESET"):
            m.d.sync += [self.chip_reset.eq(1), rest.eq(RESET_CLOCKS - 1)]
            m.next = "RESETTING"
        with m.State("RESETTING"):
            m.d.sync += [self.chip_reset.eq(rest != 0), rest.eq(rest - 1)]
            with m.If(rest == 0):
                request.finish()

    def _register_states(
        self, m: Module, request: SerialRequest, address: Signal, word: Signal
    ) -> None:
        """WRITE and READ; the signals of `_bus`."""
        axil, done, ended = self.axil, request.done, request.ended
        word_bytes, step = Signal(range(_WORD + 1)), Signal(16)
        beyond = (address >> self._address_bits).any()

        def begin(kind: Operation) -> dict[str, Signal]:
            given = request.arguments(kind)
            m.d.sync += [address.eq(given["address"]), step.eq(given["step"]), word_bytes.eq(0)]
            m.next = f"{kind.name} WORD"
            return given

        def advance(kind: Operation) -> None:
            m.d.sync += [address.eq(address + step.as_signed()), done.eq(done + 1)]
            m.next = f"{kind.name} WORD"

        with m.State("WRITE"):
            begin(Operation.WRITE)
        with m.State("WRITE WORD"):
            with m.If(word_bytes == _WORD):
                m.d.sync += word_bytes.eq(0)
                with m.If(beyond):
                    request.finish(Status.BUS_ERROR, count=True)
                with m.Else():
                    m.d.sync += [axil.awvalid.eq(1), axil.wvalid.eq(1), axil.bready.eq(1)]
                    m.next = "WRITTEN"
            with m.Elif(ended):
                # Surplus bytes that form no word.
                request.finish(Mux(word_bytes == 0, Status.DONE, Status.REFUSED), count=True)
            with m.Else(), m.If(request.take()):
                m.d.sync += [
                    word.eq(Cat(word[BYTE:], request.byte)),
                    word_bytes.eq(word_bytes + 1),
                ]
        with m.State("WRITTEN"), m.If(axil.bvalid):
            m.d.sync += axil.bready.eq(0)
            with m.If(axil.bresp != OKAY):
                request.finish(Status.BUS_ERROR, count=True)
            with m.Else():
                advance(Operation.WRITE)

        with m.State("READ"):
            given = begin(Operation.READ)
            with m.If(given["count"] > protocol.READ_MAX):
                request.finish(Status.REFUSED)
        with m.State("READ WORD"):
            with m.If(done == request.arguments(Operation.READ)["count"]):
                request.finish()
            with m.Elif(beyond):
                request.finish(Status.BUS_ERROR)
            with m.Else():
                m.d.sync += [axil.arvalid.eq(1), axil.rready.eq(1)]
                m.next = "READING"
        with m.State("READING"), m.If(axil.rvalid):
            m.d.sync += [axil.rready.eq(0), word.eq(axil.rdata)]
            m.next = "SAY WORD"
            with m.If(axil.rresp != OKAY):
                request.finish(Status.BUS_ERROR)
        with m.State("SAY WORD"):
            request.say(word[:BYTE])
            m.d.sync += [word.eq(word >> BYTE), word_bytes.eq(word_bytes + 1)]
            with m.If(word_bytes == _WORD - 1):
                m.d.sync += word_bytes.eq(0)
                advance(Operation.READ)

    def _packet_states(
        self,
        m: Module,
        request: SerialRequest,
        count: Signal,
        into: AxiStream,
        out_of: AxiStream,
    ) -> None:
        """SEND and RECEIVE; the signals of `_streams`."""
        units, done, ended = self._units, request.done, request.ended
        given = request.arguments(Operation.SEND)
        last = given["last"][0]
        with m.State("SEND"):
            m.d.sync += [count.eq(0), into.tdata.eq(0)]
            m.next = "SEND BEAT"
            with m.If((given["port"] >= self._inputs) | ended):
                request.finish(Status.REFUSED)
        with m.State("SEND BEAT"):
            whole = count == units
            with m.If(ended & ~whole & ~last):
                # An incomplete beat within a packet.
                request.finish(Status.REFUSED, count=True)
            with m.Elif(whole | ended):
                m.d.comb += into.tvalid.eq(1)
                with m.If(into.tready):
                    m.d.sync += [count.eq(0), into.tdata.eq(0), done.eq(done + count)]
                # There is no room for the remaining bytes.
                with m.If(~into.tready | ended):
                    request.finish(count=True)
            with m.Else(), m.If(request.take()):
                m.d.sync += [
                    into.tdata.word_select(count, BYTE).eq(request.byte),
                    count.eq(count + 1),
                ]

        place = Signal(range(protocol.CONTENT_MAX))
        packet_ended = Signal()
        with m.State("RECEIVE"):
            m.d.sync += [count.eq(0), place.eq(0), packet_ended.eq(0)]
            m.next = "RECEIVE BYTE"
            with m.If(request.arguments(Operation.RECEIVE)["port"] >= self._outputs):
                request.finish(Status.REFUSED)
        with m.State("RECEIVE BYTE"):
            full = (count == 0) & (place == protocol.receive_max(units))
            with m.If(~out_of.tvalid | packet_ended | full):
                m.next = "RECEIVED"
            with m.Else():
                with m.If(out_of.tkeep.bit_select(count, 1)):
                    request.say(out_of.tdata.word_select(count, BYTE))
                    m.d.sync += place.eq(place + 1)
                m.d.sync += count.eq(count + 1)
                with m.If(count == units - 1):
                    m.d.comb += out_of.tready.eq(1)
                    m.d.sync += [count.eq(0), packet_ended.eq(out_of.tlast)]
        with m.State("RECEIVED"):
            request.say(packet_ended)
            request.finish()
