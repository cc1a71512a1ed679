"""Chip builds of the benches: one build for all benches of the same chip."""

from dataclasses import replace
from pathlib import Path

from caduceus.hdl.fabric.chip_sources import write_sources
from caduceus.sim.chip_harness import CHIP_ARGUMENTS, write_harness
from caduceus.sim.chip_player import STREAMS
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.job import RECORD
from tb.benches import Design, Variant
from tb.chips import label, sized

STATES = Path("states")
"""Folder of PCM states."""


def design(variant: Variant, folder: Path) -> Design:
    """The bare chip of a variant's parameters (see `tb.chips.sized`), with recorders in its tiles.

    The variant runs on one kind of simulator, whose build arguments are given. All benches of a
    chip share the build: it takes as long as a hundred small blocks.
    """
    return Design(
        write_sources(folder, sized(variant.parameters), record=True),
        "chip",
        plusargs=[f"+pcm_state={STATES}"],
        build_args=_arguments(variant),
        build=f"chip-{label(variant.parameters)}",
    )


def harnessed(variant: Variant, folder: Path) -> Design:
    """As `bare`, but between stream players and recorders with random pauses."""
    chip = sized(variant.parameters)
    return Design(
        [
            *write_sources(folder, chip, record=True),
            *HARNESS_SOURCES,
            write_harness(folder / "chip_harness.sv", chip),
        ],
        "chip_harness",
        parameters={"PAUSES": 1},
        plusargs=[f"+pcm_state={STATES}", f"+streams={STREAMS}"],
        build_args=_arguments(variant),
        build=f"harness-{label(variant.parameters)}",
    )


def recorded(made: Design) -> Design:
    """The same design with recordings of its tiles in `RECORD`."""
    return replace(made, plusargs=[*made.plusargs, f"+record={RECORD}"])


def _arguments(variant: Variant) -> tuple[str, ...]:
    return CHIP_ARGUMENTS if variant.simulators == ("verilator",) else ()
