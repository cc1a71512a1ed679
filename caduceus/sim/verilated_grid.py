"""A chip's grid for Verilator as C++ that evaluates tiles and slices one by one, in parallel.

Verilator compiles a tile and a GDPU slice, each with the links at its inputs, to libraries; the
engine in `cpp/grid.cpp` holds their instances. Module `grid` calls it at each rising clock edge.
This gives the same results as Verilator's own evaluation because all outputs of a tile, a slice and
a link depend on flip-flops alone (`hdl.fabric.registered` checks it): what one part does at an edge
depends on what the others showed before it.

In the libraries every `posedge` is an `edge`: a clock signal changes once per rising edge of the
chip's clock, so that one evaluation is enough. A part's clock does not change while its clock gate
is closed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caduceus.hdl.fabric.chip_sources import ChipSources
from caduceus.hdl.fabric.chip_tile import packet_sinks, packet_sources
from caduceus.hdl.fabric.grid import (
    GDPU_MODULE,
    GRID_MODULE,
    LINK_MODULE,
    SIDES,
    TILE_MODULE,
    WAKE_CLOCKS,
    GridPorts,
    Wiring,
)
from caduceus.hdl.tile.unit_clocks import HOLD_CLOCKS, UNITS
from caduceus.sim.chip_design import THREADS
from caduceus.sim.verilated_library import Engine, Library
from caduceus.spec import fabric, registers
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder, shipped_folder

ENGINE = shipped_folder("caduceus.sim") / "cpp" / "grid.cpp"
_STREAM = ("tdata", "tkeep", "tlast", "tvalid", "tready")


@dataclass(frozen=True)
class _Part:
    """A kind of part: a tile or a slice, with the links at its inputs.

    Attributes:
        name: of the module around them; module: of the tile or slice inside.
        inputs, outputs: number of its streams.
        direct: position of an input without a link, or None.
        mvm: whether it has a clock `mvm`.
    """

    name: str
    module: str
    inputs: int
    outputs: int
    direct: int | None
    mvm: bool


def _parts(chip: Chip) -> tuple[_Part, _Part]:
    sources, sinks = packet_sources(chip), packet_sinks(chip)
    host = sources.index(fabric.HOST)
    return (
        _Part("tile_part", TILE_MODULE, len(sources), len(sinks), host, mvm=True),
        _Part("slice_part", GDPU_MODULE, len(SIDES), len(SIDES), None, mvm=False),
    )


def _widths(units: int) -> dict[str, int]:
    return {"tdata": 8 * units, "tkeep": units, "tlast": 1, "tvalid": 1, "tready": 1}


def _module(part: _Part, units: int) -> str:
    """Verilog of a part."""
    widths = _widths(units)
    unit_clocks = [f"{unit}_clk" for unit in UNITS] if part.mvm else []
    inputs = [
        "clk", "inputs_clk", *unit_clocks, *(["mvm_clk", "mvm_rst"] if part.mvm else []), "rst",
        "request", "write", f"[{registers.ADDRESS_BITS - 1}:0] address", "[31:0] write_data",
    ]  # fmt: skip
    outputs = [
        "done", "bus_error", "[31:0] read_data", "awake", "error", "arriving",
        *([f"[{len(UNITS) - 1}:0] active", "mvm_awake"] if part.mvm else []),
    ]  # fmt: skip
    for way, count in (("in", part.inputs), ("out", part.outputs)):
        for k in range(count):
            for name, width in widths.items():
                inward = (way == "in") != (name == "tready")
                (inputs if inward else outputs).append(f"[{width - 1}:0] {way}_{k}_{name}")
    lines = [
        "// Generated: a tile or slice with the links at its inputs.",
        "/* verilator lint_off WIDTH */",
        f"module {part.name} (",
        ",\n".join(
            [*(f"    input {port}" for port in inputs), *(f"    output {port}" for port in outputs)]
        ),
        ");",
    ]
    for k in range(part.inputs):
        lines += [f"    wire [{width - 1}:0] at_{k}_{name};" for name, width in widths.items()]
        if k == part.direct:
            lines += [f"    assign at_{k}_{name} = in_{k}_{name};" for name in _STREAM[:-1]]
            lines.append(f"    assign in_{k}_tready = at_{k}_tready;")
        else:
            ports = [".clk(inputs_clk), .rst(rst)"]
            ports += [f".input_{name}(in_{k}_{name})" for name in _STREAM]
            ports += [f".output_{name}(at_{k}_{name})" for name in _STREAM]
            lines.append(f"    {LINK_MODULE} link_{k} ({', '.join(ports)});")
    linked = [k for k in range(part.inputs) if k != part.direct]
    lines.append(f"    assign arriving = {' | '.join(f'at_{k}_tvalid' for k in linked)};")
    ports = [f".{name}({name})" for name in ("clk", "rst", "awake", "error")]
    if part.mvm:
        ports += [f".{name}({name})" for name in ("mvm_clk", "mvm_rst", "mvm_awake")]
        for k, unit in enumerate(UNITS):
            ports += [f".{unit}_clk({unit}_clk)", f".{unit}_active(active[{k}])"]
    ports += [f".bus_{name}({name})" for name in ("request", "write", "address", "write_data",
                                                  "done", "read_data")]  # fmt: skip
    ports.append(".bus_error(bus_error)")
    for name in _STREAM:
        arriving = ", ".join(f"at_{k}_{name}" for k in reversed(range(part.inputs)))
        leaving = ", ".join(f"out_{k}_{name}" for k in reversed(range(part.outputs)))
        ports += [f".packets_in_{name}({{{arriving}}})", f".packets_out_{name}({{{leaving}}})"]
    lines += [f"    {part.module} part ({', '.join(ports)});", "endmodule"]
    return "\n".join(lines) + "\n"


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
    tile, each_slice = _parts(chip)
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
#include "V{tile.name}.h"
#include "V{each_slice.name}.h"

struct End {{ int part, stream; }};
struct Link {{ End source, sink; }};

constexpr int UNITS = {chip.link.units}, TILES = {chip.tiles}, SLICES = {chip.gdpu.slices};
constexpr int TILE_INPUTS = {tile.inputs}, TILE_OUTPUTS = {tile.outputs};
constexpr int SLICE_INPUTS = {each_slice.inputs}, SLICE_OUTPUTS = {each_slice.outputs};
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
#define TILE_INPUT_STREAMS(X) {repeated(tile.inputs)}
#define TILE_OUTPUT_STREAMS(X) {repeated(tile.outputs)}
#define SLICE_INPUT_STREAMS(X) {repeated(each_slice.inputs)}
#define SLICE_OUTPUT_STREAMS(X) {repeated(each_slice.outputs)}
"""


