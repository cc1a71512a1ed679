"""Pages of a Verilog package: ports, clocks and resets, registers."""

import re
from collections.abc import Iterable, Mapping

from amaranth.hdl import Shape
from amaranth.lib.wiring import Component, In

from caduceus.export import register_manual
from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP, core_name
from caduceus.hdl.array import emulated_array, pcm_array
from caduceus.hdl.common.verilog import ports_of
from caduceus.hdl.fabric.grid import CLOCK_GATE_MODULE
from caduceus.spec.chip import Chip

_STREAM = {
    "tdata": "INT8 values of the beat, the first in the lowest byte",
    "tkeep": "mask of the valid bytes; all ones except in a packet's last beat",
    "tlast": "last beat of the packet",
    "tvalid": "the beat is valid; stays 1 until `tready`",
    "tready": "the beat is accepted",
    "tuser": "see above",
}
_LITE = {
    "awaddr": "address of a write, in bytes",
    "awprot": "ignored",
    "awvalid": "the write address is valid",
    "awready": "the write address is accepted",
    "wdata": "write data",
    "wstrb": "all ones; any other value answers SLVERR",
    "wvalid": "the write data is valid",
    "wready": "the write data is accepted",
    "bresp": "0 OKAY; 2 SLVERR: the write had no effect",
    "bvalid": "the write response is valid",
    "bready": "the write response is accepted",
    "araddr": "address of a read, in bytes",
    "arprot": "ignored",
    "arvalid": "the read address is valid",
    "arready": "the read address is accepted",
    "rdata": "read data",
    "rresp": "0 OKAY, 2 SLVERR",
    "rvalid": "read data and response are valid",
    "rready": "read data and response are accepted",
}
_COMMON = {
    "aclk": "clock of all AXI ports and of the digital side",
    "mvm_clk": "clock of modulators and arrays",
    "aresetn": "reset of both clock domains, active low; see README.md",
}
_TILE_STREAMS = {
    "s_axis": "input vectors or pixels",
    "s_axis_rx": "RX vectors",
    "m_axis": "result vectors",
}
_TILE_PARTS = {
    "s_axis_tuser": "part number of the packet, with every beat; 0 if the register PARTS is 1",
    "s_axis_rx_tuser": "part number of the RX packet, with every beat; 0 if RX_PARTS is 1",
}
_CHIP_FLAGS = {
    "awake": "one bit per tile: the tile has work",
    "error": "one bit per tile: a bit of its ERROR is set",
    "slices_awake": "one bit per GDPU slice: the slice has work",
    "slices_error": "one bit per GDPU slice: a bit of its ERROR is set",
}
_STATE_WORDS, _READ_CLOCK = ("state_write", "state_first", "state_data"), "read_clk"
"""Array ports listed before its second clock that belong to it, and that clock."""
_STREAM_PORT = re.compile(r"(?P<stream>[sm]_axis(?:_\w+?)?)_(?P<signal>t[a-z]+)")


def _table(rows: Iterable[tuple[str, str, int, str, str]]) -> list[str]:
    return [
        "| port | direction | width | clock | description |",
        "|---|---|---|---|---|",
        *(
            f"| `{name}` | {way} | {width} | {clock} | {what} |"
            for name, way, width, clock, what in rows
        ),
    ]


def _stream_doc(stream: str, chip: Chip) -> str:
    """Content of a stream of the chip or of a tile."""
    if stream in _TILE_STREAMS:
        return _TILE_STREAMS[stream]
    way, _, number = stream.rpartition("_")
    places = chip.host.inputs if way == "s_axis" else chip.host.outputs
    row, column = places[int(number)]
    return f"packets {'to' if way == 's_axis' else 'from'} the tile in row {row}, column {column}"


