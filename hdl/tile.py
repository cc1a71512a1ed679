"""One tile: an input vector in, a result vector out, nothing scheduled from outside.

    input packets -> modulator -> PCM array and ADC -> readout -> LDPU -> output stream
       `sync`          `mvm`             `mvm`          `sync`     `sync`
                                                           ^
                                              RX stream ---+

While the LDPU works on MVM n, the array may integrate MVM n + 1 and the input stream may bring
vector n + 2 (the overlap is published; the number of vectors in flight is our choice).
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hdl.adc import AdcReadout
from hdl.axi_lite import RegisterBus
from hdl.axi_stream import AxiStream
from hdl.credit_counter import CreditCounter
from hdl.input_assembler import InputAssembler
from hdl.ldpu import Ldpu, value_bits
from hdl.link_controller import PART_BITS, STREAM_BITS, InputCredit, RouteWrite
from hdl.mailbox import Mailbox
from hdl.modulator import InputModulator
from hdl.pcm_array import PcmArray
from hdl.tile_registers import TileRegisters
from hdl.vector_receiver import VectorReceiver, units_in_last_group
from hdl.width_converter import WidthConverter
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

    Every stream may stall at any time; nothing is lost. A result vector follows for each input
    vector, in order. A vector that is too short counts as 0 where it has nothing, and what is too
    much of a long one is discarded; either is told in ERROR.

    Attributes (domain `sync`, except the array and its modulator, which run in `mvm`):
        bus: registers, see `spec.registers`.
        input: vectors of ROWS elements, or their parts, if PARTS is above 1; see
            `hdl.input_assembler`. input_part: with every beat, which part its packet is.
        input_credit: places for parts; a tile that is alone needs none.
        rx: vectors of COLUMNS elements, one for each result, if MODE.rx_enable; INT8, or binary16
            with MODE.rx_binary16.
        output: vectors of COLUMNS elements; INT8, or binary16 with MODE.tx_binary16.
        routes, tx_stream, link_errors, error_stream, links_busy, packet_in, packet_out: registers
            of the tile's link controller and what it tells, its errors as `spec.registers.Error`
            has them from STREAM_UNKNOWN on; for a tile alone, nothing.
        awake: the tile has something to do; while it is 0, and no stream is valid and the bus asks
            for nothing, `sync` may stop.
        mvm_awake: the array has something to do, or soon will; eight clocks of `mvm` after it fell
            that clock may stop. It comes from both domains.
        error: some bit of ERROR is set.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "input": In(stream),
                "input_part": In(PART_BITS),
                "input_credit": In(InputCredit()),
                "rx": In(stream),
                "output": Out(stream),
                "routes": Out(RouteWrite(chip)),
                "tx_stream": Out(STREAM_BITS),
                "link_errors": In(3),
                "error_stream": In(STREAM_BITS),
                "links_busy": In(1),
                "packet_in": In(1),
                "packet_out": In(1),
                "awake": Out(1),
                "mvm_awake": Out(1),
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

    def _value_formats(self, binary16: Signal) -> list[tuple[int, Value]]:
        """Bytes that a value of a stream may have, each with whether MODE chooses it."""
        if self._chip.link.partial_sums == "int8":
            return [(1, Const(1))]
        return [(1, ~binary16), (2, binary16)]

    def _receive_rx(self, m: Module, regs: TileRegisters, ldpu: Ldpu) -> Value:
        """RX vectors to the LDPU, in its groups; returns whether one is on its way.

        Without MODE.rx_enable nobody waits for any: they are discarded, and told of.
        """
        chip, rx = self._chip, self.rx
        lanes = chip.ldpu.lanes
        unexpected = rx.tvalid & ~regs.rx_enable
        unfinished = Signal()  # the rest of such a vector is still to come
        with m.If(unexpected):
            m.d.sync += unfinished.eq(~rx.tlast)
        ready, midway, short, long = ~regs.rx_enable, unexpected | unfinished, 0, 0
        for size, chosen in self._value_formats(regs.rx_binary16):
            convert = WidthConverter(chip.link.units, lanes * size)
            receive = VectorReceiver(lanes * size, chip.column_groups, raw=size > 1)
            m.submodules[f"regroup_rx_{size}"] = convert
            m.submodules[f"receive_rx_{size}"] = receive
            connect(m, convert.output, receive.stream)
            m.d.comb += [
                convert.input.tdata.eq(rx.tdata),
                convert.input.tkeep.eq(rx.tkeep),
                convert.input.tlast.eq(rx.tlast),
                convert.input.tvalid.eq(rx.tvalid & regs.rx_enable & chosen),
                receive.length.eq(regs.columns * size),
                receive.ready.eq(ldpu.rx_take & chosen),
            ]
            with m.If(chosen):
                m.d.comb += ldpu.rx_valid.eq(receive.valid)
                for lane in range(lanes):
                    value = receive.data.word_select(lane, size * ACTIVATION_BITS)
                    m.d.comb += ldpu.rx.word_select(lane, value_bits(chip)).eq(value)
            ready |= convert.input.tready & chosen
            midway |= convert.holds | receive.midway
            short |= receive.short
            long |= receive.long
        m.d.comb += [
            rx.tready.eq(ready),
            regs.errors[Error.RX_SHORT].eq(short),
            regs.errors[Error.RX_LONG].eq(long),
            regs.errors[Error.RX_UNEXPECTED].eq(unexpected),
        ]
        return midway

    def _send_results(self, m: Module, regs: TileRegisters, results: SyncFIFOBuffered) -> None:
        """Groups of results to the output stream."""
        chip, output = self._chip, self.output
        lanes = chip.ldpu.lanes
        last = results.r_data[-1]
        for size, chosen in self._value_formats(regs.tx_binary16):
            convert = WidthConverter(lanes * size, chip.link.units)
            m.submodules[f"regroup_results_{size}"] = convert
            lanes_in_last = units_in_last_group(regs.columns, lanes)
            values = [
                results.r_data.word_select(lane, value_bits(chip))[: size * ACTIVATION_BITS]
                for lane in range(lanes)
            ]
            m.d.comb += [
                convert.input.tdata.eq(Cat(values)),
                convert.input.tkeep.eq(
                    Mux(last, Cat(bit.replicate(size) for bit in lanes_in_last), ~0)
                ),
                convert.input.tlast.eq(last),
                convert.input.tvalid.eq(results.r_rdy & chosen),
                convert.output.tready.eq(output.tready & chosen),
            ]
            with m.If(chosen):
                m.d.comb += [
                    results.r_en.eq(convert.input.tready),
                    output.tdata.eq(convert.output.tdata),
                    output.tkeep.eq(convert.output.tkeep),
                    output.tlast.eq(convert.output.tlast),
                    output.tvalid.eq(convert.output.tvalid),
                ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        m.submodules.registers = regs = TileRegisters(chip)
        m.submodules.assembler = assembler = InputAssembler(chip)
        m.submodules.modulator = modulator = InputModulator(chip)
        m.submodules.array = array = PcmArray(chip)
        m.submodules.readout = readout = AdcReadout(chip)
        m.submodules.ldpu = ldpu = Ldpu(chip)
        m.submodules.results = results = SyncFIFOBuffered(
            width=chip.ldpu.lanes * value_bits(chip) + 1, depth=RESULT_DEPTH
        )
        connect(m, flipped(self.bus), regs.bus)
        rx_midway = self._receive_rx(m, regs, ldpu)
        self._load_state(m, regs, array)

        # Input stream to staging register. Without CONTROL.enable, and while the array loads its
        # state, the stream waits.
        accepting = regs.enable & ~regs.state_loading
        connect(m, flipped(self.input), assembler.stream)
        connect(m, flipped(self.input_credit), assembler.credit)
        connect(m, regs.table, assembler.table)
        m.d.comb += [
            assembler.parts.eq(regs.parts),
            assembler.rows.eq(regs.rows),
            assembler.restart.eq(regs.restart),
            assembler.enable.eq(accepting),
            assembler.part.eq(self.input_part),
            assembler.full.eq(modulator.full),
            modulator.four_phase.eq(regs.four_phase),
        ]
        for port in ("write_enable", "write_first", "commit"):
            m.d.comb += getattr(modulator, port).eq(getattr(assembler, port))
        # A group of a beat's rows: the modulator takes each in the lane of its number.
        units = chip.link.units
        m.d.comb += [
            modulator.write_row.eq(assembler.write_group << exact_log2(units)),
            modulator.write_count.eq(units),
            modulator.write_data.eq(assembler.write_data.replicate(chip.buffers.gather // units)),
        ]
        # A vector of a wrong length counts, too: whoever adds its results waits for them.
        accepted = assembler.commit

        # Modulator, array and readout.
        for port in ("pulse_add", "pulse_sub", "select_plus", "select_minus", "steer"):
            m.d.comb += getattr(array, port).eq(getattr(modulator, port))
        for port in ("bank", "clear", "integrate"):
            m.d.comb += getattr(array, port).eq(getattr(modulator, port))
        m.d.comb += [
            modulator.array_busy.eq(array.busy),
            modulator.bank_full.eq(readout.bank_full),
            readout.bank_put.eq(modulator.bank_put),
            readout.last_group.eq((regs.columns - 1) >> (chip.ldpu.lanes - 1).bit_length()),
            array.read_enable.eq(readout.read_enable),
            array.read_bank.eq(readout.read_bank),
            array.read_group.eq(readout.read_group),
        ]

        # A group starts when the LDPU can keep it, and is finished when its RX values are here and
        # its result will find a place.
        m.submodules.result_credit = credit = CreditCounter(RESULT_DEPTH)
        m.d.comb += [
            readout.room.eq(ldpu.room),
            credit.take.eq(ldpu.going),
            credit.give.eq(results.r_rdy & results.r_en),
            ldpu.result_room.eq(credit.available),
            ldpu.p.eq(array.read_p),
            ldpu.n.eq(array.read_n),
            ldpu.relu_1.eq(regs.relu_1),
            ldpu.relu_2.eq(regs.relu_2),
            ldpu.rx_enable.eq(regs.rx_enable),
            ldpu.rx_binary16.eq(regs.rx_binary16),
            ldpu.tx_binary16.eq(regs.tx_binary16),
            ldpu.rx_scale.eq(regs.rx_scale),
        ]
        # The array answers a clock after it is read: all that goes along waits as long.
        m.d.sync += [
            ldpu.valid.eq(readout.read_enable),
            ldpu.last.eq(readout.finished),
            ldpu.group.eq(readout.read_group),
        ]

        m.d.comb += [
            results.w_en.eq(ldpu.result_valid),
            results.w_data.eq(Cat(ldpu.result, ldpu.result_last)),
        ]
        self._send_results(m, regs, results)

        # Host's view.
        vectors = Signal(range(VECTORS_MAX + 1))
        vector_sent = self.output.tvalid & self.output.tready & self.output.tlast
        m.d.sync += vectors.eq(vectors + accepted - vector_sent)
        m.d.comb += [
            # A beat that waits or is taken now counts: the configuration must not change with it.
            regs.busy.eq(
                (vectors != 0)
                | (self.input.tvalid & accepting)
                | assembler.busy
                | rx_midway
                | self.links_busy
            ),
            regs.mvm_finished.eq(readout.finished),
            regs.stalled.eq(ldpu.waiting),
            regs.vector_accepted.eq(accepted),
            regs.vector_sent.eq(vector_sent),
            regs.packet_in.eq(self.packet_in),
            regs.packet_out.eq(self.packet_out),
        ]
        for bit, event in (
            (Error.INPUT_SHORT, assembler.too_short),
            (Error.INPUT_LONG, assembler.too_long),
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
            self.mvm_awake.eq(modulator.full | regs.state_loading | ~modulator.resting),
            self.error.eq(regs.error),
        ]
        for port in ("column", "index", "write", "data"):
            name = f"constant_{port}"
            m.d.comb += getattr(ldpu, name).eq(getattr(regs, name))
        m.d.comb += regs.constant_value.eq(ldpu.constant_value)
        return m