def _edges(source: Path, folder: Path) -> Path:
    """A copy in `folder` with an edge of either kind for each rising one."""
    text = source.read_text(encoding="utf-8")
    path = folder / source.name
    write_whole(path, re.sub(r"\bposedge\b", "edge", text), "library's source")
    return path


def verilated_grid(
    folder: Path, chip: Chip, sources: ChipSources, build: Path | None = None
) -> tuple[list[Path], Engine]:
    """Write the sources of a chip whose grid is the engine's.

    Args:
        folder: output folder.
        chip: the chip description.
        sources: those of the chip in plain Verilog.
        build: build folder, see `caduceus.spec.shipped.build_folder`.

    Returns:
        the Verilog around the engine, in compilation order, and the engine.

    Raises:
        UserError: a file cannot be written.
    """
    place = folder / "grid"
    place.mkdir(parents=True, exist_ok=True)
    libraries = []
    inner = {TILE_MODULE: sources.in_tile, GDPU_MODULE: [sources.gdpu]}
    for part in _parts(chip):
        module = place / f"{part.name}.v"
        write_whole(module, _module(part, chip.link.units), "part")
        inside = [_edges(each, place) for each in (*inner[part.module], sources.link)]
        libraries.append(Library(part.name, (*inside, module)))
    grid, header = place / "grid.sv", place / "grid_design.h"
    write_whole(grid, _grid(chip), "grid")
    write_whole(header, _header(chip), "grid's header")
    engine = Engine(
        [ENGINE], place, libraries, build_folder(build) / "verilated",
        callers=[grid], plain=[*sources.in_grid, sources.grid], arguments=["--hierarchical"],
    )  # fmt: skip
    return [grid, sources.chip], engine