def _doc(name: str, chip: Chip) -> str:
    known = _COMMON | _TILE_PARTS | _CHIP_FLAGS
    if name in known:
        return known[name]
    if name.startswith("s_axil_"):
        return _LITE[name.removeprefix("s_axil_")]
    stream = _STREAM_PORT.fullmatch(name)
    return f"{_stream_doc(stream['stream'], chip)}: {_STREAM[stream['signal']]}"


def _clock(name: str) -> str:
    return {"aclk": "", "mvm_clk": "", "aresetn": "asynchronous"}.get(name, "`aclk`")


def _component_table(component: Component, chip: Chip) -> list[str]:
    return _table(
        (name, direction.value, len(value), _clock(name), _doc(name, chip))
        for name, (value, direction) in ports_of(component).items()
    )


def _array_table(chip: Chip) -> list[str]:
    ports = pcm_array.ports(chip)
    clock = ""
    rows = []
    for name, doc in pcm_array.DOCS.items():
        if name in pcm_array.CLOCKS:
            clock = name  # of the ports that follow it
            rows.append((name, "input", 1, "", doc))
            continue
        way = "input" if ports[name].flow == In else "output"
        its = _READ_CLOCK if name in _STATE_WORDS else clock
        rows.append((name, way, Shape.cast(ports[name].shape).width, f"`{its}`", doc))
    return _table(rows)


