"""`make speed`: speed of the golden model and of the RTL, beside the machine it ran on."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import chip as chip_speed
from benchmarks import images as golden_images
from benchmarks import memory as golden_memory
from benchmarks import paired, plays, state
from benchmarks import speed as tile_speed
from benchmarks.one_thread import Failed
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH, reported
from caduceus.sim import runner
from caduceus.sim.chip_design import THREADS_MAX, default_threads
from caduceus.sim.job import peak_mib
from caduceus.sim.run_files import only_run
from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder


def _machine() -> dict[str, str | int | float]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 1,
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        **{simulator: runner.tool_version(simulator) for simulator in runner.SIMULATORS},
    }


def _table(title: str, rows: list[dict], keys: Sequence[str] | None = None) -> Table:
    """The rows as a table, of all their columns or of `keys`."""
    keys = keys or tuple(rows[0])
    table = Table(title=title)
    for key in keys:
        table.add_column(key.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in keys))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def run(console: Console, revision: str | None, threads: int, rounds: int) -> Path:
    """Measure, print tables, write `build/speed.json`; returns its path.

    Args:
        console: for progress and tables.
        revision: the reference; the newest other kept state if None.
        threads: most threads that evaluate tiles.
        rounds: runs of each state.

    Raises:
        UserError: there is no such revision.
        Failed: a simulation of the working tree has no figures.
    """
    now = state.present()
    before = state.of_revision(revision) if revision else state.before(now)
    if before == now:
        raise UserError(
            f"REFERENCE: got {shown(revision)}, whose sources are those of the working tree: "
            "expected another revision"
        )
    state.forget_old(now, *([before] if before else []))
    machine = _machine()
    console.print(_table("machine", [machine]))
    with console.status("measuring the golden model and its peers"):
        tiles = tile_speed.run()
        image_rows = golden_images.run()
        memory_rows = golden_memory.run()
    tile_speed.show(tiles, console)
    console.print(_table("golden model, whole network, images/s on one thread", image_rows))
    console.print(_table("golden model, memory of a whole chip, MiB", memory_rows))
    with console.status("measuring simulations, in turns with the state before"):
        pairs = paired.run(now, before, sorted({1, threads}), rounds)
    show_pairs(pairs, console)
    with console.status("measuring simulations of the chips"):
        builds = [*pairs.builds, plays.built(now, "hermes_wide")]
        chip_rows = chip_speed.layers(now, threads)
        network_rows = chip_speed.networks(now, threads)
        small_rows = chip_speed.small(now)
    memory = {
        "this process, MiB": round(peak_mib(), 1),
        "largest simulation, MiB": round(max(row["peak_mib"] for row in chip_rows), 1),
    }
    show_chips(builds, chip_rows, network_rows, small_rows, console)
    console.print(_table("peak memory", [memory]))
    report = {
        "machine": machine,
        "state": str(now),
        "state_before": before and str(before),
        "tiles": tiles.rows,
        "not_measured": [*tiles.missing, *pairs.missing],
        "golden_images": image_rows,
        "golden_memory": memory_rows,
        "paired": pairs.rows,
        "builds": builds,
        "chip": chip_rows,
        "networks": network_rows,
        "small": small_rows,
        "peak_memory": memory,
    }
    path = build_folder() / "speed.json"
    write_whole(path, json.dumps(report, indent=2) + "\n", "benchmark")
    console.print(str(path), highlight=False, soft_wrap=True)
    return path


def show_pairs(pairs: paired.Paired, console: Console) -> None:
    """Print both states' figures, and a line for each part that has none."""
    run = ("workload", "before_threads", "threads")
    columns = {
        "RTL: kHz, best of each state, median, and ratios to the state before": (
            "before_khz", "khz", "speed_up", "before_khz_median", "khz_median", "speed_up_median",
        ),
        "RTL: seconds of the play, wall-clock and processor": (
            "before_play_seconds", "play_seconds", "before_play_cpu_seconds", "play_cpu_seconds",
        ),
        "RTL: seconds of loading, of all besides the play, and processor seconds of all": (
            "before_load_seconds", "load_seconds", "before_outside_seconds", "outside_seconds",
            "before_run_cpu_seconds", "run_cpu_seconds",
        ),
    }  # fmt: skip
    for title, keys in columns.items():
        console.print(_table(title, pairs.rows, (*run, *keys)))
    for line in pairs.missing:
        console.print(line, highlight=False, soft_wrap=True)


def show_chips(
    builds: list[dict],
    layers: list[dict],
    networks: list[dict],
    small: list[dict],
    console: Console,
) -> None:
    """Print what was measured of the chips alone."""
    console.print(_table("RTL, builds from nothing", builds))
    run = ("chip", "read_mode", "tiles", "threads")
    console.print(
        _table("RTL, whole chip: speed, by busy tiles", layers, (*run, "khz", "peak_mib"))
    )
    figures = ("values_compared", "mismatches", "latency_ns", "latency_with_input_ns",
               "mvm_rate_per_tile")  # fmt: skip
    console.print(_table("RTL, whole chip: the chip's own", layers, (*run[:3], *figures)))
    title = f"RTL, whole chip: {chip_speed.NETWORK} end to end, {chip_speed.IMAGES} images"
    console.print(_table(title, networks))
    console.print(_table("RTL, the small chip", small))


@click.command()
@click.option(
    "--reference", metavar="REVISION",
    help="Git revision to measure against.  [default: newest other kept state]",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, THREADS_MAX), metavar="N",
    help="Most threads that evaluate tiles.  [default: all cores]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=paired.ROUNDS, show_default=True,
    metavar="N", help="Runs of each state, workload and number of threads.",
)  # fmt: skip
def speed(reference: str | None, threads: int | None, rounds: int) -> None:
    """Measure golden model and RTL, in turns with the state before."""
    console = plain_console()
    try:
        with only_run(build_folder() / "speed", console):
            run(console, reference, threads or default_threads(), rounds)
    except plays.Differs as error:
        click.echo(f"speed: {error}", err=True)
        sys.exit(MISMATCH)
    except Failed as error:
        raise UserError(f"the working tree: not measured: {error}") from None


def main() -> None:
    """Run the command line and exit."""
    with reported("speed"):
        speed(prog_name="python -m benchmarks", standalone_mode=False)
