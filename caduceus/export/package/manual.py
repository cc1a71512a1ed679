"""Pages of a package: its ports, its clocks and resets, its registers."""

import re
from collections.abc import Iterable, Mapping

from amaranth.hdl import Shape
from amaranth.lib.wiring import Component, In

from caduceus.export import register_manual
from caduceus.export.package.core_file import CHIP_TOP, TILE_TOP, core_name
from caduceus.hdl.array import emulated_array, pcm_array
from caduceus.hdl.common.verilog import ports_of
from caduceus.hdl.fabric.chip import CLOCK_GATE_MODULE
from caduceus.spec.chip import Chip

_STREAM = {
    "tdata": "INT8 values of the beat, the first in the lowest byte",
    "tkeep": "which bytes count; all but in a packet's last beat",
    "tlast": "last beat of the packet",
    "tvalid": "the beat is there, and stays until `tready`",
    "tready": "the beat is taken",
    "tuser": "see above",
}
_LITE = {
    "awaddr": "address of a write, in bytes",
    "awprot": "ignored",
    "awvalid": "there is an address of a write",
    "awready": "it is taken",
    "wdata": "what is written",
    "wstrb": "all ones; anything else answers SLVERR",
    "wvalid": "there is data of a write",
    "wready": "it is taken",
    "bresp": "0 OKAY, 2 SLVERR: nothing was done",
    "bvalid": "there is an answer to a write",
    "bready": "it is taken",
    "araddr": "address of a read, in bytes",
    "arprot": "ignored",
    "arvalid": "there is an address of a read",
    "arready": "it is taken",
    "rdata": "what was read",
    "rresp": "0 OKAY, 2 SLVERR",
    "rvalid": "there is an answer to a read",
    "rready": "it is taken",
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
    "s_axis_tuser": "with every beat of a part of an input vector, which one it is; 0 where the "
    "register PARTS is 1",
    "s_axis_rx_tuser": "with every beat of an RX vector, whose turn it is; 0 where RX_PARTS is 1",
}
_CHIP_FLAGS = {
    "awake": "of each tile: something is going on in it",
    "error": "of each tile: some bit of its ERROR is set",
    "slices_awake": "of each GDPU slice: something is going on in it",
    "slices_error": "of each GDPU slice: some bit of its ERROR is set",
}
_STATE_WORDS, _READ_CLOCK = ("state_write", "state_first", "state_data"), "read_clk"
"""Ports of the array that come before its second clock, and that clock."""
_STREAM_PORT = re.compile(r"(?P<stream>[sm]_axis(?:_\w+?)?)_(?P<signal>t[a-z]+)")


def _table(rows: Iterable[tuple[str, str, int, str, str]]) -> list[str]:
    return [
        "| port | direction | width | clock | what |",
        "|---|---|---|---|---|",
        *(
            f"| `{name}` | {way} | {width} | {clock} | {what} |"
            for name, way, width, clock, what in rows
        ),
    ]


