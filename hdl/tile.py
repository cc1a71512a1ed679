"""One tile: an input vector in, a result vector out, nothing scheduled from outside.

    input stream -> modulator -> PCM array and ADC -> readout -> LDPU -> output stream
       `sync`         `mvm`             `mvm`          `sync`     `sync`
                                                          ^
                                             RX stream ---+

While the LDPU works on MVM n, the array may integrate MVM n + 1 and the input stream may bring
vector n + 2 (the overlap is published; the number of vectors in flight is our choice).
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.adc import AdcReadout
from hdl.axi_lite import RegisterBus
from hdl.axi_stream import AxiStream
from hdl.credit_counter import CreditCounter
from hdl.ldpu import Ldpu
from hdl.link_controller import STREAM_BITS, RouteWrite
from hdl.mailbox import Mailbox
from hdl.modulator import InputModulator
from hdl.pcm_array import PcmArray
from hdl.tile_registers import TileRegisters
from hdl.vector_receiver import VectorReceiver, units_in_last_group
from spec.chip import Chip
from spec.formats import ACTIVATION_BITS
from spec.registers import Error

RESULT_DEPTH = Ldpu.ADD_LATENCY + 12
"""Groups that the output holds: what is in the LDPU's addition, and enough to hide the FIFO's
latency."""

VECTORS_MAX = Ldpu.DEPTH + RESULT_DEPTH + 5
"""More than can be in flight: one staged, one integrating, two in the counter banks, and as many as
there are groups in the LDPU and on their way out, each of which may be a whole vector."""


class Tile(wiring.Component):
    """A tile with its array.

    Every stream may stall at any time; nothing is lost. A result vector follows for each good input
    vector, in order.

    Attributes (domain `sync`, except the array and its modulator, which run in `mvm`):
        bus: registers, see `spec.registers`.
        input: vectors of ROWS elements.
        rx: vectors of COLUMNS elements, one for each result, if MODE.rx_enable.
        output: vectors of COLUMNS elements.
        routes, tx_stream, link_errors, error_stream: registers of the tile's link controller and
            its errors, `spec.registers.Error` from STREAM_UNKNOWN on; for a tile alone, nothing.
        awake: the tile has something to do; while it is 0, and no stream is valid and the bus asks
            for nothing, both clocks may stop.
        error: some bit of ERROR is set.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "input": In(stream),
                "rx": In(stream),
                "output": Out(stream),
                "routes": Out(RouteWrite(chip)),
                "tx_stream": Out(STREAM_BITS),
                "link_errors": In(2),
                "error_stream": In(STREAM_BITS),
                "awake": Out(1),
                "error": Out(1),
            }
        )

    def _load_state(self, m: Module, regs: TileRegisters, array: PcmArray) -> None:
        """Carry the host's wish to load a state over to the array's clock domain."""
        m.submodules.state = state = Mailbox(giver="sync", taker="mvm")
        begun = Signal()
        m.d.comb += [
            state.put.eq(regs.state_load),
            regs.state_loading.eq(state.full),
            array.state_index.eq(regs.state_index),
            array.state_load.eq(state.available & ~begun),
            state.take.eq(begun & ~array.state_busy),
        ]
        m.d.mvm += begun.eq(state.available & ~state.take)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        units = chip.link.units
        m.submodules.registers = regs = TileRegisters(chip)
        m.submodules.receive_input = receive = VectorReceiver(units, chip.array.rows // units)
        m.submodules.receive_rx = receive_rx = VectorReceiver(units, chip.column_groups)
        m.submodules.modulator = modulator = InputModulator(chip)
        m.submodules.array = array = PcmArray(chip)
        m.submodules.readout = readout = AdcReadout(chip)
        m.submodules.ldpu = ldpu = Ldpu(chip)
        m.submodules.results = results = SyncFIFOBuffered(
            width=units * ACTIVATION_BITS + 1, depth=RESULT_DEPTH
        )
        connect(m, flipped(self.bus), regs.bus)
        connect(m, flipped(self.rx), receive_rx.stream)
        self._load_state(m, regs, array)

        # Input stream to staging register. Without CONTROL.enable, and while the array loads its
        # state, the stream waits.
        accepting = regs.enable & ~regs.state_loading
        stream = receive.stream
        m.d.comb += [
            receive.length.eq(regs.rows),
            receive.ready.eq(~modulator.full & accepting),
            stream.tdata.eq(self.input.tdata),
            stream.tkeep.eq(self.input.tkeep),
            stream.tlast.eq(self.input.tlast),
            stream.tvalid.eq(self.input.tvalid & accepting),
            self.input.tready.eq(stream.tready & accepting),
        ]
        accept = receive.valid & receive.ready
        accepted = Signal()
        m.d.comb += [
            accepted.eq(accept & receive.last & receive.good),
            modulator.commit.eq(accepted),
            modulator.write_enable.eq(accept),
            modulator.write_group.eq(receive.group),
            modulator.write_data.eq(receive.data),
            modulator.four_phase.eq(regs.four_phase),
        ]

        # Modulator, array and readout.
        for port in ("pulse_add", "pulse_sub", "select_plus", "select_minus", "steer"):
            m.d.comb += getattr(array, port).eq(getattr(modulator, port))
        for port in ("bank", "clear", "integrate"):
            m.d.comb += getattr(array, port).eq(getattr(modulator, port))
        m.d.comb += [
            modulator.array_busy.eq(array.busy),
            modulator.bank_full.eq(readout.bank_full),
            readout.bank_put.eq(modulator.bank_put),
            readout.last_group.eq((regs.columns - 1) >> (units - 1).bit_length()),
            array.read_enable.eq(readout.read_enable),
            array.read_bank.eq(readout.read_bank),
            array.read_group.eq(readout.read_group),
        ]

        # A group starts when the LDPU can keep it, and is finished when its RX values are here and
        # its result will find a place.
        m.submodules.result_credit = credit = CreditCounter(RESULT_DEPTH)
        sent = results.r_rdy & self.output.tready
        m.d.comb += [
            readout.room.eq(ldpu.room),
            credit.take.eq(ldpu.going),
            credit.give.eq(sent),
            ldpu.result_room.eq(credit.available),
            receive_rx.length.eq(regs.columns),
            receive_rx.ready.eq(ldpu.rx_take),
            ldpu.rx_valid.eq(receive_rx.valid),
            ldpu.rx.eq(receive_rx.data),
            ldpu.p.eq(array.read_p),
            ldpu.n.eq(array.read_n),
            ldpu.relu_1.eq(regs.relu_1),
            ldpu.relu_2.eq(regs.relu_2),
            ldpu.rx_enable.eq(regs.rx_enable),
            ldpu.rx_scale.eq(regs.rx_scale),
        ]
        # The array answers a clock after it is read: all that goes along waits as long.
        m.d.sync += [
            ldpu.valid.eq(readout.read_enable),
            ldpu.last.eq(readout.finished),
            ldpu.group.eq(readout.read_group),
        ]

        # Results to the output stream.
        m.d.comb += [
            results.w_en.eq(ldpu.result_valid),
            results.w_data.eq(Cat(ldpu.result, ldpu.result_last)),
            results.r_en.eq(self.output.tready),
            self.output.tvalid.eq(results.r_rdy),
            Cat(self.output.tdata, self.output.tlast).eq(results.r_data),
            self.output.tkeep.eq(
                Mux(self.output.tlast, units_in_last_group(regs.columns, units), ~0)
            ),
        ]

        # Host's view.
        vectors = Signal(range(VECTORS_MAX + 1))
        vector_sent = sent & self.output.tlast
        m.d.sync += vectors.eq(vectors + accepted - vector_sent)
        m.d.comb += [
            # A beat that waits or is taken now counts: the configuration must not change with it.
            regs.busy.eq((vectors != 0) | stream.tvalid | receive.midway | receive_rx.midway),
            regs.mvm_finished.eq(readout.finished),
            regs.stalled.eq(ldpu.waiting),
            regs.vector_accepted.eq(accepted),
            regs.vector_sent.eq(vector_sent),
        ]
        for bit, event in (
            (Error.INPUT_SHORT, receive.short),
            (Error.INPUT_LONG, receive.long),
            (Error.RX_SHORT, receive_rx.short),
            (Error.RX_LONG, receive_rx.long),
        ):
            m.d.comb += regs.errors[bit].eq(event)
        connect(m, regs.routes, flipped(self.routes))
        m.d.comb += [
            self.tx_stream.eq(regs.tx_stream),
            regs.errors[Error.STREAM_UNKNOWN :].eq(self.link_errors),
            regs.error_stream.eq(self.error_stream),
            self.awake.eq(
                regs.busy | modulator.full | regs.state_loading | readout.pending | results.r_rdy
            ),
            self.error.eq(regs.error),
        ]
        for port in ("column", "index", "write", "data"):
            name = f"constant_{port}"
            m.d.comb += getattr(ldpu, name).eq(getattr(regs, name))
        m.d.comb += regs.constant_value.eq(ldpu.constant_value)
        return m
