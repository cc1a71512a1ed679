"""One tile: input vectors in, result vectors out, scheduled by handshakes alone.

    input packets -> modulator -> PCM array and ADC -> reader -> LDPU -> pooling -> output stream
       `sync`          `mvm`             `mvm`          `sync`   `sync`   `sync`
                                                          ^
                                     RX stream -> buffer -+

Input vectors are assembled from packets, or gathered from the pixels of feature maps. While the
LDPU processes MVM n, the array may integrate MVM n + 1, and vector n + 2 may arrive (the overlap is
published; the number of vectors in flight is our choice).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.array.bank_reader import BankReader
from caduceus.hdl.array.modulator import InputModulator
from caduceus.hdl.array.pcm_array import PcmArray
from caduceus.hdl.array.pcm_write import PcmWrite
from caduceus.hdl.common.axi_lite import RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.credit_counter import CreditCounter
from caduceus.hdl.common.mailbox import Mailbox
from caduceus.hdl.common.register_block import word_of
from caduceus.hdl.common.vector_receiver import units_in_last_group
from caduceus.hdl.fabric.link_credit import InputCredit, RxCredit
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.route_table import RouteWrite
from caduceus.hdl.tile.ldpu import Ldpu, value_bits
from caduceus.hdl.tile.result_recorder import ResultRecorder
from caduceus.hdl.tile.tile_input import TileInput
from caduceus.hdl.tile.tile_output import TileOutput
from caduceus.hdl.tile.tile_registers import TileRegisters
from caduceus.hdl.tile.tile_rx import TileRx
from caduceus.hdl.tile.unit_clocks import UNITS, clocked, make_domains
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PART_BITS, STREAM_BITS
from caduceus.spec.registers import Error

RESULT_DEPTH = Ldpu.ADD_LATENCY + 12
"""Groups in the output FIFO: those in the LDPU's addition, and enough to hide the FIFO's
latency."""

VECTORS_MAX = Ldpu.DEPTH + RESULT_DEPTH + 5
"""Upper bound of vectors in flight: one staged, one integrating, two in the counter banks, and one
per group in the LDPU and in the output FIFO, since a group may be a whole vector."""


_UNITS = tuple(unit for unit in UNITS if unit != "links")


class Tile(wiring.Component):
    """A tile with its array.

    Contract: one result vector per input vector, in order, or with pooling one per window.

    Back-pressure: every stream may stall at any time without loss.

    Latency: docs/architecture.md lists the clocks of each stage.

    Errors: missing values of a short vector read as 0, and excess values of a long one are dropped;
    both set a flag in ERROR.

    Attributes (domain `sync`, except the array and its modulator, which run in `mvm`):
        bus: registers, see `caduceus.spec.registers`.
        input: vectors of ROWS elements, or their parts if PARTS is above 1, see
            `tile.input_assembler`; with GATHER.enable pixels, or their parts, see `tile.gather`.
            input_part: part number of the packet, with every beat.
        input_credit: room for parts; a packet arrives only after its credit was taken.
        rx: vectors of COLUMNS elements, one per result, with MODE.rx_enable; INT8, or binary16 with
            MODE.rx_binary16.
        rx_credit: sequence of the packets to `rx`.
        output: vectors of COLUMNS elements; INT8, or binary16 with MODE.tx_binary16.
        routes, tx_stream, link_errors, error_stream, links_busy, packet_in, packet_out:
            configuration and status of the tile's link controller, its errors as flags of
            `caduceus.spec.registers.Error`; unused in a stand-alone tile.
        awake: the tile has work. `sync` may stop while it is 0, no stream is valid, and the bus has
            no request.
        mvm_awake: the array has work or is about to; `mvm` may stop eight clocks after it fell. It
            is combinational from both domains.
        error: a bit of ERROR is set.
        <unit>_clk: clocks of the units but `links`, see `tile.unit_clocks`. <unit>_active: the unit
            has work; its clock may stop HOLD_CLOCKS clocks after this fell, except after a reset or
            a register access, or while a packet is in the link controller.
    """

    def __init__(self, chip: Chip, record: bool = False) -> None:
        """Make a tile of `chip`; with `record`, add a `ResultRecorder`."""
        self._chip, self._record = chip, record
        stream = AxiStream(chip.link.units)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "input": In(stream),
                "input_part": In(PART_BITS),
                "input_credit": In(InputCredit()),
                "rx": In(stream),
                "rx_credit": In(RxCredit()),
                "output": Out(stream),
                "routes": Out(RouteWrite(LinkSizes.of(chip))),
                "tx_stream": Out(STREAM_BITS),
                "link_errors": In(Error),
                "error_stream": In(STREAM_BITS),
                "links_busy": In(1),
                "packet_in": In(1),
                "packet_out": In(1),
                "awake": Out(1),
                "mvm_awake": Out(1),
                "error": Out(1),
                **{f"{unit}_clk": In(1) for unit in _UNITS},
                **{f"{unit}_active": Out(1) for unit in _UNITS},
            }
        )

    def _load_state(self, m: Module, regs: TileRegisters, array: PcmArray) -> None:
        """Pass the request for a state load to the array's clock domain."""
        m.submodules.state = state = Mailbox(giver="sync", taker="mvm")
        begun = Signal()
        m.d.comb += [
            state.put.eq(regs.state_load),
            regs.state_loading.eq(state.full),
            array.state_index.eq(regs.state_index),
            array.state_load.eq(state.available & ~begun),
            array.state_write.eq(regs.state_write),
            array.state_first.eq(regs.state_first),
            array.state_data.eq(regs.state_data),
            state.take.eq(begun & ~array.state_busy),
        ]
        m.d.mvm += begun.eq(state.available & ~state.take)

    def _control_ldpu(self, m: Module, regs: TileRegisters, ldpu: Ldpu) -> None:
        """Connect configuration and column constants."""
        for port in ("relu_1", "relu_2", "rx_enable", "rx_binary16", "tx_binary16", "rx_scale"):
            m.d.comb += getattr(ldpu, port).eq(getattr(regs, port))
        for port in ("column", "index", "write", "data"):
            name = f"constant_{port}"
            m.d.comb += getattr(ldpu, name).eq(getattr(regs, name))
        m.d.comb += regs.constant_value.eq(ldpu.constant_value)

    def _receive_rx(self, m: Module, regs: TileRegisters, ldpu: Ldpu) -> TileRx:
        """Connect the path of RX vectors to the LDPU."""
        m.submodules.rx = rx = TileRx(self._chip)
        connect(m, flipped(self.rx), rx.stream)
        connect(m, flipped(self.rx_credit), rx.credit)
        m.d.comb += [
            rx.enable.eq(regs.rx_enable),
            rx.binary16.eq(regs.rx_binary16),
            rx.columns.eq(regs.columns),
            rx.parts.eq(regs.rx_parts),
            rx.restart.eq(regs.restart),
            rx.take.eq(ldpu.rx_take),
            ldpu.rx_valid.eq(rx.valid),
            ldpu.rx.eq(rx.values),
        ]
        return rx

    def _send_results(self, m: Module, regs: TileRegisters, results: SyncFIFOBuffered) -> Value:
        """Connect results to the output stream; return whether some are in flight."""
        m.submodules.sender = output = TileOutput(self._chip)
        connect(m, output.output, flipped(self.output))
        connect(m, regs.pool, output.config)
        m.d.comb += [
            output.columns.eq(regs.columns),
            output.binary16.eq(regs.tx_binary16),
            output.restart.eq(regs.restart),
            Cat(output.input.data, output.input.last).eq(results.r_data),
            output.input.valid.eq(results.r_rdy),
            results.r_en.eq(output.input.ready),
        ]
        return output.busy

    def _record_all(
        self, m: Module, regs: TileRegisters, array: PcmArray, modulator: InputModulator, ldpu: Ldpu
    ) -> None:
        """Connect the recorder."""
        m.submodules.recorder = recorder = ResultRecorder(self._chip)
        lanes = units_in_last_group(regs.columns, self._chip.ldpu.lanes)
        m.d.comb += [
            recorder.state_load.eq(array.state_load),
            recorder.state_index.eq(array.state_index),
            recorder.result_valid.eq(ldpu.result_valid),
            recorder.result_last.eq(ldpu.result_last),
            recorder.result_keep.eq(Mux(ldpu.result_last, lanes, ~0)),
            recorder.result_wide.eq(regs.tx_binary16),
            recorder.result.eq(ldpu.result),
            *(
                getattr(recorder, f"sent_{name}").eq(getattr(self.output, name))
                for name in self.output.signature.members
            ),
            recorder.writes.eq(modulator.write_enable),
            recorder.group_valid.eq(ldpu.valid),
            recorder.stalled.eq(ldpu.waiting),
            recorder.integrates.eq(~modulator.resting),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        m.submodules.registers = regs = TileRegisters(chip)
        make_domains(m, {unit: getattr(self, f"{unit}_clk") for unit in _UNITS})
        source, unit, ldpu = TileInput(chip), PcmWrite(chip), Ldpu(chip)
        m.submodules.source = clocked(source, "source")
        m.submodules.modulator = modulator = InputModulator(chip)
        m.submodules.array = array = PcmArray(chip)
        m.submodules.bank_reader = reader = BankReader(chip.column_groups)
        m.submodules.pcm_write = clocked(unit, "pcm_write")
        m.submodules.ldpu = clocked(ldpu, "ldpu")
        m.submodules.results = results = SyncFIFOBuffered(
            width=chip.ldpu.lanes * value_bits(chip) + 1, depth=RESULT_DEPTH
        )
        connect(m, flipped(self.bus), regs.bus)
        self._load_state(m, regs, array)
        self._control_ldpu(m, regs, ldpu)
        rx = self._receive_rx(m, regs, ldpu)

        # Input stream to staging register. The stream waits while CONTROL.enable is 0, the array
        # loads a state, or a PCM write is running.
        writing = unit.busy | regs.order.start
        accepting = regs.enable & ~regs.state_loading & ~writing
        connect(m, flipped(self.input), source.stream)
        connect(m, flipped(self.input_credit), source.credit)
        connect(m, regs.table, source.table)
        connect(m, regs.gather, source.config)
        m.d.comb += [
            source.parts.eq(regs.parts),
            source.rows.eq(regs.rows),
            source.restart.eq(regs.restart),
            source.accept.eq(accepting),
            source.part.eq(self.input_part),
            source.full.eq(modulator.full),
            modulator.four_phase.eq(regs.four_phase),
            # Quasi-static, like the read mode.
            array.reference_level.eq(regs.reference_level),
        ]
        for port in ("enable", "row", "count", "data", "first"):
            name = f"write_{port}"
            m.d.comb += getattr(modulator, name).eq(getattr(source, name))
        # A vector of a wrong length counts, too: the tile that adds its results waits for them.
        accepted = source.commit
        m.d.comb += modulator.commit.eq(accepted)

        # The array is shared by modulator and reader, and the PCM-write unit.
        unit.share(m, array, modulator, reader)
        connect(m, regs.order, unit.order)
        m.d.comb += [
            modulator.bank_full.eq(reader.bank_full),
            reader.bank_put.eq(modulator.bank_put),
            reader.last_group.eq((regs.columns - 1) >> (chip.ldpu.lanes - 1).bit_length()),
            regs.pcm_write.eq(writing),
            regs.pulsed.eq(unit.pulsed),
            regs.verified.eq(unit.verified),
        ]

        # A group is read when the LDPU has room, and leaves it when its RX values have arrived and
        # its result has a place.
        m.submodules.result_credit = credit = CreditCounter(RESULT_DEPTH)
        m.d.comb += [
            reader.room.eq(ldpu.room),
            credit.take.eq(ldpu.going),
            credit.give.eq(results.r_rdy & results.r_en),
            ldpu.result_room.eq(credit.available),
            ldpu.group.eq(reader.read_group),
            ldpu.p.eq(array.read_p),
            ldpu.n.eq(array.read_n),
        ]
        # The array answers one clock after a read: delay the control bits by one clock, too.
        m.d.sync += [
            ldpu.valid.eq(reader.read_enable),
            ldpu.last.eq(reader.finished),
        ]

        m.d.comb += [
            results.w_en.eq(ldpu.result_valid),
            results.w_data.eq(Cat(ldpu.result, ldpu.result_last)),
        ]
        results_leave = self._send_results(m, regs, results)

        # Status and counters. With pooling fewer results leave than arrive.
        vectors = Signal(range(VECTORS_MAX + 1))
        processed = results.r_rdy & results.r_en & results.r_data[-1]
        m.d.sync += vectors.eq(vectors + accepted - processed)
        m.d.comb += [
            # Includes a beat that arrives in this clock: the configuration must not change with it.
            regs.arriving.eq((self.input.tvalid & accepting) | (self.rx.tvalid & self.rx.tready)),
            regs.busy.eq(
                (vectors != 0)
                | (self.input.tvalid & accepting)
                | source.busy
                | rx.busy
                | results_leave
                | writing
                | self.links_busy
            ),
            regs.mvm_finished.eq(reader.finished),
            regs.stalled.eq(ldpu.waiting),
            regs.vector_accepted.eq(accepted),
            regs.vector_sent.eq(self.output.tvalid & self.output.tready & self.output.tlast),
            regs.packet_in.eq(self.packet_in),
            regs.packet_out.eq(self.packet_out),
        ]
        errors = {
            Error.INPUT_SHORT: source.too_short,
            Error.INPUT_LONG: source.too_long,
            Error.RX_SHORT: rx.short,
            Error.RX_LONG: rx.long,
            Error.RX_UNEXPECTED: rx.unexpected,
        }
        connect(m, regs.routes, flipped(self.routes))
        m.d.comb += [
            self.tx_stream.eq(regs.tx_stream),
            regs.errors.eq(word_of(errors) | self.link_errors),
            regs.error_stream.eq(self.error_stream),
            self.awake.eq(
                regs.busy | modulator.full | regs.state_loading | reader.pending | results.r_rdy
            ),
            self.mvm_awake.eq(modulator.full | regs.state_loading | writing | ~modulator.resting),
            self.error.eq(regs.error),
            self.source_active.eq(source.busy),
            self.ldpu_active.eq(reader.pending | ldpu.busy),
            self.pcm_write_active.eq(writing),
        ]
        if self._record:
            self._record_all(m, regs, array, modulator, ldpu)
        return m