def _stream_doc(stream: str, chip: Chip) -> str:
    """What goes through a stream of the chip or of a tile."""
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
        "The modules that you instantiate, or that you put your own in the place of. Those whose "
        "names begin with `caduceus_`, and `chip_tile`, `gdpu_slice` and `link`, are within them.",
        "",
        f"## {CHIP_TOP}",
        "",
        f"{chip.tiles} tiles and {chip.gdpu.slices} GDPU slices. What packets are made of, and "
        "where they go, is in `registers.md`, and so is what `s_axil` reads and writes.",
        "",
        *_component_table(designs[CHIP_TOP], chip),
        "",
        f"## {TILE_TOP}",
        "",
        "A tile alone: its registers behind AXI4-Lite, vectors on AXI4-Stream.",
        "",
        *_component_table(designs[TILE_TOP], chip),
        "",
        f"## {pcm_array.MODULE} and {emulated_array.MODULE}",
        "",
        f"The array of a tile: crossbar, converters and counters. `{pcm_array.MODULE}` is what "
        f"tiles instantiate. In `array/emulated` it has `{emulated_array.MODULE}` inside, which "
        "has the same ports and no parameters; in `array/black_box` it has nothing inside, for "
        "your own macro. Vectors of signed numbers are two's complement.",
        "",
        "| parameter | value | what |",
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
        "One in the clock of every tile and slice, and one in that of every array.",
        "",
        *_table(
            (
                ("clk", "input", 1, "", "clock"),
                ("enable", "input", 1, "`clk`", "the clock's next pulse goes through; it may come "
                 "late in the clock's high phase, and counts as it stands at the end of the low "
                 "one"),
                ("gated", "output", 1, "", "the clock while `enable` is 1; it may run always"),
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

- `rtl/`: the chip and a tile alone, a file a module, in Verilog-2005.
- `array/emulated/`: the array in block RAM and multipliers. It has conductances, converters and
  read noise; programming pulses do nothing.
- `array/black_box/`: the array's interface, for your own macro.
- `gate/free_running/`: the clock gate for targets without gated clocks. The clock runs always.
- `gate/latch/`: a clock gate with a latch (SystemVerilog), for simulation, and for targets that
  have no cell of their own.
- `{core}.core`: all of it for FuseSoC.
- `{TILE_TOP}.f`, `{CHIP_TOP}.f`, `{CHIP_TOP}_black_box.f`: lists of files for `-f`, relative to
  this folder.
- `ports.md`, `registers.md`: ports and registers.

Choose one `array` and one `gate`; `{TILE_TOP}` has no gates. With FuseSoC:

    fusesoc --cores-root . run --target lint {core}
    fusesoc --cores-root . run --target default --tool icarus --setup {core}

Targets are `default`, `black_box`, `tile`, `lint` and `lint_tile`. The flags `own_array`,
`own_gate` and `gated_clocks` of the first three choose: a core that depends on this one with
`own_array` brings its own module `{pcm_array.MODULE}`. Without `gated_clocks` the core takes the
gate of `gate/free_running/`; `{CHIP_TOP}_black_box.f` takes that of `gate/latch/`, which is
SystemVerilog (`-g2012` for Icarus).

No module has a parameter but `{pcm_array.MODULE}`, whose sizes the tile sets. The emulation is made
for one set of sizes: with another, elaboration ends at a missing module whose name says what the
size is.

## Clocks and resets

- `aclk` is the clock of all AXI ports and of the digital side (domain `sync` in
  descriptions), `mvm_clk` that of modulators and arrays (domain `mvm`); {sync} and {mvm} MHz by
  this chip's description. They may be unrelated. Results do not
  depend on their ratio.
- On an FPGA, drive both from one clock: then nothing crosses, and of what is below only the path
  from `aresetn` needs a constraint.
- `aresetn` is asynchronous and active low. Hold it for four clocks of the slower clock, with both
  clocks running. Each domain has its own synchroniser: the reset falls at once and rises with the
  clock. Inside, resets are synchronous.
- Flip-flops have initial values, as FPGAs load them. `{emulated_array.MODULE}` has no reset and
  relies on them; nothing else does once reset was held.
- Memories have initial values, too, and reset does not restore them. On a target that ignores
  `initial`, write all column constants before the first vector, and make the tables in
  `caduceus_fp16_tanh*` and `{emulated_array.MODULE}`'s `caduceus_emulated_noise`, which are only
  read, constants of your own.
- Clock gates: tiles, slices and arrays do the same whether their clocks stop or not.

With two clocks, tell your tools this:

- Single bits cross through two flip-flops in a row, in modules `caduceus_ff_synchronizer*`, and
  from each tile's `mvm_awake` to the first bit of `lately_*` in `{CHIP_TOP}`. Keep each pair close
  together. The path into the first flip-flop is false; so is the one from `aresetn` to the
  synchronisers in `caduceus_reset_synchronizer*`.
- The two flip-flops of a `caduceus_mailbox*` tell the other side that data beside it may be looked
  at: the staged vector, the number of a state, orders of pulses, and the counters. Beside it
  `mvm_clk` looks at the read mode and the reference current, which stay while a tile is busy. None
  of this is synchronised; it is there before the mailbox's toggle, which takes at least one more
  clock of the receiver to be seen. Limit these paths to a delay of one clock of the receiver,
  whatever the phases; do not declare them false.
- `{emulated_array.MODULE}` has memories that are written with one clock and read with the other,
  never at the same time. Words of a state (`state_write`) arrive with `read_clk`, counters leave
  with it.
"""
