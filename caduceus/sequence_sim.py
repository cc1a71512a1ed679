"""`caduceus sim` for a recurrent network: a text on the whole chip in RTL, all against golden."""

import json
import time
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console

from caduceus import bpc, text, typical
from compiler.recurrent import compile_recurrent
from sim import chip_sim, runner
from sim.chip_job import SequenceOutcome
from sim.deploy import DeviceRequest, deployed, ideal, within
from sim.paths import build_folder
from spec.chip import Chip
from spec.files import write_whole
from spec.formats import ReadMode
from spec.program_codes import computing
from spec.recurrent import RecurrentNetwork, RecurrentWeights


def run_network(
    network: RecurrentNetwork,
    weights: RecurrentWeights,
    chip: Chip,
    description: str,
    simulator: str,
    read_mode: ReadMode,
    steps: int,
    waves: bool,
    output: Path,
    console: Console,
    devices: DeviceRequest | None = None,
) -> bool:
    """Compile, build, run, compare, report; returns whether every value was equal.

    Raises:
        UserError: the network does not fit the chip, there is not so much text, a build or
            simulation failed, or the result cannot be written.
    """
    started = time.monotonic()
    devices = devices or ideal()
    x, following = text.inputs(network, weights, steps)
    program = compile_recurrent(within(network, devices.settings), weights, chip, read_mode)
    program, state = deployed(program, chip, devices, typical.steps(network, weights))
    tiles = computing(program)
    console.print(
        f"{network.name} on chip {chip.name}, {len(tiles)} of {chip.tiles} tiles and "
        f"{len(program.slices)} of {chip.gdpu.slices} GDPU slices, {simulator}, {read_mode} reads, "
        f"{devices}, {steps} steps, twice",
        highlight=False,
        soft_wrap=True,
    )
    place = build_folder() / "sim" / f"{chip.name}-chip-{simulator}"
    run = chip_sim.ChipRun(chip, description, program, x, simulator, place, waves, state=state)
    results = chip_sim.execute(run, console, "sim.run_sequence", {network.name: 2 * steps})
    outcome = SequenceOutcome.load(run.job)
    nanoseconds = 1e3 / chip.clocks.sync_mhz
    report = {
        "network": network.name,
        "chip": chip.name,
        "simulator": simulator,
        "simulator_version": runner.tool_version(simulator),
        "read_mode": str(read_mode),
        "devices": str(devices),
        "inputs": steps,
        "tiles": len(tiles),
        "slices": len(program.slices),
        "values_compared": outcome.values_compared,
        "mismatches": outcome.mismatches,
        "first_mismatch": outcome.first_mismatch,
        "mvms": sum(outcome.mvms.values()),
        "cycles": outcome.cycles,
        "simulated_us": outcome.cycles["sync"] / chip.clocks.sync_mhz,
        "latency_ns": median(outcome.latency) * nanoseconds,
        "latency_of_state_ns": median(outcome.latency_of_state) * nanoseconds,
        "latency_of_states_ns": median(outcome.latency_of_states) * nanoseconds,
        "latency_with_input_ns": median(outcome.latency_with_input) * nanoseconds,
        "period_ns": median(outcome.period) * nanoseconds if outcome.period else None,
        "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
        "build_seconds": results.build_seconds,
        "simulate_seconds": outcome.simulate_seconds,
        "seconds_per_step": outcome.full_speed_seconds / steps,
        "peak_mib": outcome.peak_mib,
        "wall_seconds": time.monotonic() - started,
        "bpc": None,
        "golden_bpc_whole_text": None,
        "float_bpc": network.float_bpc,
    }
    if following is not None:
        logits = np.array(outcome.outputs, dtype=np.int8)
        bits = text.bits(logits, network.dense.output_scale, following)
        report["bpc"] = float(np.mean(bits))
        report["golden_bpc_whole_text"] = bpc.known(network, weights, chip, read_mode, devices)
    write_whole(output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False, soft_wrap=True)
    return outcome.mismatches == 0


def _show(report: dict, path: Path, console: Console) -> None:
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    period, bits = report["period_ns"], report["bpc"]
    at_speed = f", one every {period:.1f} ns at full speed" if period else ""
    predicted = f"{bits:.3f} bits a character over these {report['inputs']}\n" if bits else ""
    console.print(
        f"{report['inputs']} steps twice, {report['mvms']} MVMs, {report['values_compared']} "
        f"outputs, hidden and cell states compared, {report['mismatches']} mismatches\n"
        f"a step takes {report['latency_ns']:.1f} ns, to the hidden state of the first slice "
        f"{report['latency_of_state_ns']:.1f} and of the last "
        f"{report['latency_of_states_ns']:.1f} ns; {report['latency_with_input_ns']:.1f} ns with "
        f"the input's transfer{at_speed}\n"
        f"{predicted}"
        f"{report['cycles']['sync']} sync and {report['cycles']['mvm']} mvm cycles in "
        f"{report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz, "
        f"{report['seconds_per_step']:.3f} s a step at full speed\n"
        f"{path}",
        highlight=False,
        soft_wrap=True,
    )
