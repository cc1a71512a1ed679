"""Results of a simulation's jobs: what each process left in its folder, and all of it as one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import TileTrace
from caduceus.sim import job as files
from caduceus.sim import pipeline, recording
from caduceus.sim.comparison import by_input
from caduceus.sim.job import ComparisonReport, Job, SimulationReport
from caduceus.sim.moments import JoinedMoments, Moments
from caduceus.sim.pipeline import Events
from caduceus.sim.recording import Recorded
from caduceus.sim.schedule import Timing, schedule
from caduceus.sim.share import Share
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program


@dataclass(frozen=True)
class Part:
    """What one process simulated, or several together.

    Attributes:
        report: figures of the simulation.
        comparison: outcome of the comparison with the golden model.
        timing: latencies and periods.
        outputs: int8 [n, vectors, output_length], of its inputs or sequences.
        tiles: values by tile, if captured.
        state: of the GDPU after each sequence, of a program with GDPU slices.
        events: activity of every tile.
        moments: simulated times of outputs, state and captured tile values.
    """

    report: SimulationReport
    comparison: ComparisonReport
    timing: Timing
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
    inputs = schedule(program, chip, np.load(folder / files.INPUTS), Share.of(job))
    inputs.restore(folder / files.PLAYED)
    outputs = inputs.outputs
    end_ps = report.start_ps + round(report.cycles["sync"] * 1e6 / chip.clocks.sync_mhz)
    activities = pipeline.read(program, folder / files.RECORD, end_ps)
    recorded = recording.all_tiles(folder / files.RECORD, program) if capture else {}
    return Part(
        report,
        ComparisonReport.load(folder),
        inputs.timing(),
        outputs,
        _tiles(program, recorded, len(outputs), outputs.shape[1]),
        inputs.state,
        Events(activities, report.start_ps, end_ps),
        inputs.moments(recorded),
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
        _report([part.report for part in parts]),
        _comparison([part.comparison for part in parts]),
        _timing(program, [part.timing for part in parts]),
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


def _report(reports: Sequence[SimulationReport]) -> SimulationReport:
    """Reports of all parts as one; see `Figures` for what the sums mean."""
    return replace(
        reports[0],
        cycles=_total(report.cycles for report in reports),
        mvms=_total(report.mvms for report in reports),
        busy=_total(report.busy for report in reports),
        stalled=_total(report.stalled for report in reports),
        load_seconds=max(report.load_seconds for report in reports),
        simulate_seconds=max(report.simulate_seconds for report in reports),
        simulate_cpu_seconds=sum(report.simulate_cpu_seconds for report in reports),
        peak_mib=max(report.peak_mib for report in reports),
    )


def _comparison(reports: Sequence[ComparisonReport]) -> ComparisonReport:
    """Comparisons of all parts as one; first mismatches are those of the first part with any."""
    firsts = {}
    for each in (each for report in reports for each in report.first_mismatches):
        firsts.setdefault(each["layer"], each)
    layers = _total(report.values_by_layer for report in reports)
    ordered = [firsts[layer] for layer in layers if layer in firsts]
    return ComparisonReport(
        values_compared=sum(report.values_compared for report in reports),
        mismatches=sum(report.mismatches for report in reports),
        values_by_layer=layers,
        mismatches_by_layer=_total(report.mismatches_by_layer for report in reports),
        first_mismatch=ordered[0]["sentence"] if ordered else "",
        first_mismatches=ordered,
        golden_seconds=sum(report.golden_seconds for report in reports),
        golden_inputs=sum(report.golden_inputs for report in reports),
    )


def _timing(program: Program, parts: Sequence[Timing]) -> Timing:
    """Latencies and periods of all parts as one."""

    def every(name: str) -> list[int]:
        return [clocks for part in parts for clocks in getattr(part, name)]

    # Each process finds the chip idle, but only the first one as one process does.
    latencies = every if program.slices else parts[0].__getattribute__
    return Timing(
        latency=latencies("latency"),
        latency_with_input=latencies("latency_with_input"),
        latency_of_state=every("latency_of_state"),
        latency_of_states=every("latency_of_states"),
        gaps=every("gaps"),
    )


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by name."""
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return dict(found)
