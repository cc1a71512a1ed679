"""A netlist of the board's synthesis as the design under test of a bench, in place of the RTL."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from caduceus.export.bitstream import build
from caduceus.export.netlist.design import Netlist, digest, synthesized
from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP
from caduceus.hdl.fabric.grid import GDPU_MODULE, TILE_MODULE
from caduceus.sim import tally
from caduceus.sim.chip_design import HIERARCHY
from caduceus.sim.chip_harness import clock_plusargs, write_harness
from caduceus.sim.chip_player import STREAMS
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.spec.files import write_whole
from tb.benches import Bench, Design, Variant
from tb.chip_designs import STATES
from tb.chips import label, sized

SUMMARY = "netlist_summary.json"
"""Summary of the netlist for the report, see `Netlist`."""
COMPARED = "compared.txt"
"""Count of the equal values, see `caduceus.sim.tally`."""
_CONTROL = f"""`verilator_config
// As in hdl/fabric/chip_sources.py: compiled once, linked once per instance.
hier_block -module "{TILE_MODULE}"
hier_block -module "{GDPU_MODULE}"
"""


def _counted(folder: Path) -> dict[str, str]:
    """Environment of a simulation that counts its compared values, starting at 0."""
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
    """The bench around the netlist of its own design, which must be synthesizable."""

    def prepare(variant: Variant, folder: Path) -> Design:
        made = bench.prepare(variant, folder)
        texts = [path.read_text(encoding="utf-8") for path in made.sources]

        def write() -> list[str]:
            names = [f"rtl_{path.name}" for path in made.sources]
            for path, name in zip(made.sources, names, strict=True):
                shutil.copyfile(path, folder / name)
            return names

        netlist = synthesized(folder, made.top, digest(*texts), write, altered_at=altered_at)
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
    """Netlist at `place` of a design of the variant's package; its summary goes to `folder`."""
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
        bench: the tile's bench.
        place: folder of the netlist, altered or not.
        altered_at: as in `synthesized`.
    """

    def prepare(variant: Variant, folder: Path) -> Design:
        netlist = _of_package(variant, TILE_TOP, place, folder, altered_at=altered_at)
        return Design(netlist.sources, TILE_TOP, env=_counted(folder))

    return replace(bench, prepare=prepare)


def of_chip(bench: Bench, place: Path) -> Bench:
    """A bench of the chip between players and recorders around the netlist of the whole chip.

    Tiles keep their boundary, unlike on the board, so that a simulator compiles one of them.

    Args:
        bench: a bench of the chip between players and recorders.
        place: folder of the netlist, shared by benches of the same chip.
    """

    def prepare(variant: Variant, folder: Path) -> Design:
        netlist = _of_package(variant, CHIP_TOP, place, folder, (TILE_MODULE, GDPU_MODULE))
        control = folder / "hierarchy.vlt"
        write_whole(control, _CONTROL, "control file")
        harness = write_harness(folder / "chip_harness.sv", sized(variant.parameters))
        return Design(
            [control, *HARNESS_SOURCES, harness, *netlist.sources],
            "chip_harness",
            parameters={"PAUSES": 1},
            plusargs=[
                f"+pcm_state={STATES}",
                f"+streams={STREAMS}",
                *clock_plusargs(*variant.parameters["clocks"]),
            ],
            build_args=HIERARCHY,
            env=_counted(folder),
            build=f"netlist-{label(variant.parameters)}",
        )

    return replace(bench, prepare=prepare)
