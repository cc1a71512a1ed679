"""A program through a whole chip in RTL: what is run, where its files are, and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.job_file import JobFile

VARIABLE = "CADUCEUS_CHIP_JOB"
"""Environment variable that names the job's folder to the simulation."""

PLUSARGS = ("+pcm_state=states", "+streams=streams")
"""Folders under the job's folder, the simulation's working folder."""


@dataclass(frozen=True)
class ChipJob(JobFile, name="job.json"):
    """What to run.

    Attributes:
        chip: name, or path of the description.
        clock_half_periods_ps: of `sync` and `mvm`.
    Beside it are the program image `program.bin`, the PCM state `state.pcm`, and the input
    vectors `inputs.npy`, int8 [n, input_length].
    """

    chip: str
    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class ChipOutcome(JobFile, name="outcome.json"):
    """What came of it.

    Attributes:
        values_compared, mismatches: INT8 values that left the chip.
        first_mismatch: where, expected and got; empty if there is none.
        cycles: rising edges of `sync` and `mvm` from the first input on.
        began: clock in which the chip took its first beat.
        fed: clock in which it took the last beat of the first vector.
        ends: for every vector, the clock in which its last output beat left.
        mvms, stalled: MVMs and stalled cycles by tile number.
        simulate_seconds: wall-clock time from the first input on.
        peak_mib: most memory that the simulation had in use, Python and golden model included.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    cycles: dict[str, int]
    began: int
    fed: int
    ends: list[int]
    mvms: dict[str, int]
    stalled: dict[str, int]
    simulate_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class SequenceOutcome(JobFile, name="outcome.json"):
    """What came of a text through a recurrent network, twice.

    Once the state was read and compared after each step; then the text went through at full speed,
    with a stop after its first half, in which the state was read, cleared and loaded again.

    Attributes:
        values_compared: outputs, hidden states (INT8) and cell states (binary16).
        mismatches, first_mismatch: as for `ChipOutcome`.
        outputs: of the second time, [steps][output_length].
        cycles: rising edges of `sync` and `mvm`, both times, reading and loading states included.
        latency: clocks of `sync` from the last input value of a step, with all else at rest, to its
            last output value: of each step of the first time.
        latency_of_state: likewise until the first GDPU slice has sent its hidden units.
        latency_of_states: likewise until all have; they send one after another.
        latency_with_input: likewise from its first input value.
        period: clocks of `sync` from step to step at full speed, of each step but the first two.
        mvms: MVMs by tile number.
        simulate_seconds: wall-clock time of that.
        full_speed_seconds: wall-clock time of the steps at full speed.
        peak_mib: as for `ChipOutcome`.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    outputs: list[list[int]]
    cycles: dict[str, int]
    latency: list[int]
    latency_of_state: list[int]
    latency_of_states: list[int]
    latency_with_input: list[int]
    period: list[int]
    mvms: dict[str, int]
    simulate_seconds: float
    full_speed_seconds: float
    peak_mib: float


def peak_mib() -> float:
    """Most memory that this process had in use, in MiB.

    The kernel's own count for the process, as `getrusage` also counts whoever started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
