"""Results of a run: one schema for all networks, and for golden model, RTL and board."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caduceus.devices.settings import Devices
from caduceus.golden.machine import TileTrace
from caduceus.host.real_values import from_int8
from caduceus.host.real_values import in_words as host_in_words
from caduceus.sim.comparison import Observed, compare, compared, counted, scoreboard, unit
from caduceus.sim.deploy import Deployed, ReplacedFactor, in_words
from caduceus.sim.layer_figures import LayerFigures, Quality, table
from caduceus.sim.moments import JoinedMoments, Moments
from caduceus.sim.pipeline import Events
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing, replicas


@dataclass(frozen=True)
class Metric:
    """A network's quality.

    Attributes:
        name: `accuracy`, the share of images classified correctly, `bpc`, bits per character, or
            `rmse`, the root mean square error in real units.
        value: over the inputs of this run.
        golden_whole_set: golden model over the whole test set; None if not measured.
        float_value: network in floating point over the whole test set, from training.
        count: images, characters or labels that `value` is over; None if not counted.
    """

    name: str
    value: float
    golden_whole_set: float | None = None
    float_value: float | None = None
    count: int | None = None


@dataclass(frozen=True)
class JobFigures:
    """One of several processes that simulated together.

    Attributes:
        first, count: number of its first image or vector, and how many it had; of sequences, of
            their runs: first those step by step, then those at full speed.
        cycles, simulate_seconds, peak_mib: as in `Figures`, of this process.
    """

    first: int
    count: int
    cycles: dict[str, int]
    simulate_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Figures:
    """Keys of a result file: the same for every target; None where a key has no meaning.

    Attributes:
        network, chip, read_mode: names.
        target: `golden`, `sim`, or the serial port of a board.
        simulator, simulator_version: of the RTL.
        devices: in words; says whether input statistics were assumed, for want of a sample.
        inputs: images, vectors, or steps of a sequence.
        tiles, slices: numbers of computing tiles and GDPU slices.
        scaling: `column` where each column has its own largest weight, `core` where all of a
            layer share one, as published.
        replicas: by layer, number of tile groups that take turns at its results, where above 1.
        replaced_drift_factors: tiles whose measured drift factor was replaced: layer, tile,
            measured, used, reason; None without drift compensation.
        notes: losses of the weights at compilation: a `gmax` that the devices lower, columns that
            lose more than 1 % of their weights' energy to rounding; and of `layers`: more than 1 %
            of a layer's outputs clipped, or of a column's conversions saturated.
        values_compared, mismatches: with the golden model; None where nothing was compared.
        values_by_layer, mismatches_by_layer: the same by layer, in the order of computation, then
            for `chip output` and `GDPU state`.
        first_mismatch: one sentence with place, expected and got; empty if there is none.
        first_mismatches: the first of every layer with mismatches, in that order: `layer`, `kind`
            (`result` of a tile's LDPU, `packet` that left a tile, `output` of the chip, `hidden
            state`, `cell state`), `run` (of a sequence `step by step` or `at full speed`), `tile`,
            `row_block`, `column_block`, `replica`, `unit` (`image`, `vector` or `step`),
            `sequence` where there are several, number `input` of the unit, `pixel` (`y`, `x`),
            `column`, `time_ns`, `clock` (rising edge of `sync`, from 0) and `job` (number of the
            process, of several) where a simulation recorded them, `expected`, `got`, and all of it
            as `sentence`. A key without a meaning is None.
        mvms: total over all tiles.
        cycles: of `sync` and `mvm`, from the first input on.
        simulated_us: the same in microseconds, at the description's clock rates, as are all times
            of the chip.
        latency_ns: from the last input value of an input to its last output value, with the chip
            otherwise idle; of a sequence the median of its steps, as are the next three.
        latency_with_input_ns: from the first input value of an input to its last output value.
        latency_of_state_ns, latency_of_states_ns: from the last input value of a step until the
            first GDPU slice has sent its hidden units, and until the last has.
        period_ns, cycles_per_input: from input to input, back to back, and in clocks of `sync`.
        inputs_per_second: back to back.
        mvm_rate_per_tile: MVMs per second of the busiest tile, back to back.
        bottleneck: the layer whose tiles have the least idle time.
        shares: by tile, the share of the time in which each of its units is active.
        khz: `sync` cycles per millisecond of wall-clock time.
        build_seconds, load_seconds, simulate_seconds, wall_seconds: wall-clock time of building the
            RTL, of loading the chip, from the first input on, and of all.
        simulate_cpu_seconds: processor time of the simulator from the first input on.
        golden_inputs_per_second: of the golden model on this machine.
        peak_mib: peak memory of the simulation; of several processes, of the largest.
        jobs: figures of each of several processes. Then `cycles` and `simulated_us` are sums, and
            `shares` are of the processes' times one after another; the latency of images is that of
            the first one, and `period_ns` the mean over all processes with two images or more;
            `simulate_seconds` is the longest of a process, and `khz` of all together.
        requests, retries: over the serial line, since it was opened.
        host: what the host does: `op`, `origin` (the model's node), and `when` (`before` or
            `after` the chip).
        outputs: int8 [inputs or sequences, vectors, values], of the chip.
        predictions: class of each image; of own data in the shape of their labels.
        metric: accuracy, bits per character or root mean square error; None without any.
        layers: what each layer, and each operator of the host, costs and loses; None where the
            network is not known.
        layer_inputs: number of inputs that `layers` is of: the run's first ones.
        quality: the metric in floating point, with ideal devices and with the run's.
        calibration: of an imported network, what its scales were chosen from.
        trace, picture: files.
    """

    network: str
    chip: str
    read_mode: str
    target: str
    devices: str
    inputs: int
    tiles: int
    slices: int
    scaling: str
    replicas: dict[str, int]
    replaced_drift_factors: tuple[ReplacedFactor, ...] | None = None
    notes: list[str] | None = None
    simulator: str | None = None
    simulator_version: str | None = None
    values_compared: int | None = None
    mismatches: int | None = None
    values_by_layer: dict[str, int] | None = None
    mismatches_by_layer: dict[str, int] | None = None
    first_mismatch: str | None = None
    first_mismatches: list[dict[str, Any]] | None = None
    mvms: int | None = None
    cycles: dict[str, int] | None = None
    simulated_us: float | None = None
    latency_ns: float | None = None
    latency_with_input_ns: float | None = None
    latency_of_state_ns: float | None = None
    latency_of_states_ns: float | None = None
    period_ns: float | None = None
    cycles_per_input: float | None = None
    inputs_per_second: float | None = None
    mvm_rate_per_tile: float | None = None
    bottleneck: str | None = None
    shares: dict[str, dict[str, float]] | None = None
    khz: float | None = None
    build_seconds: float | None = None
    load_seconds: float | None = None
    simulate_seconds: float | None = None
    simulate_cpu_seconds: float | None = None
    wall_seconds: float | None = None
    golden_inputs_per_second: float | None = None
    peak_mib: float | None = None
    jobs: list[JobFigures] | None = None
    requests: int | None = None
    retries: int | None = None
    host: list[dict[str, str | None]] | None = None
    outputs: list | None = None
    predictions: list[int] | None = None
    metric: Metric | None = None
    layers: list[LayerFigures] | None = None
    layer_inputs: int | None = None
    quality: Quality | None = None
    calibration: str | None = None
    trace: str | None = None
    picture: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two results, value by value; attributes as of `Figures`."""

    values_compared: int
    mismatches: int
    values_by_layer: Mapping[str, int]
    mismatches_by_layer: Mapping[str, int]
    first_mismatch: str
    first_mismatches: Sequence[Mapping[str, Any]]

    @property
    def equal(self) -> bool:
        """Whether no value differs."""
        return self.mismatches == 0

    def report(self) -> str:
        """The first mismatch, then one line per layer that has any; empty if all is equal."""
        return "\n".join(_mismatches(self))


@dataclass(frozen=True)
class Result:
    """Outputs and figures of a run.

    Attributes:
        program: the program of the run.
        figures: the keys of the result file.
        outputs: int8 [n, vectors, output_length]; the vectors of an image, or a sequence's steps.
        tiles: by number, computed and sent values of every computing tile; empty unless captured.
        state: of the GDPU after the last step, of a program with GDPU slices.
        events: activity of every tile, of RTL.
        moments: simulated times of outputs, state and captured tile values on the wires, of RTL.
    """

    program: Program
    figures: Figures
    outputs: NDArray[np.int8]
    tiles: Mapping[int, TileTrace] = field(default_factory=dict)
    state: LstmState | None = None
    events: Events | None = None
    moments: Moments | JoinedMoments | None = None

    @property
    def cycles(self) -> dict[str, int] | None:
        """Clocks of `sync` and `mvm`, of RTL."""
        return self.figures.cycles

    @property
    def real(self) -> NDArray[np.float64]:
        """Outputs in real units, after the host's operators, in the network's own layout.

        Raises:
            UserError: the program has no scales: it was made by hand.
        """
        return from_int8(self.program, self.outputs)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Class of each image: the index of its largest output, [n]."""
        return self.outputs.reshape(len(self.outputs), -1).argmax(axis=1)

    def compare(self, expected: "Result") -> Comparison:
        """Compare with a result of the same program and inputs, such as the golden model's.

        Tiles come first, layer by layer, if both results have captured them; then outputs, then the
        state. For RTL, each first mismatch has its simulated time and clock.

        Raises:
            UserError: `expected` is of another network or chip.
        """
        mine, other = self.figures, expected.figures
        if (mine.network, mine.chip) != (other.network, other.chip):
            raise UserError(
                f"result of {mine.network} on {mine.chip}: cannot compare it with one of "
                f"{other.network} on {other.chip}"
            )
        both = bool(self.tiles and expected.tiles)
        last = self.outputs.shape[1] - 1
        sides = [
            Observed(
                each.outputs,
                each.tiles if both else {},
                {last: each.state} if self.state and expected.state else {},
                each.moments,
                sequences=len(each.outputs),
            )
            for each in (expected, self)
        ]
        score = scoreboard()
        compare(self.program, *sides, score)
        return Comparison(**compared(score))

    def compared(self, expected: "Result") -> "Result":
        """The same result with the outcome of `compare` in its figures."""
        return self.with_figures(**vars(self.compare(expected)))

    def with_figures(self, **changes: object) -> "Result":
        """The same with other figures."""
        return replace(self, figures=replace(self.figures, **changes))

    def save(self, path: Path) -> "Result":
        """Write the figures to `path` as JSON; with events, also trace and picture beside it.

        Returns:
            the result with these file names in its figures.

        Raises:
            UserError: a file cannot be written.
        """
        saved = self.with_figures(outputs=self.outputs.tolist())
        if self.events:
            trace, picture = files_beside(path)
            self.events.write_trace(trace, self.program)
            self.events.write_picture(picture, self.program)
            saved = saved.with_figures(trace=str(trace), picture=str(picture))
        write_whole(path, json.dumps(asdict(saved.figures), indent=2) + "\n", "result")
        return saved

    def report(self) -> str:
        """The figures in words, one line per kind."""
        found, named = self.figures, unit(self.program)
        lines = _mismatches(found)
        lines.append(counted(found.inputs, named))
        if found.mvms:
            lines[-1] += f", {counted(found.mvms, 'MVM')}"
        if found.values_compared is not None:
            lines[-1] += (
                f", {found.values_compared} values compared with the golden model, "
                f"{found.mismatches} mismatches"
            )
        lines += map(str, found.replaced_drift_factors or ())
        if found.layers is not None:
            lines += table(found.layers, found.layer_inputs, found.quality)
        lines += filter(None, [host_in_words(self.program)])
        if found.metric:
            lines.append(_quality(found.metric, found.inputs))
        if found.latency_ns is not None:
            lines.append(_times(found, named))
        if found.cycles is not None:
            lines.append(
                f"{found.cycles['sync']} sync and {found.cycles['mvm']} mvm cycles in "
                f"{found.simulate_seconds:.1f} s: {found.khz:.1f} kHz"
            )
            if found.jobs:
                memory = [job.peak_mib for job in found.jobs]
                lines.append(
                    f"{len(memory)} jobs: peak memory {max(memory):.0f} MiB of the largest, "
                    f"{sum(memory):.0f} MiB of all"
                )
        elif found.simulate_seconds is not None:
            loaded = f", loaded in {found.load_seconds:.1f} s" if found.load_seconds else ""
            lines.append(f"{found.simulate_seconds:.1f} s{loaded}")
        if found.requests is not None:
            lines[-1] += f", {found.requests} requests, {found.retries} sent again"
        if found.trace:
            lines.append(f"{found.trace} (open in ui.perfetto.dev), {found.picture}")
        return "\n".join(lines)


def figures(on: Deployed, target: str, devices: Devices, inputs: int) -> Figures:
    """The figures of a program on devices that do not depend on the target."""
    program = on.program
    return Figures(
        network=program.network,
        chip=program.chip,
        read_mode=str(program.read_mode),
        target=target,
        devices=in_words(program, devices),
        inputs=inputs,
        tiles=len(computing(program)),
        slices=len(program.slices),
        scaling="core" if program.per_core else "column",
        replicas=replicas(program),
        replaced_drift_factors=on.replaced,
        host=program.host.named,
    )


def _mismatches(found: Figures | Comparison) -> list[str]:
    """The first mismatch, then for each layer the number of them and the first."""
    if not found.mismatches:
        return []
    lines = [f"MISMATCH: {found.first_mismatch}"]
    for first in found.first_mismatches:
        layer = first["layer"]
        lines.append(
            f"mismatches of {layer}: {found.mismatches_by_layer[layer]} of "
            f"{found.values_by_layer[layer]} values"
        )
        if first["sentence"] != found.first_mismatch:
            lines[-1] += f"; first: {first['sentence']}"
    return lines


def files_beside(path: Path) -> tuple[Path, Path]:
    """Trace and picture that a run writes beside its result."""
    name = path.name.removesuffix(".json")
    return path.with_name(f"{name}.trace.json"), path.with_name(f"{name}.png")


def _quality(metric: Metric, inputs: int) -> str:
    if metric.name == "bpc":
        return f"{metric.value:.3f} bits per character over these {inputs}"
    if metric.name == "rmse":
        return f"root mean square error {metric.value:.6g} over these {inputs}"
    count = inputs if metric.count is None else metric.count
    return f"{round(metric.value * count)} of {count} classified correctly"


def _times(found: Figures, named: str) -> str:
    text = f"latency {found.latency_ns:.1f} ns, {found.latency_with_input_ns:.1f} ns with the "
    text += "input's transfer"
    if found.latency_of_state_ns is not None:
        text += (
            f"; to the hidden state of the first slice {found.latency_of_state_ns:.1f} ns, of the "
            f"last {found.latency_of_states_ns:.1f} ns"
        )
    if found.period_ns is not None:
        text += (
            f"\nback to back: {found.cycles_per_input:.1f} cycles per {named}, "
            f"{found.period_ns:.1f} ns, {found.inputs_per_second:.0f} {named}s/s, "
            f"{found.mvm_rate_per_tile / 1e6:.3f} M MVM/s of the busiest tile"
        )
    return text + (f"; slowest layer {found.bottleneck}" if found.bottleneck else "")
