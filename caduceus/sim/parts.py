"""Results of a simulation's jobs: what each process left in its folder, and all of it as one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import TileTrace
from caduceus.sim import job as files
from caduceus.sim import pipeline, recording
from caduceus.sim.comparison import by_input
from caduceus.sim.job import Job, SimulationReport, half_periods
from caduceus.sim.moments import JoinedMoments, Moments, SyncClock
from caduceus.sim.pipeline import Events
from caduceus.sim.recording import Recorded
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program


@dataclass(frozen=True)
class Part:
    """What one process simulated, or several together.

    Attributes:
        report: figures of the simulation.
        outputs: int8 [n, vectors, output_length], of its inputs or sequences.
        tiles: values by tile, if captured.
        state: of the GDPU after each sequence, of a program with GDPU slices.
        events: activity of every tile.
        moments: simulated times of outputs, state and captured tile values.
    """

    report: SimulationReport
    outputs: NDArray[np.int8]
    tiles: Mapping[int, TileTrace]
    state: LstmState | None
    events: Events
    moments: Moments | JoinedMoments


def load(program: Program, chip: Chip, folder: Path, capture: bool) -> Part:
    """What the process of a job folder left there.

    Args:
        program: that it ran.
        chip: on which it ran.
        folder: of the job.
        capture: whether to read the values of all tiles.

    Raises:
        OSError: a file is missing.
    """
    report, job = SimulationReport.load(folder), Job.load(folder)
    outputs = np.load(folder / files.OUTPUTS)
    state = None
    if program.slices:
        state = LstmState(np.load(folder / files.HIDDEN), np.load(folder / files.CELL))
    end_ps = report.start_ps + round(report.cycles["sync"] * 1e6 / chip.clocks.sync_mhz)
    activities = pipeline.read(program, folder / files.RECORD, end_ps)
    recorded = recording.all_tiles(folder / files.RECORD, program) if capture else {}
    clock = SyncClock(report.sync_origin_ps, 2 * half_periods(chip)[0], job.job)
    states = {outputs.shape[1] - 1: report.state_clocks} if program.slices else {}
    return Part(
        report,
        outputs,
        _tiles(program, recorded, len(outputs), outputs.shape[1]),
        state,
        Events(activities, report.start_ps, end_ps),
        Moments(chip, clock, np.load(folder / files.CLOCKS), recorded, states=states),
    )


def _tiles(
    program: Program, found: Mapping[int, Recorded], inputs: int, steps: int
) -> Mapping[int, TileTrace]:
    """Tile values by input; of sequences, those of the first pass."""
    if not inputs:
        return {}
    if program.slices:
        count = inputs * steps
        found = {
            tile: replace(each, results=each.results[:count], sent=each.sent[:count])
            for tile, each in found.items()
        }
    return by_input(found, inputs)


def joined(program: Program, parts: Sequence[Part]) -> Part:
    """Parts as one, in the order of their inputs or runs; a single part is itself.

    Values, outputs and counts are those of one process that simulates everything. In time the parts
    follow each other, without what lies between them: `cycles` is their sum, and `events` has one
    after the other.
    """
    if len(parts) == 1:
        return parts[0]
    with_outputs = [part for part in parts if len(part.outputs)]
    state = None
    if program.slices:
        hidden = np.concatenate([part.state.hidden for part in parts])
        state = LstmState(hidden, np.concatenate([part.state.cell for part in parts]))
    return Part(
        _report(program, [part.report for part in parts]),
        np.concatenate([part.outputs for part in with_outputs]),
        {
            tile: _trace([part.tiles[tile] for part in with_outputs])
            for tile in with_outputs[0].tiles
        },
        state,
        pipeline.joined([part.events for part in parts]),
        JoinedMoments([(len(part.outputs), part.moments) for part in with_outputs]),
    )


def _trace(traces: Sequence[TileTrace]) -> TileTrace:
    """A tile's values of all parts.

    Without the input axis, which counts as a mismatch, if those of a part do not divide by it.
    """

    def values(name: str) -> NDArray:
        found = [getattr(trace, name) for trace in traces]
        if any(each.ndim != 3 for each in found):
            found = [each.reshape(-1, each.shape[-1]) for each in found]
        return np.concatenate(found)

    return TileTrace(values("results"), values("sent"))


def _report(program: Program, reports: Sequence[SimulationReport]) -> SimulationReport:
    """Reports of all parts as one; see `Figures` for what the sums mean."""

    def total(name: str) -> dict[str, int]:
        found: Counter[str] = Counter()
        for report in reports:
            found.update(getattr(report, name))
        return dict(found)

    def every(name: str) -> list:
        return [each for report in reports for each in getattr(report, name)]

    firsts = {}
    for each in every("first_mismatches"):
        firsts.setdefault(each["layer"], each)
    layers = total("values_by_layer")
    ordered = [firsts[layer] for layer in layers if layer in firsts]
    # Each process finds the chip idle, but only the first one as one process does.
    latencies = every if program.slices else reports[0].__getattribute__
    return replace(
        reports[0],
        values_compared=sum(report.values_compared for report in reports),
        mismatches=sum(report.mismatches for report in reports),
        values_by_layer=layers,
        mismatches_by_layer=total("mismatches_by_layer"),
        first_mismatch=ordered[0]["sentence"] if ordered else "",
        first_mismatches=ordered,
        cycles=total("cycles"),
        latency=latencies("latency"),
        latency_with_input=latencies("latency_with_input"),
        latency_of_state=every("latency_of_state"),
        latency_of_states=every("latency_of_states"),
        gaps=every("gaps"),
        mvms=total("mvms"),
        busy=total("busy"),
        stalled=total("stalled"),
        state_clocks=every("state_clocks"),
        simulate_seconds=max(report.simulate_seconds for report in reports),
        simulate_cpu_seconds=sum(report.simulate_cpu_seconds for report in reports),
        golden_seconds=sum(report.golden_seconds for report in reports),
        golden_inputs=sum(report.golden_inputs for report in reports),
        peak_mib=max(report.peak_mib for report in reports),
    )
