"""A chip's grid for Verilator as C++ that evaluates tiles and slices one by one, in parallel.

Verilator compiles a tile and a GDPU slice, each with the links at its inputs, to libraries; the
engine in `cpp/grid.cpp` holds their instances. Module `grid` calls it at each rising clock edge.
This gives the same results as Verilator's own evaluation because all outputs of a tile, a slice and
a link depend on flip-flops alone (`hdl.common.verilog` checks it): what one part does at an edge
depends on what the others showed before it.

In the libraries every `posedge` is an `edge`: a clock signal changes once per rising edge of the
chip's clock, so that one evaluation is enough. A part's clock does not change while its clock gate
is closed.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from caduceus.hdl.fabric.chip_sources import write_parts
from caduceus.hdl.fabric.chip_tile import packet_sinks, packet_sources
from caduceus.hdl.fabric.grid import (
    GRID_MODULE,
    SIDES,
    WAKE_CLOCKS,
    GridPorts,
    Wiring,
)
from caduceus.hdl.fabric.grid_parts import SLICE_PART, TILE_PART
from caduceus.hdl.tile.unit_clocks import HOLD_CLOCKS, UNITS
from caduceus.sim.chip_design import THREADS
from caduceus.sim.verilated_library import Engine, Library
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder, shipped_folder

ENGINE = shipped_folder("caduceus.sim") / "cpp" / "grid.cpp"
_STREAM = ("tdata", "tkeep", "tlast", "tvalid", "tready")


def _grid(chip: Chip) -> str:
    """SystemVerilog of module `grid`, which calls the engine."""
    ports = [
        ("_".join(map(str, path)), member.flow.name == "In", member.shape)
        for path, member, _ in GridPorts(chip).flatten(GridPorts(chip).create())
    ]
    clocks = ("clk", "mvm_clk")
    inputs = [(name, width) for name, inward, width in ports if inward and name not in clocks]
    outputs = [(name, width) for name, inward, width in ports if not inward]

    def kind(width: int) -> str:
        # Whole words: a single bit would have another type in C.
        return f"bit [{-(-width // 32) * 32 - 1}:0]"

    declared = [
        *(f"input {kind(width)} {name}" for name, width in inputs),
        *(f"output {kind(width)} {name}" for name, width in outputs),
    ]
    given = ", ".join([*(name for name, _ in inputs), *(f"next_{name}" for name, _ in outputs)])
    lint = ("WIDTH", "BLKSEQ")
    return "\n".join(
        [
            "// Generated: the grid of parts that the engine holds, see caduceus/sim/cpp/grid.cpp.",
            f"module {GRID_MODULE} (",
            ",\n".join(
                f"    {'input' if inward else 'output reg'} [{width - 1}:0] {name}"
                for name, inward, width in ports
            ),
            ");",
            "    import \"DPI-C\" function chandle caduceus_grid_create("
            "input string scope, input int threads);",
            "    import \"DPI-C\" function void caduceus_grid_edge(input chandle grid, "
            f"input bit sync, input bit mvm, {', '.join(declared)});",
            "    import \"DPI-C\" function void caduceus_grid_final(input chandle grid);",
            "    chandle grid;",
            "    bit clk_was, mvm_clk_was;",
            "    int threads;",
            *(f"    {kind(width)} next_{name};" for name, width in outputs),
            *(f"    /* verilator lint_off {name} */" for name in lint),
            "    initial begin",
            f'        if ($value$plusargs("{THREADS}=%d", threads) == 0) threads = 1;',
            '        grid = caduceus_grid_create($sformatf("%m"), threads);',
            f"        caduceus_grid_edge(grid, 0, 0, {given});",
            *(f"        {name} = next_{name};" for name, _ in outputs),
            "        clk_was = clk;",
            "        mvm_clk_was = mvm_clk;",
            "    end",
            "    // One call where both clocks rise at once: each part then sees both edges.",
            "    always @(clk or mvm_clk) begin",
            "        if ((clk & ~clk_was) | (mvm_clk & ~mvm_clk_was)) begin",
            "            caduceus_grid_edge(",
            f"                grid, clk & ~clk_was, mvm_clk & ~mvm_clk_was, {given});",
            *(f"            {name} <= next_{name};" for name, _ in outputs),
            "        end",
            "        clk_was = clk;",
            "        mvm_clk_was = mvm_clk;",
            "    end",
            *(f"    /* verilator lint_on {name} */" for name in lint),
            "    final caduceus_grid_final(grid);",
            "endmodule",
            "",
        ]
    )  # fmt: skip


def _header(chip: Chip) -> str:
    """C++ of the grid's sizes and wiring."""
    inputs, outputs = len(packet_sources(chip)), len(packet_sinks(chip))
    layout = Wiring.of(chip)

    def ends(found: Sequence) -> str:
        return ", ".join(f"{{{end.part}, {end.stream}}}" for end in found)

    def repeated(count: int) -> str:
        return " ".join(f"X({k})" for k in range(count))

    links = ",\n".join(
        f"    {{{ends([source])}, {ends([sink])}}}" for _, source, sink in layout.links
    )
    return f"""// Generated: sizes and wiring of the grid of chip {chip.name}.
#pragma once
#include "V{TILE_PART}.h"
#include "V{SLICE_PART}.h"

struct End {{ int part, stream; }};
struct Link {{ End source, sink; }};

constexpr int UNITS = {chip.link.units}, TILES = {chip.tiles}, SLICES = {chip.gdpu.slices};
constexpr int TILE_INPUTS = {inputs}, TILE_OUTPUTS = {outputs};
constexpr int SLICE_INPUTS = {len(SIDES)}, SLICE_OUTPUTS = {len(SIDES)};
constexpr int HOST_INPUTS = {len(layout.host_inputs)}, HOST_OUTPUTS = {len(layout.host_outputs)};
constexpr int WAKE_CLOCKS = {WAKE_CLOCKS}, HOLD_CLOCKS = {HOLD_CLOCKS};
constexpr int UNIT_COUNT = {len(UNITS)}, LINKS_UNIT = {UNITS.index("links")};
constexpr int SOURCE_UNIT = {UNITS.index("source")};
constexpr Link LINKS[] = {{
{links}
}};
constexpr End HOST_INPUT_ENDS[] = {{{ends(layout.host_inputs)}}};
constexpr End HOST_OUTPUT_ENDS[] = {{{ends(layout.host_outputs)}}};
#define TILE_UNITS(X) {" ".join(f"X({k}, {unit}_clk)" for k, unit in enumerate(UNITS))}
#define TILE_INPUT_STREAMS(X) {repeated(inputs)}
#define TILE_OUTPUT_STREAMS(X) {repeated(outputs)}
#define SLICE_INPUT_STREAMS(X) {repeated(len(SIDES))}
#define SLICE_OUTPUT_STREAMS(X) {repeated(len(SIDES))}
"""


