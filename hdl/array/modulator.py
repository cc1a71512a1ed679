"""The input modulator: from activations to pulses on the rows of the PCM array.

Published: sign and 7-bit magnitude; a pulse of `magnitude` slots of one `mvm` clock (1 ns); all
sign pairs at once in 1-phase reads and one after another in 4-phase reads. The split of the
overhead into precharge and conversion, and the order of the phases, are our choice.
"""

from functools import reduce
from operator import and_, or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.mailbox import Mailbox
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, Phase, ReadMode, Steer


class InputModulator(wiring.Component):
    """Collects an input vector in a staging register, then drives the array's rows phase by phase.

    A vector is written in any order, up to `buffers.gather` neighboring rows per clock, while the
    vector before it drives the rows; `commit` hands it over.

    Latency: an MVM starts when the `Mailbox` has passed the commit, two to three `mvm` clocks, and
    a counter bank is free. Throughput: one MVM per 133 `mvm` clocks in 1-phase and per 520 in
    4-phase reads of `hermes`, without gaps as long as vectors and counter banks are available.
    Back-pressure: `full` to the writer; a full counter bank delays the next MVM.

    Attributes (domain `sync`):
        write_enable, write_row, write_count, write_data: write the INT8 values of `write_count`
            rows from `write_row` on; each row at most once per vector. A row's value is in lane
            number row modulo `buffers.gather`. Only while `full` is 0.
        write_first: with the first write of a vector: clears all other rows. The write may have no
            row.
        commit: the vector is complete, including the write in this clock. Only while `full` is 0.
        full: the staging register holds a committed vector.
        four_phase: the read mode; quasi-static.

    Attributes (domain `mvm`):
        pulse_add, pulse_sub, select_plus, select_minus, steer, bank, clear, integrate: to the
            array, see `caduceus.hdl.array.pcm_array`.
        array_busy: the array is still converting the last window.
        bank_full: per counter bank: it holds results that have not been read.
        bank_put: per counter bank, pulse of one clock: it now holds the results of an MVM.
        resting: no MVM is in progress.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        rows, lanes = chip.array.rows, chip.buffers.gather
        super().__init__(
            {
                "write_enable": In(1),
                "write_row": In(range(rows)),
                "write_count": In(range(lanes + 1)),
                "write_data": In(lanes * formats.ACTIVATION_BITS),
                "write_first": In(1),
                "commit": In(1),
                "full": Out(1),
                "four_phase": In(1),
                "pulse_add": Out(rows),
                "pulse_sub": Out(rows),
                "select_plus": Out(1),
                "select_minus": Out(1),
                "steer": Out(Steer),
                "bank": Out(1),
                "clear": Out(1),
                "integrate": Out(1),
                "array_busy": In(1),
                "bank_full": In(2),
                "bank_put": Out(2),
                "resting": Out(1),
            }
        )

    def _stage(self, m: Module) -> tuple[list[Signal], Signal]:
        """The staging register (domain `sync`): bit planes of the magnitudes, and the signs."""
        rows, lanes = self._chip.array.rows, self._chip.buffers.gather
        planes = [
            Signal(rows, name=f"staged_{bit}", reset_less=True)
            for bit in range(formats.MAGNITUDE_BITS)
        ]
        signs = Signal(rows, name="staged_sign", reset_less=True)
        magnitudes, negatives = [], []
        for lane in range(lanes):
            value = self.write_data.word_select(lane, formats.ACTIVATION_BITS)
            negative = value[-1]
            magnitude = Mux(negative, -value, value)[: formats.ACTIVATION_BITS]
            # -128 is read as -127.
            saturated = Signal(formats.MAGNITUDE_BITS, name=f"magnitude_{lane}")
            m.d.comb += saturated.eq(magnitude | magnitude[-1].replicate(formats.MAGNITUDE_BITS))
            magnitudes.append(saturated)
            negatives.append(negative)
        place = Signal(rows)
        m.d.comb += place.eq(((1 << self.write_count) - 1) << self.write_row)
        keep = (~self.write_first).replicate(rows)
        with m.If(self.write_enable):
            for plane, bits in [
                *((plane, [x[bit] for x in magnitudes]) for bit, plane in enumerate(planes)),
                (signs, negatives),
            ]:
                spread = Cat(bits).replicate(rows // lanes) & place
                m.d.sync += plane.eq((plane & keep) | spread)
        return planes, signs

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        rows = chip.array.rows
        staged_planes, staged_signs = self._stage(m)
        m.submodules.vector = vector = Mailbox(giver="sync", taker="mvm")
        m.d.comb += [vector.put.eq(self.commit), self.full.eq(vector.full)]

        planes = [
            Signal(rows, name=f"plane_{bit}", reset_less=True)
            for bit in range(formats.MAGNITUDE_BITS)
        ]
        signs = Signal(rows, reset_less=True)
        four_phase = Signal()
        phase = Signal(range(len(PHASES[ReadMode.FOUR_PHASE])))
        slot = Signal(formats.MAGNITUDE_BITS)
        overheads = chip.mvm.overhead_1phase, chip.mvm.overhead_4phase
        timer = Signal(range(max(overheads)))
        last_phase = ~four_phase | (phase == len(PHASES[ReadMode.FOUR_PHASE]) - 1)

        # A phase's overhead is a precharge before the window and a conversion after it.
        precharge = [overhead // 2 for overhead in overheads]
        conversion = [overhead - overhead // 2 for overhead in overheads]

        def wait(clocks: list[int], four: Value) -> Value:
            return timer.eq(Mux(four, clocks[1] - 1, clocks[0] - 1))

        def drive(phase: Phase) -> list:
            """Select the phase's devices and start the pulses of its rows."""
            nonzero = reduce(or_, planes)
            by_sign = phase.steer == Steer.BY_SIGN
            add = []
            if phase.drive_positive:
                add.append(nonzero & ~signs)
            if phase.drive_negative and not by_sign:
                add.append(nonzero & signs)
            return [
                self.pulse_add.eq(reduce(or_, add)),
                self.pulse_sub.eq(nonzero & signs if phase.drive_negative and by_sign else 0),
                self.select_plus.eq(phase.select_plus),
                self.select_minus.eq(phase.select_minus),
                self.steer.eq(phase.steer),
            ]

        def start_when_possible(bank: Value) -> None:
            """Start the next MVM into `bank`, or rest."""
            with m.If(vector.available & ~self.bank_full.bit_select(bank, 1)):
                m.d.comb += vector.take.eq(1)
                m.d.mvm += [plane.eq(new) for plane, new in zip(planes, staged_planes, strict=True)]
                m.d.mvm += [
                    signs.eq(staged_signs),
                    four_phase.eq(self.four_phase),
                    phase.eq(0),
                    self.clear.eq(1),
                    wait(precharge, self.four_phase),
                ]
                m.next = "PRECHARGE"
            with m.Else():
                m.next = "REST"

        m.d.mvm += self.clear.eq(0)
        with m.FSM(domain="mvm", name="sequence"):
            with m.State("REST"):
                m.d.comb += self.resting.eq(1)
                start_when_possible(self.bank)
            with m.State("PRECHARGE"):
                m.d.mvm += timer.eq(timer - 1)
                with m.If(timer == 0):
                    with m.If(four_phase), m.Switch(phase):
                        for index, step in enumerate(PHASES[ReadMode.FOUR_PHASE]):
                            with m.Case(index):
                                m.d.mvm += drive(step)
                    with m.Else():
                        m.d.mvm += drive(PHASES[ReadMode.ONE_PHASE][0])
                    m.d.mvm += [self.integrate.eq(1), slot.eq(1)]
                    m.next = "INTEGRATE"
            with m.State("INTEGRATE"):
                # `slot` is the number of the next slot: rows with this magnitude are done. The
                # comparison by bit planes is the same logic as one comparator per row, with far
                # fewer operations for a simulator.
                done = reduce(
                    and_, (plane ^ ~slot[bit].replicate(rows) for bit, plane in enumerate(planes))
                )
                m.d.mvm += [
                    slot.eq(slot + 1),
                    self.pulse_add.eq(self.pulse_add & ~done),
                    self.pulse_sub.eq(self.pulse_sub & ~done),
                ]
                # The counter has wrapped: this is the window's last slot.
                with m.If(slot == 0):
                    m.d.mvm += [self.integrate.eq(0), wait(conversion, four_phase)]
                    m.next = "CONVERT"
            with m.State("CONVERT"):
                with m.If(timer != 0):
                    m.d.mvm += timer.eq(timer - 1)
                with m.Elif(~self.array_busy):
                    with m.If(last_phase):
                        m.d.comb += self.bank_put.eq(1 << self.bank)
                        m.d.mvm += self.bank.eq(~self.bank)
                        start_when_possible(~self.bank)
                    with m.Else():
                        m.d.mvm += [phase.eq(phase + 1), wait(precharge, four_phase)]
                        m.next = "PRECHARGE"
        return m
