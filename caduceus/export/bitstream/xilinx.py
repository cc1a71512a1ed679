"""Synthesis, without place and route, for Xilinx's parts: how large a design would be there."""

from dataclasses import dataclass

from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP


@dataclass(frozen=True)
class Target:
    """A part to synthesize for, and a design of the chip's package.

    Attributes:
        design: its name in the package.
        top: its top module.
    """

    design: str
    top: str


DESIGNS = {"tile": Target(TILE_TOP, TILE_TOP), "chip": Target(f"{CHIP_TOP}_black_box", CHIP_TOP)}
"""One tile with its emulated array; the chip around arrays that are not there."""
FAMILIES = {"xc7": "7 series", "xcup": "UltraScale+"}


def command(family: str) -> str:
    """Yosys's command."""
    return f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf"
