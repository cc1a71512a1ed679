"""`make speed`: speed of the golden model and of the RTL, beside the machine it ran on."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import chip as chip_speed
from benchmarks import images as golden_images
from benchmarks import memory as golden_memory
from benchmarks import speed as tile_speed
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH, reported
from caduceus.sim import runner
from caduceus.sim.job import peak_mib
from caduceus.spec.files import write_whole
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import build_folder
from caduceus.study import sim_command as sim

RTL_RUNS = (
    ("hermes", "fashion_small", "verilator", ReadMode.FOUR_PHASE, 5),
    ("hermes", "fashion_small", "verilator", ReadMode.ONE_PHASE, 10),
    ("tiny", "fashion_tiny", "verilator", ReadMode.FOUR_PHASE, 20),
    ("tiny", "fashion_tiny", "icarus", ReadMode.FOUR_PHASE, 2),
)
"""Chip, network, simulator, read mode, images: each some seconds."""

NETWORK = "resnet9"
NETWORK_RUNS = tuple(product(("hermes", "hermes_wide"), ReadMode))


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


def _demand_equal(equal: bool, output: Path) -> None:
    """End with the exit status of a failed comparison unless RTL and golden model agree."""
    if not equal:
        click.echo(f"speed: {output}: RTL and golden model differ: see first_mismatch", err=True)
        sys.exit(MISMATCH)


def _rtl(console: Console) -> list[dict]:
    """One row a simulation: how fast, how long its build took."""
    rows = []
    for chip, network, simulator, mode, images in RTL_RUNS:
        output = build_folder() / "speed" / f"{chip}-{simulator}-{mode}.json"
        request = sim.Request(chip, network, simulator, mode, images, False, output)
        _demand_equal(sim.run(request, console), output)
        report = json.loads(output.read_text(encoding="utf-8"))
        keys = ("chip", "simulator", "read_mode", "network", "inputs", "mismatches", "khz",
                "build_seconds", "simulate_seconds")  # fmt: skip
        rows.append({key: report[key] for key in keys})
    return rows


def _networks(console: Console) -> list[dict]:
    """One row a read mode: ResNet-9 from image to logits on the whole chip."""
    rows = []
    for chip, mode in NETWORK_RUNS:
        output = build_folder() / "speed" / f"{NETWORK}-{chip}-{mode}.json"
        request = sim.Request(chip, NETWORK, "verilator", mode, 2, False, output)
        _demand_equal(sim.run(request, console), output)
        report = json.loads(output.read_text(encoding="utf-8"))
        keys = ("chip", "read_mode", "tiles", "values_compared", "mismatches",
                "cycles_per_input", "inputs_per_second", "latency_with_input_ns", "bottleneck",
                "khz", "peak_mib")  # fmt: skip
        row = {key: report[key] for key in keys}
        row["seconds_per_image"] = report["simulate_seconds"] / report["inputs"]
        rows.append(row)
    return rows


def _table(title: str, rows: list[dict], keys: Sequence[str] | None = None) -> Table:
    """The rows as a table, of all their columns or of `keys`."""
    keys = keys or tuple(rows[0])
    table = Table(title=title)
    for key in keys:
        table.add_column(key.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(
            *(f"{row[k]:,.1f}" if isinstance(row[k], float) else str(row[k]) for k in keys)
        )
    return table


def run(console: Console) -> Path:
    """Measure, print tables, write `build/speed.json`; returns its path."""
    machine = _machine()
    with console.status("measuring the golden model and its peers"):
        tiles = tile_speed.run()
        image_rows = golden_images.run()
        memory_rows = golden_memory.run()
    rtl_rows = _rtl(console)
    chip_rows = chip_speed.run(console)
    network_rows = _networks(console)
    memory = {
        "this process, MiB": round(peak_mib(), 1),
        "largest simulation, MiB": round(max(row["peak_mib"] for row in chip_rows), 1),
    }
    report = {
        "machine": machine,
        "tiles": tiles.rows,
        "not_measured": tiles.missing,
        "golden_images": image_rows,
        "golden_memory": memory_rows,
        "rtl": rtl_rows,
        "chip": chip_rows,
        "networks": network_rows,
        "peak_memory": memory,
    }
    console.print(_table("machine", [machine]))
    tile_speed.show(tiles, console)
    console.print(_table("golden model, whole network, images/s on one thread", image_rows))
    console.print(_table("golden model, memory of a whole chip, MiB", memory_rows))
    console.print(
        _table("RTL, small networks: kHz is `sync` cycles per wall-clock millisecond", rtl_rows)
    )
    run = ("chip", "read_mode", "busy_tiles")
    speed = ("khz", "verilog_seconds", "build_seconds", "peak_mib")
    console.print(_table("RTL, whole chip: speed, by busy tiles", chip_rows, (*run, *speed)))
    figures = ("values_compared", "mismatches", "latency_ns", "latency_with_input_ns",
               "mvm_rate_per_tile")  # fmt: skip
    console.print(_table("RTL, whole chip: the chip's own", chip_rows, (*run, *figures)))
    console.print(_table(f"RTL, whole chip: {NETWORK} end to end, 2 images", network_rows))
    console.print(_table("peak memory", [memory]))
    path = build_folder() / "speed.json"
    write_whole(path, json.dumps(report, indent=2) + "\n", "benchmark")
    console.print(str(path), highlight=False, soft_wrap=True)
    return path


def main() -> None:
    """Measure everything and exit."""
    with reported("speed"):
        run(plain_console())
