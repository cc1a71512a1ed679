"""The state of the working tree and the one before, measured in turns on the same machine.

Other work on the machine disturbs both alike: run by run the states alternate, and a ratio is that
of neighboring runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from benchmarks.one_thread import Failed
from benchmarks.plays import ALL, EIGHT, ONE, Measured, Task, built, full, measured
from benchmarks.state import State
from caduceus.spec.formats import ReadMode

CHIP = "hermes"
ROUNDS = 2
"""Runs of each state, workload and number of threads."""
WORKLOADS = {
    "1 busy tile": full(CHIP, ReadMode.ONE_PHASE, ONE, 1),
    "8 busy tiles": full(CHIP, ReadMode.ONE_PHASE, EIGHT, 1),
    "64 busy tiles": full(CHIP, ReadMode.ONE_PHASE, ALL, 1),
    "ResNet-9, one image": Task(CHIP, ReadMode.FOUR_PHASE, 1, network="resnet9"),
}
NO_STATE = (
    "the state before: not measured (none is kept: make speed after the next change of the "
    "sources, or with REFERENCE=REVISION, measures against one)"
)


@dataclass(frozen=True)
class Paired:
    """What was measured.

    Attributes:
        rows: one per workload and number of threads; keys of `_columns`, those of the state before
            with `before_` in front; `speed_up`, the ratio of the best kHz, and `speed_up_median`,
            the median ratio of neighboring runs. None where there is no figure.
        builds: one per state, as of `benchmarks.plays.built`.
        missing: one line for each part without figures.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def run(now: State, before: State | None, threads: Sequence[int], rounds: int = ROUNDS) -> Paired:
    """Measure both states.

    Args:
        now: the state of the working tree.
        before: the state before; None if there is none.
        threads: numbers of threads.
        rounds: runs of each state, workload and number of threads.

    Raises:
        Failed: the working tree's state has no figures.
    """
    found = Paired(builds=[built(now, CHIP)])
    if before is None:
        found.missing.append(NO_STATE)
    else:
        try:
            found.builds.append(built(before, CHIP))
        except Failed as error:
            found.missing.append(f"{before}: not measured ({error})")
            before = None
    for name, task in WORKLOADS.items():
        ours: dict[int, list[Measured]] = {number: [] for number in threads}
        theirs: dict[int, list[Measured]] = {number: [] for number in threads}
        reference = before
        for _ in range(rounds):
            for number in threads:
                wanted = replace(task, threads=number)
                try:
                    if reference:
                        # A state without threads runs once a round.
                        first = theirs[threads[0]]
                        again = number != threads[0] and first[-1].threads is None
                        theirs[number].append(first[-1] if again else measured(reference, wanted))
                except Failed as error:
                    found.missing.append(f"{reference}, {name}: not measured ({error})")
                    reference = None
                ours[number].append(measured(now, wanted))
        found.rows.extend(
            _row(name, task, ours[number], theirs[number] if reference else [])
            for number in threads
        )
    return found


def _row(name: str, task: Task, ours: list[Measured], theirs: list[Measured]) -> dict[str, Any]:
    now, before = _columns(ours), _columns(theirs)
    ratios = [
        mine.figures["khz"] / other.figures["khz"]
        for mine, other in zip(ours, theirs, strict=False)
    ]
    return {
        "workload": name,
        "chip": task.chip,
        "read_mode": str(task.read_mode),
        "tiles": ours[0].figures["tiles"],
        **now,
        **{f"before_{key}": value for key, value in before.items()},
        "speed_up": now["khz"] / before["khz"] if theirs else None,
        "speed_up_median": median(ratios) if ratios else None,
    }


def _columns(runs: list[Measured]) -> dict[str, Any]:
    """Of one state's runs; None where it has no such figure."""

    def values(key: str) -> list[float]:
        found = [run.figures.get(key) for run in runs]
        return [value for value in found if value is not None]

    khz = values("khz")
    return {
        "threads": runs[0].threads if runs else None,
        "cycles": runs[0].figures["cycles"] if runs else None,
        "khz": max(khz, default=None),
        "khz_median": median(khz) if khz else None,
        "play_seconds": min(values("simulate_seconds"), default=None),
        "play_cpu_seconds": min(values("simulate_cpu_seconds"), default=None),
        "load_seconds": min(values("load_seconds"), default=None),
        "outside_seconds": min((run.outside for run in runs), default=None),
        "run_cpu_seconds": min((run.cpu_seconds for run in runs), default=None),
        "peak_mib": max(values("peak_mib"), default=None),
    }
