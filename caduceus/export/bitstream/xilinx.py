"""Synthesis for Xilinx parts, without place and route, to count a design's resources there."""

from dataclasses import dataclass

from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP


@dataclass(frozen=True)
class Target:
    """A design of the chip's Verilog package to synthesize.

    Attributes:
        design: its name in the package.
        top: its top module.
    """

    design: str
    top: str


DESIGNS = {"tile": Target(TILE_TOP, TILE_TOP), "chip": Target(f"{CHIP_TOP}_black_box", CHIP_TOP)}
"""One tile with its emulated array; the chip with its arrays as black boxes."""
FAMILIES = {"xc7": "7 series", "xcup": "UltraScale+"}


def command(family: str) -> str:
    """Yosys's synthesis command for a family."""
    return f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf"
