"""A GDPU slice on the fabric: a chip instantiates this module once per slice.

    packets from either side -> preamble off -> Gdpu -> hidden state -> packets to either side

Published: a slice receives the pre-activations of a column of tiles and keeps the cell state.
Packets, sequences, and the automatic return of the hidden state are our choice.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from caduceus.hdl.common import register_slice
from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.hdl.common.clock_domains import add_domain
from caduceus.hdl.common.register_block import word_of
from caduceus.hdl.common.vector_receiver import VectorReceiver
from caduceus.hdl.common.width_converter import WidthConverter
from caduceus.hdl.fabric.chip_tile import StreamBundle, gather, spread
from caduceus.hdl.gdpu.gate_input import GateInput
from caduceus.hdl.gdpu.gdpu import Gdpu, units_per_group
from caduceus.hdl.gdpu.gdpu_registers import GdpuRegisters
from caduceus.hdl.gdpu.hidden_output import HiddenOutput
from caduceus.hdl.gdpu.state_memory import StateMemory
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS
from caduceus.spec.gdpu import GATES
from caduceus.spec.gdpu_registers import Error

SIDES = 2
"""Number of sides, in the order north, south."""


class GdpuSlice(wiring.Component):
    """LSTM units with their state; identical for every slice of a chip.

    Contract: CONTROL.start begins a sequence (it is refused within one), and the hidden state
    leaves as a packet. Each following packet, from either side and with four pre-activations per
    unit, updates the state, and a packet with the new hidden state leaves.

    Back-pressure: the next packet is accepted when the answer has left for the buffers of the
    links.

    Errors: missing values of a short packet read as 0; excess values, and packets outside of a
    sequence, are dropped. All of these set a flag in ERROR.

    Latency: an answer leaves without gaps. It begins when all pre-activations have arrived and each
    result will be stored before its beat is due. The preamble leaves
    `START_LATENCY + max(0, Gdpu.latency - before)` clocks after the last group of pre-activations,
    and the last beat of values as many clocks later as there are beats of values. `before` is the
    number of rows before the last one. A row has as many units as a beat, or as the `Gdpu` computes
    in parallel if that is more. With one value per beat and more units than `Gdpu.latency`, the
    last value leaves units - `Gdpu.latency` - 1 clocks later than if the answer began before the
    last pre-activations arrived (29 of 66 clocks for 64 units); but those might arrive too late.

    Attributes:
        clk, rst: of domain `sync`; the reset is synchronous.
        bus: registers, see `caduceus.spec.gdpu_registers`.
        packets_in, packets_out: from and to the north and south tiles.
        awake: the slice has work. `clk` may stop while it is 0, no input stream is valid, and the
            bus has no request.
        error: a bit of ERROR is set.
    """

    START_LATENCY = 2

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._paths = units_per_group(chip)
        # A row of the hidden state holds one beat, or the units computed in parallel if more.
        self._banks = max(self._paths, chip.link.units)
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "bus": In(RegisterBus()),
                "packets_in": In(StreamBundle(chip.link.units, SIDES)),
                "packets_out": Out(StreamBundle(chip.link.units, SIDES)),
                "awake": Out(1),
                "error": Out(1),
            }
        )

    def _states(self, m: Module, regs: GdpuRegisters, gdpu: Gdpu, output: HiddenOutput) -> None:
        """Connect the hidden state's memory: results of the `Gdpu` in, values of packets out."""
        chip, banks, paths = self._chip, self._banks, self._paths
        m.submodules.hidden = hidden = StateMemory(ACTIVATION_BITS, chip.gdpu.units, banks)
        # A row holds `banks // paths` groups and `banks // units` beats.
        group_bits = (banks // paths - 1).bit_length()
        beat_bits = (banks // chip.link.units - 1).bit_length()
        beat = Signal(beat_bits)
        m.d.sync += beat.eq(output.read_beat)
        values = hidden.read
        if beat_bits:
            values = values.word_select(beat, chip.link.units * ACTIVATION_BITS)
        m.d.comb += [
            hidden.read_row.eq(output.read_beat >> beat_bits),
            output.read.eq(values),
            hidden.write_row.eq(gdpu.result_group >> group_bits),
            hidden.write.eq(gdpu.result.replicate(banks // paths)),
        ]
        for bank in range(banks):
            group, path = divmod(bank, paths)
            here = gdpu.result_group[:group_bits] == group if group_bits else 1
            unit = gdpu.result_group * paths + path
            m.d.comb += hidden.write_enable[bank].eq(gdpu.result_valid & here & (unit < regs.units))
        m.d.comb += [
            hidden.clear.eq(regs.clear),
            hidden.host_unit.eq(regs.state_unit),
            hidden.host_write.eq(regs.hidden_write),
            hidden.host_data.eq(regs.state_data),
            regs.hidden_value.eq(hidden.host_value),
            gdpu.clear.eq(regs.clear),
            gdpu.cell_unit.eq(regs.state_unit),
            gdpu.cell_write.eq(regs.cell_write),
            gdpu.cell_data.eq(regs.state_data),
            regs.cell_value.eq(gdpu.cell_value),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        beat, lanes, units = chip.link.units, chip.gdpu.lanes, chip.gdpu.units
        add_domain(m, "sync", self.clk, self.rst)
        m.submodules.registers = regs = GdpuRegisters(units, lanes)
        m.submodules.input = gates = GateInput(beat)
        m.submodules.regroup = regroup = WidthConverter(beat, lanes)
        m.submodules.receive = receive = VectorReceiver(lanes, len(GATES) * units // lanes)
        m.submodules.gdpu = gdpu = Gdpu(chip)
        m.submodules.output = output = HiddenOutput(beat, -(-units // beat))
        register_slice.pass_on(m, self.bus, regs.bus)
        spread(m, self.packets_in, [gates.packets[side] for side in range(SIDES)])
        connect(m, gates.output, regroup.input)
        connect(m, regroup.output, receive.stream)
        gather(m, [output.packets[side] for side in range(SIDES)], self.packets_out)
        self._states(m, regs, gdpu, output)

        accepted = Signal()  # the last group of pre-activations arrives
        m.d.comb += [
            receive.length.eq(len(GATES) * regs.units),
            receive.ready.eq(1),  # the datapath never stalls
            accepted.eq(receive.valid & receive.last),
            gdpu.valid.eq(receive.valid),
            gdpu.group.eq(receive.group),
            gdpu.values.eq(receive.data),
        ]
        for name in ("units", "input_scale", "input_offset", "output_scale", "output_offset"):
            m.d.comb += getattr(gdpu, name).eq(getattr(regs, name))

        running = Signal()
        steps = Signal(DATA_BITS)
        inside = Signal()  # a vector has begun, and its answer has not left for the buffers
        waiting = Signal()  # the vector is complete, and its answer has not begun
        answering = Signal()  # the packet is an answer, not the initial state of a sequence
        final = (regs.length != 0) & (steps + 1 >= regs.length)
        # At most one row per clock is stored, the last when `left` is 0, and at most one per clock
        # is sent. So a packet that begins when `left` equals the number of rows before the last
        # finds each row stored in time.
        counted = Signal(range(gdpu.latency + 1))
        left = Mux(accepted, gdpu.latency, counted)
        rows_before = (regs.units - 1) >> (self._banks - 1).bit_length()
        due = (waiting | accepted) & (left <= rows_before)
        m.d.sync += [
            counted.eq(Mux(left == 0, 0, left - 1)),
            waiting.eq((waiting | accepted) & ~due),
        ]
        with m.If(gates.begins):
            m.d.sync += inside.eq(1)
        with m.If(regs.start):
            m.d.sync += [inside.eq(1), running.eq(1), steps.eq(0), answering.eq(0)]
        with m.If(accepted):
            m.d.sync += answering.eq(1)
        with m.If(output.sent):
            m.d.sync += inside.eq(0)
            with m.If(answering):
                m.d.sync += steps.eq(steps + 1)
                with m.If(final):
                    m.d.sync += running.eq(0)

        within = inside | gates.midway | regroup.holds | receive.midway
        m.d.comb += [
            gates.accept.eq(~inside),
            gates.wanted.eq(running),
            output.start.eq(regs.start | due),
            output.preamble.eq(Mux(answering, Mux(final, regs.last, regs.stream), regs.first)),
            output.length.eq(regs.units),
            output.enable.eq(Cat(regs.north, regs.south)),
            # Includes a beat that arrives in this clock: the configuration must not change with it.
            regs.busy.eq(within | self.packets_in.tvalid.any() | ~output.empty),
            regs.running.eq(running),
            regs.steps.eq(steps),
            regs.vector_accepted.eq(accepted),
            regs.packet_sent.eq(output.sent),
            regs.errors.eq(
                word_of(
                    {
                        Error.INPUT_SHORT: receive.short,
                        Error.INPUT_LONG: receive.long,
                        Error.INPUT_UNEXPECTED: gates.unexpected,
                    }
                )
            ),
            self.awake.eq(regs.busy),
            self.error.eq(regs.error),
        ]
        return m
