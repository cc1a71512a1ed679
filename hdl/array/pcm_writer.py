"""The PCM writer: iterates the devices of a diagonal to target conductances, or reads them.

The procedure is published; docs/pcm_write.md describes it step by step. The walk over the lines and
the record per line are our choice.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import In, Out

from caduceus.hdl.array.device_update import RECORD, RESULT, DeviceUpdate, Stage
from caduceus.hdl.array.line_walk import LineWalk
from caduceus.hdl.array.pulse_sequencer import Command
from caduceus.spec import formats, pcm_write
from caduceus.spec.chip import Chip

_DEVICES = range(len(formats.DEVICES))

FIELDS = {name: ("PROCEDURE", name) for name in ("margin", "iterations", "step", "first")}
"""Members of `Order` that are register fields: register and field of each."""


class Order(wiring.Signature):
    """Interface between the tile's registers and the PCM writer, from the registers' side.

    Attributes:
        start: pulse of one clock: start the PCM write. Only while the PCM writer is not busy. The
            members below, to `first`, are stable while it is busy.
        devices: devices in use per cell, 1 or 2; 0: only read `read_device`.
        read_device: the device to read.
        diagonal: number of the diagonal.
        margin, iterations, step, first: see `caduceus.spec.pcm_write.Procedure`.
        target_write, target_line, target: store the target of a line; only while not busy.
        result_line, result: the result of a line, one clock after its number.
    """

    def __init__(self, chip: Chip) -> None:
        lines = range(pcm_write.lines(chip))
        super().__init__(
            {
                "start": Out(1),
                "devices": Out(range(3)),
                "read_device": Out(_DEVICES),
                "diagonal": Out(pcm_write.DIAGONAL_BITS),
                "margin": Out(pcm_write.MARGIN_BITS),
                "iterations": Out(pcm_write.ITERATION_BITS),
                "step": Out(pcm_write.STEP_BITS),
                "first": Out(pcm_write.AMPLITUDE_BITS),
                "target_write": Out(1),
                "target_line": Out(lines),
                "target": Out(signed(pcm_write.TARGET_BITS)),
                "result_line": Out(lines),
                "result": In(RESULT),
            }
        )


class PcmWriter(wiring.Component):
    """Writes the devices of a diagonal, or reads one device of each of its cells.

    An FSM walks over the lines, one per clock: to write the heads' latches before a pulse, and to
    evaluate the counters after a read. A pulse is skipped if no head would take part in it.

    Latency: `busy` lasts as long as the procedure, see docs/pcm_write.md.

    Attributes (domain `sync`):
        order: from the registers.
        busy: 1 from the clock after `order.start` until the write or read is complete.
        pulsed, verified: pulse of one clock each: a pulse or a verify read has begun.
        command, command_start, command_busy: of the pulse sequencer.
        diagonal, device, line: to the array, with a command.
        head_write, head, head_on, head_amplitude: to the array.
        read_enable, read_group, p, n: readout of the array's counters, which answer one clock
            later.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        counts = chip.ldpu.lanes * formats.COUNT_BITS
        super().__init__(
            {
                "order": In(Order(chip)),
                "busy": Out(1),
                "pulsed": Out(1),
                "verified": Out(1),
                "command": Out(Command),
                "command_start": Out(1),
                "command_busy": In(1),
                "diagonal": Out(pcm_write.DIAGONAL_BITS),
                "device": Out(_DEVICES),
                "line": Out(pcm_write.LINE_BITS),
                "head_write": Out(1),
                "head": Out(pcm_write.HEAD_BITS),
                "head_on": Out(1),
                "head_amplitude": Out(pcm_write.AMPLITUDE_BITS),
                "read_enable": Out(1),
                "read_group": Out(range(max(2, chip.column_groups))),
                "p": In(counts),
                "n": In(counts),
            }
        )

    def _memory(self, m: Module, name: str, shape: object) -> tuple[WritePort, ReadPort, Memory]:
        """A memory with one word per line, whose read port follows the walk."""
        memory = Memory(shape=shape, depth=pcm_write.lines(self._chip), init=[])
        m.submodules[name] = memory
        read = memory.read_port()
        m.d.comb += read.addr.eq(self._walk.number)
        return memory.write_port(), read, memory

    def elaborate(self, platform: object) -> Module:
        m = Module()
        order = self.order
        m.submodules.walk = self._walk = walk = LineWalk(self._chip)
        m.submodules.update = update = DeviceUpdate()
        target_write, target, _ = self._memory(m, "targets", signed(pcm_write.TARGET_BITS))
        record_write, record, records = self._memory(m, "records", RECORD)
        known = [self._memory(m, f"known_{each}", formats.COUNT_BITS) for each in range(2)]
        result = records.read_port()
        m.d.comb += [
            target_write.en.eq(order.target_write),
            target_write.addr.eq(order.target_line),
            target_write.data.eq(order.target),
            result.addr.eq(order.result_line),
            *(order.result[name].eq(result.data[name]) for name, _ in RESULT),
        ]

        stage, device = Signal(Stage), self.device
        uses = Signal(len(formats.DEVICES))
        latching, counting, looking = Signal(), Signal(), Signal()
        same_polarity = record.data.device[1] == device[1]

        # A line's column of the counters.
        counters = Mux(device[1], self.n, self.p)
        count = counters.word_select(walk.lane, formats.COUNT_BITS)
        m.d.comb += [
            self.read_enable.eq(walk.active & counting),
            self.read_group.eq(walk.group),
        ]

        # Records are updated, except in the stage KNOW, which only stores the counts.
        knows = stage == Stage.KNOW
        for each, (write, _, _) in enumerate(known):
            wanted = (device[0] == each) & record.data.pending & same_polarity
            m.d.comb += [
                write.en.eq(walk.passed & counting & knows & wanted),
                write.addr.eq(walk.place),
                write.data.eq(count),
            ]
        m.d.comb += [
            update.stage.eq(stage),
            update.device.eq(device),
            update.two.eq(order.devices == 2),
            update.margin.eq(order.margin),
            update.iterations.eq(order.iterations),
            update.step.eq(order.step),
            update.first.eq(order.first),
            update.valid.eq(walk.passed & (looking | (counting & ~knows))),
            update.record.eq(record.data),
            update.target.eq(target.data),
            update.count.eq(count),
            *(update.known[each].eq(read.data) for each, (_, read, _) in enumerate(known)),
            record_write.en.eq(update.new_valid),
            record_write.addr.eq(walk.last_place),
            record_write.data.eq(update.new_record),
        ]

        # The heads' latches.
        on, some_on, again = Signal(), Signal(), Signal()
        mine = record.data.device == device
        with m.Switch(stage):
            with m.Case(Stage.RESET):
                m.d.comb += on.eq(1)
            with m.Case(Stage.SET):
                in_use = same_polarity & (~device[0] | (order.devices == 2))
                m.d.comb += on.eq(record.data.pending & in_use)
            with m.Case(Stage.RESET_OTHER):
                m.d.comb += on.eq(record.data.reset_other & same_polarity & ~mine)
            with m.Case(Stage.ITERATE):
                m.d.comb += on.eq(record.data.pending & mine)
        iterating = stage == Stage.ITERATE
        m.d.sync += [
            self.head_write.eq(walk.passed & latching),
            self.head.eq(walk.head),
            self.head_on.eq(on),
            self.head_amplitude.eq(Mux(iterating, record.data.amplitude, pcm_write.AMPLITUDE_MAX)),
        ]
        with m.If(walk.passed & latching & on):
            m.d.sync += some_on.eq(1)
        with m.If(update.new_valid):
            m.d.sync += [uses.eq(uses | update.uses), again.eq(again | update.pulse)]

        def latch(line: Value | int) -> None:
            """Write the heads' latches for their line number `line`."""
            m.d.comb += [walk.start.eq(1), walk.by_heads.eq(1), walk.first.eq(line)]
            m.d.sync += [self.line.eq(line), some_on.eq(0)]
            m.next = "LATCH"

        def look(next_stage: Stage) -> None:
            m.d.comb += walk.start.eq(1)
            m.d.sync += [stage.eq(next_stage), uses.eq(0), device.eq(0)]
            m.next = "LOOK"

        def go_on() -> None:
            """Go on to the next device or, after the last one, to the next stage."""
            m.d.sync += device.eq(device + 1)
            m.next = "PICK"
            with m.If(device == _DEVICES[-1]), m.Switch(stage):
                with m.Case(Stage.RESET):
                    m.d.sync += stage.eq(Stage.SET)
                with m.Case(Stage.SET):
                    m.d.sync += stage.eq(Mux(order.devices == 2, Stage.KNOW, Stage.ITERATE))
                with m.Case(Stage.KNOW):
                    look(Stage.DECIDE)
                with m.Case(Stage.RESET_OTHER):
                    m.d.sync += stage.eq(Stage.ITERATE)
                with m.Case(Stage.ITERATE):
                    m.next = "IDLE"

        m.d.comb += [self.diagonal.eq(order.diagonal), walk.diagonal.eq(order.diagonal)]
        last_line = self.line == pcm_write.head_lines(self._chip) - 1
        with m.FSM(name="sequence") as fsm:
            m.d.comb += [
                self.busy.eq(~fsm.ongoing("IDLE")),
                latching.eq(fsm.ongoing("LATCH")),
                counting.eq(fsm.ongoing("COUNT")),
                looking.eq(fsm.ongoing("LOOK")),
            ]
            with m.State("IDLE"):
                with m.If(order.start & (order.devices == 0)):
                    m.d.sync += [stage.eq(Stage.READ), device.eq(order.read_device)]
                    m.next = "MEASURE"
                with m.Elif(order.start):
                    look(Stage.SCAN)
            with m.State("LOOK"), m.If(walk.finished):
                after = Mux(stage == Stage.SCAN, Stage.RESET, Stage.RESET_OTHER)
                m.d.sync += stage.eq(after)
                m.next = "PICK"
            with m.State("PICK"):
                everyone = (stage == Stage.RESET) | (stage == Stage.RESET_OTHER)
                with m.If(~everyone & ~uses.bit_select(device, 1)):
                    go_on()
                with m.Elif(knows | iterating):
                    m.next = "MEASURE"
                with m.Else():
                    latch(0)
            with m.State("LATCH"), m.If(walk.finished):
                m.next = "PULSE"
                with m.If(some_on):
                    m.d.comb += self.command_start.eq(1)
            with m.State("PULSE"), m.If(~self.command_busy):
                with m.If(~last_line):
                    latch(self.line + 1)
                with m.Elif(iterating):
                    m.next = "MEASURE"
                with m.Else():
                    go_on()
            with m.State("MEASURE"):
                m.d.comb += self.command_start.eq(1)
                m.next = "MEASURING"
            with m.State("MEASURING"), m.If(~self.command_busy):
                m.d.comb += walk.start.eq(1)
                m.d.sync += again.eq(0)
                m.next = "COUNT"
            with m.State("COUNT"), m.If(walk.finished):
                with m.If(stage == Stage.READ):
                    m.next = "IDLE"
                with m.Elif(iterating & again):
                    latch(0)
                with m.Else():
                    go_on()
            reading = fsm.ongoing("MEASURE") | fsm.ongoing("MEASURING")
            pulse = Mux(stage == Stage.SET, Command.SET, Command.SQUARE)
            m.d.comb += self.command.eq(Mux(reading, Command.READ, pulse))
        m.d.sync += [
            self.pulsed.eq(self.command_start & (self.command != Command.READ)),
            self.verified.eq(self.command_start & (self.command == Command.READ)),
        ]
        return m