def ports(chip: Chip, designs: Mapping[str, Component]) -> str:
    """`ports.md`: of `designs`, those that users instantiate."""
    parameters = pcm_array.module_parameters(chip)
    lines = [
        f"# Ports of chip `{chip.name}`",
        "",
        "The modules that you instantiate or replace. Modules whose names begin with `caduceus_`, "
        "and `chip_tile`, `gdpu_slice` and `link`, are internal.",
        "",
        f"## {CHIP_TOP}",
        "",
        f"{chip.tiles} tiles and {chip.gdpu.slices} GDPU slices. `registers.md` describes packets, "
        "routes, and the registers behind `s_axil`.",
        "",
        *_component_table(designs[CHIP_TOP], chip),
        "",
        f"## {TILE_TOP}",
        "",
        "A stand-alone tile: registers behind AXI4-Lite, vectors on AXI4-Stream.",
        "",
        *_component_table(designs[TILE_TOP], chip),
        "",
        f"## {pcm_array.MODULE} and {emulated_array.MODULE}",
        "",
        f"The array of a tile: crossbar, converters and counters. Tiles instantiate "
        f"`{pcm_array.MODULE}`. In `array/emulated` it contains `{emulated_array.MODULE}`, with "
        "the same ports and no parameters; in `array/black_box` it is empty, for your own macro. "
        "Signed numbers are in two's complement.",
        "",
        "| parameter | value | description |",
        "|---|---|---|",
        *(
            f"| `{name}` | {value} | {pcm_array.PARAMETER_DOCS[name]} |"
            for name, value in parameters.items()
        ),
        "",
        *_array_table(chip),
        "",
        f"## {CLOCK_GATE_MODULE}",
        "",
        "One clock gate per tile and slice (`aclk`), and one per array (`mvm_clk`).",
        "",
        *_table(
            (
                ("clk", "input", 1, "", "clock"),
                ("enable", "input", 1, "`clk`", "passes the next clock pulse; sampled at the end "
                 "of the low phase, so it may settle late in the high phase"),
                ("gated", "output", 1, "", "the clock while `enable` is 1; may always run"),
            )
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def registers(chip: Chip) -> str:
    """`registers.md`: the project's page for this chip, with no links out of the package."""
    page = register_manual.render(chip).replace(f"{register_manual.ORIGIN}\n\n", "")
    return re.sub(r"\[([\w.]+)\]\([\w.#]+\)", r"`docs/\1` of Caduceus", page)


def readme(chip: Chip) -> str:
    """`README.md`."""
    core = core_name(chip)
    sync, mvm = chip.clocks.sync_mhz, chip.clocks.mvm_mhz
    return f"""\
# Chip `{chip.name}` in Verilog

Generated by Caduceus from its Amaranth sources. The same chip description gives the same bytes.

- `rtl/`: the chip and a stand-alone tile, one file per module, in Verilog-2005.
- `array/emulated/`: the array in block RAM and multipliers, with conductances, converters and read
  noise. PCM-write pulses have no effect.
- `array/black_box/`: the array's interface, for your own macro.
- `gate/free_running/`: the clock gate for targets without gated clocks: the clock always runs.
- `gate/latch/`: a clock gate with a latch (SystemVerilog), for simulation, and for targets without
  a clock-gate cell.
- `{core}.core`: the FuseSoC core file.
- `{TILE_TOP}.f`, `{CHIP_TOP}.f`, `{CHIP_TOP}_black_box.f`: file lists for `-f`, relative to this
  folder.
- `ports.md`, `registers.md`: ports and registers.

Choose one folder of `array/` and one of `gate/`; `{TILE_TOP}` has no clock gates. With FuseSoC:

    fusesoc --cores-root . run --target lint {core}
    fusesoc --cores-root . run --target default --tool icarus --setup {core}

Targets are `default`, `black_box`, `tile`, `lint` and `lint_tile`. The first three have the flags
`own_array`, `own_gate` and `gated_clocks`: a core that depends on this one with `own_array`
provides its own module `{pcm_array.MODULE}`. Without `gated_clocks` the core uses the clock gate of
`gate/free_running/`. `{CHIP_TOP}_black_box.f` uses that of `gate/latch/`, which is SystemVerilog
(`-g2012` for Icarus).

Only `{pcm_array.MODULE}` has parameters, which the tile sets. The emulated array has one set of
sizes: with another, elaboration ends at a missing module whose name states the expected size.

## Clocks and resets

- `aclk` is the clock of all AXI ports and of the digital side (domain `sync` in descriptions),
  `mvm_clk` the clock of modulators and arrays (domain `mvm`); {sync} and {mvm} MHz by this chip's
  description. They may be unrelated. Results do not depend on their ratio.
- On an FPGA, drive both from one clock: then there is no clock-domain crossing, and of the
  constraints below only the one for `aresetn` remains.
- `aresetn` is asynchronous and active low. Hold it for four clocks of the slower clock, with both
  clocks running. Each domain has its own synchronizer: assertion is asynchronous, deassertion is
  synchronous. Internal resets are synchronous.
- Flip-flops have initial values, which FPGAs load. `{emulated_array.MODULE}` has no reset and
  relies on them; all other modules do not, once reset was held.
- Memories have initial values, too, and reset does not restore them. On a target that ignores
  `initial`, write all column constants before the first vector, and replace the read-only tables in
  `caduceus_fp16_tanh*` and in `caduceus_emulated_noise` of `{emulated_array.MODULE}` by constants.
- Clock gates: the behavior of tiles, slices and arrays does not depend on whether their clocks
  stop.

With two clocks, these constraints apply:

- Single bits cross through two flip-flops in series, in modules `caduceus_ff_synchronizer*`, and
  from each tile's `mvm_awake` to the first bit of `lately_*` in `{CHIP_TOP}`. Place each pair close
  together. The path into the first flip-flop is a false path, and so is the one from `aresetn` to
  the synchronizers in `caduceus_reset_synchronizer*`.
- A `caduceus_mailbox*` is a toggle handshake that guards data without synchronizers: the staged
  vector, the number of a state, the operands of pulses, and the counters. `mvm_clk` also samples
  the read mode and the reference current, which are stable while a tile is busy. The data is stable
  before the mailbox's toggle, which needs at least one more clock of the receiver. Constrain these
  paths to a maximum delay of one clock of the receiver; do not declare them false paths.
- `{emulated_array.MODULE}` has memories that are written in one clock domain and read in the other,
  never at the same time. Words of a state (`state_write`) and the counters' readout belong to
  `read_clk`.
"""
