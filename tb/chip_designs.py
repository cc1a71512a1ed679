"""Chip builds of the benches: one build for all benches of the same chip."""

from dataclasses import replace
from pathlib import Path

from caduceus.sim.chip_design import HIERARCHICAL, PARALLEL, ChipDesign, chip_design
from caduceus.sim.chip_harness import clock_plusargs, write_harness
from caduceus.sim.chip_player import STREAMS
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.job import RECORD
from tb import benches
from tb.benches import Design, Variant
from tb.chips import label, sized

TWINS = "+twins"
"""Plusarg: check that no unit of a tile is missed while its clock is stopped."""
STATES = Path("states")
"""Folder of PCM states."""


def design(variant: Variant, folder: Path) -> Design:
    """The bare chip of a variant's parameters (see `tb.chips.sized`), with recorders in its tiles.

    The variant runs on one kind of simulator, whose build arguments are given. All benches of a
    chip share the build: it takes as long as a hundred small blocks.
    """
    made = _made(variant, folder)
    return Design(
        made.sources,
        "chip",
        plusargs=[f"+pcm_state={STATES}", TWINS],
        build_args=made.arguments,
        engine=made.engine,
        build=f"chip-{label(variant.parameters)}",
    )


def harnessed(variant: Variant, folder: Path) -> Design:
    """As `bare`, but between stream players and recorders with random pauses."""
    made = _made(variant, folder)
    harness = write_harness(folder / "chip_harness.sv", sized(variant.parameters))
    return Design(
        [*made.sources, *HARNESS_SOURCES, harness],
        "chip_harness",
        parameters={"PAUSES": 1},
        plusargs=[
            f"+pcm_state={STATES}",
            f"+streams={STREAMS}",
            TWINS,
            *clock_plusargs(*variant.parameters["clocks"]),
        ],
        build_args=made.arguments,
        engine=made.engine,
        build=f"harness-{label(variant.parameters)}",
    )


def recorded(made: Design) -> Design:
    """The same design with recordings of its tiles in `RECORD`."""
    return replace(made, plusargs=[*made.plusargs, f"+record={RECORD}"])


def _made(variant: Variant, folder: Path) -> ChipDesign:
    """The chip for the variant's simulator; each variant of a chip names one."""
    (simulator,) = variant.simulators or ("verilator",)
    return chip_design(
        folder, sized(variant.parameters), simulator,
        record=True, verilation=HIERARCHICAL if benches.WAVES.get() else PARALLEL,
    )  # fmt: skip
