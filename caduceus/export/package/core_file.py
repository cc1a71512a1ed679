"""The FuseSoC core file (CAPI2) of a package, and lists of its files for other tools."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from caduceus.spec.chip import Chip

CHIP_TOP, TILE_TOP = "chip", "axi_tile"

_TARGETS = {
    # name: (what it is, filesets besides the design's, top)
    "default": (
        "The chip, its arrays emulated. Flags: own_array and own_gate leave those modules to you, "
        "gated_clocks takes the gate for targets that have gated clocks.",
        ("chip", "!own_array ? (emulated_array)", "!own_gate ? (!gated_clocks ? (free_clocks))",
         "!own_gate ? (gated_clocks ? (gated_clocks))"), CHIP_TOP,
    ),
    "black_box": (
        "The chip, its arrays as black boxes: where your own macro goes.",
        ("chip", "black_box", "!own_gate ? (!gated_clocks ? (free_clocks))",
         "!own_gate ? (gated_clocks ? (gated_clocks))"), CHIP_TOP,
    ),
    "tile": (
        "A tile alone, its array emulated. Flag: own_array leaves that module to you.",
        ("tile", "!own_array ? (emulated_array)"), TILE_TOP,
    ),
    "lint": (
        "Verilator's lint of the chip around black boxes.",
        ("chip", "black_box", "free_clocks"), CHIP_TOP,
    ),
    "lint_tile": (
        "Verilator's lint of a tile alone.", ("tile", "emulated_array"), TILE_TOP,
    ),
}  # fmt: skip


CORE_PREFIX = "caduceus_"


def core_name(chip: Chip) -> str:
    """The core's name, and that of its file without suffix."""
    return f"{CORE_PREFIX}{chip.name}"


def render(chip: Chip, filesets: Mapping[str, Sequence[str]]) -> str:
    """The core file.

    Args:
        chip: what it describes.
        filesets: paths of each fileset's files, relative to the core file.
    """
    lines = [
        "CAPI=2:",
        "",
        f"name: ::{core_name(chip)}:{version('caduceus')}",
        f"description: Digital side of the in-memory-compute chip {chip.name}, and a tile alone",
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