def _edges(source: Path, folder: Path) -> Path:
    """A copy in `folder` with an edge of either kind for each rising one."""
    text = source.read_text(encoding="utf-8")
    path = folder / source.name
    write_whole(path, re.sub(r"\bposedge\b", "edge", text), "library's source")
    return path


def verilated_grid(
    folder: Path, chip: Chip, build: Path | None = None
) -> tuple[list[Path], Engine]:
    """Write the sources of a chip whose grid is the engine's.

    Args:
        folder: output folder.
        chip: the chip description.
        build: build folder, see `caduceus.spec.shipped.build_folder`.

    Returns:
        the Verilog around the engine, in compilation order, and the engine.

    Raises:
        UserError: Yosys refuses a module, or a file cannot be written.
    """
    sources = write_parts(folder, chip, build)
    place = folder / "grid"
    place.mkdir(parents=True, exist_ok=True)
    libraries = [
        Library(top, [_edges(source, place) for source in files])
        for top, files in ((TILE_PART, sources.tile), (SLICE_PART, sources.slice))
    ]
    grid, header = place / "grid.sv", place / "grid_design.h"
    write_whole(grid, _grid(chip), "grid")
    write_whole(header, _header(chip), "grid's header")
    engine = Engine([ENGINE], place, libraries, build_folder(build) / "verilated")
    return [grid, sources.chip], engine
