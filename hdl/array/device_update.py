"""The update of a device's record: the arithmetic of the program-and-verify iteration.

Published: the current is updated in proportion to target minus read, a device stops within the
margin or after a number of pulses, and the choice of the iterated device among two. Fixed-point
positions are our choice.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import formats, pcm_write

_GOAL_BITS = pcm_write.TARGET_BITS - 1


class Stage(IntEnum):
    """Stages of the PCM writer, in order."""

    SCAN = 0
    """Evaluate the targets."""
    RESET = 1
    """RESET all devices."""
    SET = 2
    """SET the devices in use."""
    KNOW = 3
    """Read the devices that were SET. Like the next two stages, only with two devices per cell."""
    DECIDE = 4
    """Choose the device to iterate."""
    RESET_OTHER = 5
    """RESET the other device where it is not needed."""
    ITERATE = 6
    READ = 7
    """A verify read for the host, without a PCM write."""


_RESULT = {
    "error": signed(pcm_write.ERROR_BITS),
    "iterations": pcm_write.ITERATION_BITS,
    "device": range(len(formats.DEVICES)),
    "within": 1,
}
RESULT = data.StructLayout(_RESULT)
"""Result of a line for the host, like `golden.reference.pcm_writer.PcmWritten`; after a read, only
`error`, which holds the count, and `device`."""

RECORD = data.StructLayout(
    {
        **_RESULT,
        "pending": 1,
        "reset_other": 1,
        "amplitude": pcm_write.AMPLITUDE_BITS,
        "goal": _GOAL_BITS,
    }
)
"""Record of a line's cell.

    error, iterations, device, within: the result.
    pending: the device needs one more pulse; before its first read, it is in use.
    reset_other: the other device of its polarity must be RESET.
    amplitude: code of its last pulse, or PROCEDURE.first before its first pulse.
    goal: goal of its reads, in counts.
"""


class DeviceUpdate(wiring.Component):
    """A pipeline that updates the record of a line's cell.

    Latency: `LATENCY` clocks. Throughput: one record per clock. Back-pressure: none.

    Attributes (domain `sync`):
        stage, device: of the PCM writer; quasi-static while records are in flight, as are `two`,
            `margin`, `iterations`, `step` and `first`.
        two: two devices per cell. margin, iterations, step, first: see `spec.pcm_write.Procedure`.
        valid, record, target: a record, and the target of its line.
        count: of the line's column, in `ITERATE` and `READ`.
        known: counts of the first and the second device after SET, in `DECIDE`.
        new_valid, new_record: the updated record; `new_valid` is `valid`, delayed.
        uses: with `new_valid`, in `SCAN` and `DECIDE`: mask of the devices in use, or iterated.
        pulse: with `new_valid`, in `ITERATE`: the device needs one more pulse.
    """

    LATENCY = 3

    stage: In(Stage)
    device: In(range(len(formats.DEVICES)))
    two: In(1)
    margin: In(pcm_write.MARGIN_BITS)
    iterations: In(pcm_write.ITERATION_BITS)
    step: In(pcm_write.STEP_BITS)
    first: In(pcm_write.AMPLITUDE_BITS)
    valid: In(1)
    record: In(RECORD)
    target: In(signed(pcm_write.TARGET_BITS))
    count: In(formats.COUNT_BITS)
    known: In(data.ArrayLayout(formats.COUNT_BITS, 2))
    new_valid: Out(1)
    new_record: Out(RECORD)
    uses: Out(len(formats.DEVICES))
    pulse: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = [Signal(name=f"valid_{place}") for place in range(self.LATENCY)]
        record = [Signal(RECORD, name=f"record_{place}") for place in range(self.LATENCY)]
        target = [Signal.like(self.target, name=f"target_{p}") for p in range(self.LATENCY)]
        for pipe, first in ((valid, self.valid), (record, self.record), (target, self.target)):
            for new, old in zip(pipe, [first, *pipe[:-1]], strict=True):
                m.d.sync += new.eq(old)
        m.d.comb += self.new_valid.eq(valid[-1])

        # First stage: which of two devices is the lower one.
        count, high = Signal(formats.COUNT_BITS), Signal(formats.COUNT_BITS)
        second_lower = Signal()
        m.d.sync += [
            count.eq(self.count),
            second_lower.eq(self.known[1] < self.known[0]),
            high.eq(Mux(self.known[1] < self.known[0], self.known[0], self.known[1])),
        ]
        # Second stage: error of the read, or target against the larger device.
        magnitude = Signal(_GOAL_BITS)
        exceeds = magnitude > high
        error = Signal(signed(pcm_write.ERROR_BITS))
        choice = Signal(data.StructLayout({"second": 1, "reset_other": 1, "goal": _GOAL_BITS}))
        m.d.comb += magnitude.eq(abs(target[0]))
        m.d.sync += [
            error.eq(count - Mux(self.stage == Stage.READ, 0, record[0].goal)),
            # The lower one if the target exceeds both, else the higher one.
            choice.second.eq(second_lower == exceeds),
            choice.reset_other.eq(~exceeds),
            choice.goal.eq(Mux(exceeds, magnitude - high, magnitude)),
        ]
        # Third stage: change of the amplitude, plus one half for rounding.
        move = Signal(signed(pcm_write.ERROR_BITS + pcm_write.STEP_BITS))
        half = 1 << pcm_write.STEP_FRACTION - 1
        last_error, last_choice = Signal.like(error), Signal.like(choice)
        within = Signal()
        m.d.sync += [
            move.eq(error * self.step + half),
            last_error.eq(error),
            last_choice.eq(choice),
            within.eq(abs(error) < self.margin),
        ]
        old, new, used = record[-1], self.new_record, target[-1] != 0
        m.d.comb += new.eq(old)
        with m.Switch(self.stage):
            with m.Case(Stage.SCAN):
                negative = target[-1] < 0
                in_use = Cat(used, used & self.two)
                m.d.comb += [
                    new.eq(0),
                    new.pending.eq(used),
                    new.device.eq(Cat(0, negative)),
                    new.goal.eq(abs(target[-1])),
                    new.amplitude.eq(self.first),
                    self.uses.eq(Mux(negative, in_use << 2, in_use)),
                ]
            with m.Case(Stage.DECIDE), m.If(used):
                m.d.comb += [
                    new.device[0].eq(last_choice.second),
                    new.reset_other.eq(last_choice.reset_other),
                    new.goal.eq(last_choice.goal),
                    self.uses.eq(1 << new.device),
                ]
            with m.Case(Stage.ITERATE), m.If(old.pending & (old.device == self.device)):
                amplitude = Signal(signed(len(move) - pcm_write.STEP_FRACTION + 1))
                m.d.comb += [
                    amplitude.eq(old.amplitude + (move >> pcm_write.STEP_FRACTION)),
                    self.pulse.eq(~within & (old.iterations < self.iterations)),
                    new.error.eq(last_error),
                    new.within.eq(within),
                    new.pending.eq(self.pulse),
                    new.iterations.eq(old.iterations + self.pulse),
                    new.amplitude.eq(limited(amplitude)),
                ]
            with m.Case(Stage.READ):
                m.d.comb += [new.eq(0), new.error.eq(last_error), new.device.eq(self.device)]
        return m


def limited(amplitude: Value) -> Value:
    """Saturate a signed number to an amplitude code."""
    most = pcm_write.AMPLITUDE_MAX
    return Mux(amplitude < 0, 0, Mux(amplitude > most, most, amplitude))
