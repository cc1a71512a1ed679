"""What a simulator builds a chip from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caduceus.sim.verilated_library import Engine
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, shown

PARALLEL, HIERARCHICAL, FLAT = "parallel", "hierarchical", "flat"
VERILATIONS = (PARALLEL, HIERARCHICAL, FLAT)
"""Ways in which Verilator compiles a chip: tiles evaluated in parallel by `sim.verilated_grid`, its
own hierarchical blocks, one model in one piece."""
TIMING = ("--timing", "--no-sched-zero-delay", "--output-split-cfuncs", "1000")
"""For Verilator: the harness has delays. A C++ compiler takes minutes over long functions."""
HIERARCHY = ("--hierarchical", *TIMING)
THREADS = "threads"
"""Plusarg: number of threads that evaluate tiles."""


@dataclass(frozen=True)
class ChipDesign:
    """A chip's sources, for `sim.runner.run_bench`.

    Attributes:
        sources: of module `chip`, in compilation order.
        arguments: for the simulator's compiler.
        engine: C++ that the sources call.
    """

    sources: Sequence[Path]
    arguments: tuple[str, ...] = ()
    engine: Engine | None = None


THREADS_MAX = 64
"""Most threads that evaluate tiles."""
THREADS_VARIABLE = "CADUCEUS_THREADS"
"""Environment variable: number of threads where none is given."""


def default_threads() -> int:
    """Number of threads where none is given: that of the environment, or of this process's cores.

    Raises:
        UserError: the environment's is not a number from 1 to `THREADS_MAX`.
    """
    text = os.environ.get(THREADS_VARIABLE, "")
    if not text:
        return min(len(os.sched_getaffinity(0)), THREADS_MAX)
    if not text.isdecimal() or not 1 <= int(text) <= THREADS_MAX:
        raise UserError(
            f"{THREADS_VARIABLE}: got {shown(text)}, expected a whole number, 1 to {THREADS_MAX}"
        )
    return int(text)


def chip_design(
    folder: Path,
    chip: Chip,
    simulator: str,
    *,
    record: bool = False,
    verilation: str = PARALLEL,
    build: Path | None = None,
) -> ChipDesign:
    """Write the sources of a chip to `folder`.

    Args:
        folder: output folder.
        chip: the chip description.
        simulator: which will run it.
        record: include recorders in the tiles; always with `parallel`.
        verilation: one of `VERILATIONS`; for Verilator.
        build: build folder, see `caduceus.spec.shipped.build_folder`.

    Raises:
        UserError: Yosys refuses a module, or a file cannot be written.
    """
    # Amaranth takes half a second.
    from caduceus.hdl.fabric.chip_sources import write_sources
    from caduceus.sim.verilated_grid import verilated_grid

    if simulator == "verilator" and verilation == PARALLEL:
        around, engine = verilated_grid(folder, chip, build)
        return ChipDesign(around, TIMING, engine)
    sources = write_sources(folder, chip, record, build)
    if simulator != "verilator":
        return ChipDesign(sources)
    return ChipDesign(sources, HIERARCHY if verilation == HIERARCHICAL else TIMING)
