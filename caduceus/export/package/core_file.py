"""The FuseSoC core file (CAPI2) of a package, and lists of its files for other tools."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from caduceus.spec.chip import Chip

CHIP_TOP, TILE_TOP = "chip", "axi_tile"

_TARGETS = {
    # name: (description, filesets, top module)
    "default": (
        "The chip with emulated arrays. Flags: own_array and own_gate omit the array and the clock "
        "gate, for modules of your own; gated_clocks selects the latch-based clock gate.",
        ("chip", "!own_array ? (emulated_array)", "!own_gate ? (!gated_clocks ? (free_clocks))",
         "!own_gate ? (gated_clocks ? (gated_clocks))"), CHIP_TOP,
    ),
    "black_box": (
        "The chip with black-box arrays, for your own macro.",
        ("chip", "black_box", "!own_gate ? (!gated_clocks ? (free_clocks))",
         "!own_gate ? (gated_clocks ? (gated_clocks))"), CHIP_TOP,
    ),
    "tile": (
        "A stand-alone tile with an emulated array. Flag: own_array omits the array, for a module "
        "of your own.",
        ("tile", "!own_array ? (emulated_array)"), TILE_TOP,
    ),
    "lint": (
        "Verilator lint of the chip with black-box arrays.",
        ("chip", "black_box", "free_clocks"), CHIP_TOP,
    ),
    "lint_tile": (
        "Verilator lint of a stand-alone tile.", ("tile", "emulated_array"), TILE_TOP,
    ),
}  # fmt: skip


CORE_PREFIX = "caduceus_"


def core_name(chip: Chip) -> str:
    """The core's name, which is also its file's name without suffix."""
    return f"{CORE_PREFIX}{chip.name}"


def render(chip: Chip, filesets: Mapping[str, Sequence[str]]) -> str:
    """The core file.

    Args:
        chip: the chip description.
        filesets: paths of each fileset's files, relative to the core file.
    """
    lines = [
        "CAPI=2:",
        "",
        f"name: ::{core_name(chip)}:{version('caduceus')}",
        f"description: Digital side of the in-memory-compute chip {chip.name}; stand-alone tile",
        "",
        "filesets:",
    ]
    for name, paths in filesets.items():
        lines += [f"  {name}:", "    files:"]
        for path in sorted(paths):
            kind = "systemVerilogSource" if path.endswith(".sv") else "verilogSource"
            lines.append(f"      - {path}: {{file_type: {kind}}}")
    lines += ["", "targets:"]
    for name, (about, used, top) in _TARGETS.items():
        lines += [f"  {name}:", f'    description: "{about}"']
        if name.startswith("lint"):
            lines += ["    flow: lint", "    flow_options: {tool: verilator}"]
        lines += ["    filesets:", *(f'      - "{fileset}"' for fileset in used)]
        lines.append(f"    toplevel: {top}")
    return "\n".join(lines) + "\n"
