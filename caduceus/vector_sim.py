"""`caduceus sim` for a layer on the whole chip: all tiles in RTL, every output against golden."""

import json
import time
from pathlib import Path

from rich.console import Console

from caduceus import images as test_images
from caduceus import typical
from compiler.whole_chip import compile_layer
from sim import runner
from sim.chip_job import ChipOutcome
from sim.chip_sim import ChipRun, execute, timing
from sim.deploy import DeviceRequest, deployed, ideal, within
from sim.paths import build_folder
from spec.chip import Chip
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights
from spec.program_codes import computing


def run_network(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    description: str,
    simulator: str,
    read_mode: ReadMode,
    inputs: int,
    waves: bool,
    output: Path,
    console: Console,
    devices: DeviceRequest | None = None,
) -> bool:
    """Compile, build, run, compare, report; returns whether every output was equal.

    Raises:
        UserError: the network does not fit the chip, a build or simulation failed, or the result
            cannot be written.
    """
    started = time.monotonic()
    devices = devices or ideal()
    x, _ = test_images.inputs(network, inputs)
    x = x.reshape(inputs, -1)
    program = compile_layer(within(network, devices.settings), weights, chip, read_mode)
    program, state = deployed(program, chip, devices, typical.vectors(network))
    tiles = computing(program)
    console.print(
        f"{network.name} on chip {chip.name}, {len(tiles)} of {chip.tiles} tiles, {simulator}, "
        f"{read_mode} reads, {devices}, {inputs} input vectors",
        highlight=False,
        soft_wrap=True,
    )
    place = build_folder() / "sim" / f"{chip.name}-chip-{simulator}"
    run = ChipRun(chip, description, program, x, simulator, place, waves, state=state)
    results = execute(run, console, "sim.run_chip", {network.name: inputs})
    outcome = ChipOutcome.load(run.job)
    report = {
        "network": network.name,
        "chip": chip.name,
        "simulator": simulator,
        "simulator_version": runner.tool_version(simulator),
        "read_mode": str(read_mode),
        "devices": str(devices),
        "inputs": inputs,
        "tiles": len(tiles),
        "values_compared": outcome.values_compared,
        "mismatches": outcome.mismatches,
        "first_mismatch": outcome.first_mismatch,
        "mvms": sum(outcome.mvms.values()),
        "cycles": outcome.cycles,
        "simulated_us": outcome.cycles["sync"] / chip.clocks.sync_mhz,
        **timing(chip, outcome),
        "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
        "build_seconds": results.build_seconds,
        "simulate_seconds": outcome.simulate_seconds,
        "peak_mib": outcome.peak_mib,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole(output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False, soft_wrap=True)
    return outcome.mismatches == 0


def _show(report: dict, path: Path, console: Console) -> None:
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    rate = report["mvm_rate_per_tile"]
    sustained = f", {rate / 1e6:.3f} M MVM/s a tile back to back" if rate else ""
    console.print(
        f"{report['inputs']} vectors, {report['mvms']} MVMs, {report['values_compared']} INT8 "
        f"outputs compared, {report['mismatches']} mismatches\n"
        f"latency {report['latency_ns']:.1f} ns ({report['latency_with_input_ns']:.1f} ns with the "
        f"input's transfer){sustained}\n"
        f"{report['cycles']['sync']} sync and {report['cycles']['mvm']} mvm cycles in "
        f"{report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz\n"
        f"{path}",
        highlight=False,
        soft_wrap=True,
    )
