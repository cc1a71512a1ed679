"""`make netlist-test`: benches on the netlist of the board's synthesis."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from caduceus.sim import runner, tally
from caduceus.sim.cocotb_results import BenchResults
from caduceus.sim.run_files import demand_own, only_run
from caduceus.spec.files import write_whole
from netlists import design, jobs
from netlists.jobs import Job

_LOCK = "netlist.lock"
_DIFFER = re.compile(r"\((\d+) of (\d+) values differ\)")
_PRINTED_CELLS = ("LUT4", "TRELLIS_FF", "CCU2C", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D")


@dataclass(frozen=True)
class Outcome:
    """Result of a job.

    Attributes:
        job: its name.
        compared: number of compared values, mismatches included.
        mismatches: number of values that differ.
        tests, failed: number of cocotb tests, and of those that failed.
        cells: number of cells of the netlist by type.
        seconds: time of each step's last run; `build` is almost 0 if it was up to date.
        altered: description of a deliberate change of the netlist.
    """

    job: str
    compared: int
    mismatches: int
    tests: int
    failed: int
    cells: dict[str, int]
    seconds: dict[str, float]
    altered: str


def run(folder: Path, alter: bool, console: Console) -> bool:
    """Synthesize, simulate, print, and write `result.json`; return whether all values were equal.

    Args:
        folder: folder of all files.
        alter: only run the job with one inverted bit, which must report mismatches.
        console: prints the results.

    Raises:
        UserError: a tool is missing or failed, or `folder` cannot be written or has other files in
            it.
    """
    runner.tool_version(jobs.SIMULATOR)
    chosen: Sequence[Job] = (jobs.ALTERED,) if alter else jobs.JOBS
    demand_own(folder, "check", _LOCK)
    with only_run(folder, console, _LOCK):
        found = [_run(job, folder, console) for job in chosen]
    totals = {
        name: sum(getattr(each, name) for each in found)
        for name in ("compared", "mismatches", "tests", "failed")
    }
    result = totals | {"jobs": [vars(each) for each in found]}
    path = folder / "result.json"
    write_whole(path, json.dumps(result, indent=2) + "\n", "result")
    console.print(
        f"{totals['compared']} values compared in all, {totals['mismatches']} mismatches; "
        f"{totals['tests']} tests, {totals['failed']} failed\n{path}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return all(each.failed == 0 and each.compared > 0 for each in found)


def _run(job: Job, folder: Path, console: Console) -> Outcome:
    console.print(f"{job.name}: {job.what}", highlight=False, soft_wrap=True)
    with console.status("synthesis, build, simulation"):
        results = job.case(folder).run(folder, testcase=job.tests)
    outcome = outcome_of(job, results, folder)
    counts = ", ".join(
        f"{outcome.cells[kind]:,} {kind}" for kind in _PRINTED_CELLS if kind in outcome.cells
    )
    seconds = ", ".join(f"{step} {spent:.0f} s" for step, spent in outcome.seconds.items())
    console.print(
        f"  {counts}\n  {seconds}\n  {outcome.compared} values compared, "
        f"{outcome.mismatches} mismatches",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if outcome.altered:
        console.print(f"  {outcome.altered}", highlight=False, soft_wrap=True)
    if not results.ok:
        console.print(f"MISMATCH: {results.report}", style="bold red", soft_wrap=True)
    return outcome


def outcome_of(job: Job, results: BenchResults, folder: Path) -> Outcome:
    """Collect the result of a job's run."""
    place = folder / job.bench.name / f"netlist_{job.name}-{jobs.SIMULATOR}" / "design"
    summary = json.loads((place / design.SUMMARY).read_text(encoding="utf-8"))
    differ = [match for each in results.failures for match in _DIFFER.finditer(each.message)]
    mismatches = sum(int(match[1]) for match in differ)
    equal = tally.total(place / design.COMPARED)
    return Outcome(
        job=job.name,
        compared=equal + sum(int(match[2]) for match in differ),
        mismatches=mismatches,
        tests=results.passed + results.failed,
        failed=results.failed,
        cells=summary["cells"],
        seconds=summary["seconds"]
        | {"build": results.build_seconds, "simulation": results.run_seconds},
        altered=summary["altered"],
    )
