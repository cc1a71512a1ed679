"""What becomes of a device's record when the PCM writer passes it: the arithmetic of the iteration.

Published: the current is updated in proportion to target less read, devices stop within the margin
or after so many pulses, and which of two devices is iterated. Fixed-point positions are our choice.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import formats, pcm_write

_GOAL_BITS = pcm_write.TARGET_BITS - 1


class Stage(IntEnum):
    """What the PCM writer is doing, in the order in which it does it."""

    SCAN = 0
    """Look at the targets."""
    RESET = 1
    """All devices."""
    SET = 2
    """Those in use."""
    KNOW = 3
    """Read those that were SET; two devices only, like the two after it."""
    DECIDE = 4
    """Which device is iterated."""
    RESET_OTHER = 5
    """The other one, where it is not needed."""
    ITERATE = 6
    READ = 7
    """A verify read for the host, nothing else."""


_RESULT = {
    "error": signed(pcm_write.ERROR_BITS),
    "iterations": pcm_write.ITERATION_BITS,
    "device": range(len(formats.DEVICES)),
    "within": 1,
}
RESULT = data.StructLayout(_RESULT)
"""What a host is told of a line, as `golden.reference.pcm_writer.PcmWritten` says; of a read, only
the count, as `error`, and the device."""

RECORD = data.StructLayout(
    {
        **_RESULT,
        "pending": 1,
        "reset_other": 1,
        "amplitude": pcm_write.AMPLITUDE_BITS,
        "goal": _GOAL_BITS,
    }
)
"""What is kept of every line's cell.

    error, iterations, device, within: the result.
    pending: the device is to get one more pulse; before its first read, it is in use.
    reset_other: the other device of its polarity is to be RESET.
    amplitude: code of its last pulse, or from which its first is reckoned.
    goal: of its reads, in counts.
"""


class DeviceUpdate(wiring.Component):
    """A pipeline: a record comes with what belongs to it, and the new one leaves it.

    Latency: `LATENCY` clocks; one record a clock.

    Attributes (domain `sync`):
        stage, device: of the PCM writer; quasi-static while records are inside, and so are the
            following four.
        two: two devices a cell. margin, iterations, step, first: see `spec.pcm_write.Procedure`.
        valid, record, target: a record, and the target of its line.
        count: of the line's column, in `ITERATE` and `READ`.
        known: counts of the first and the second device after SET, in `DECIDE`.
        new_valid, new_record: the new record; `new_valid` follows `valid`.
        uses: with `new_valid`, in `SCAN` and `DECIDE`: a bit for each device that is in use, or
            iterated.
        pulse: with `new_valid`, in `ITERATE`: the device is to get one more pulse.
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

        # First clock: which of two devices is the lower one.
        count, high = Signal(formats.COUNT_BITS), Signal(formats.COUNT_BITS)
        second_lower = Signal()
        m.d.sync += [
            count.eq(self.count),
            second_lower.eq(self.known[1] < self.known[0]),
            high.eq(Mux(self.known[1] < self.known[0], self.known[0], self.known[1])),
        ]
        # Second: how far the read is from its goal, or the target from what both can do.
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
        # Third: how far the amplitude moves, with the half that rounds it.
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
    """The amplitude code nearest to a signed number."""
    most = pcm_write.AMPLITUDE_MAX
    return Mux(amplitude < 0, 0, Mux(amplitude > most, most, amplitude))
