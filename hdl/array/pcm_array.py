"""The PCM macro of a tile as a component, and the sources of its behavioral model.

The macro is analog: the design always instantiates the Verilog module `pcm_array`, which has
several implementations. For simulation it is `pcm_array.sv` with the sources in `_SOURCES`; for
synthesis, the macro itself or an emulation.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, Shape, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from caduceus.spec import formats, pcm_state, pcm_write, read_noise
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.formats import Steer
from caduceus.spec.pcm_write import Pulse
from caduceus.spec.shipped import shipped_folder

MODULE = "pcm_array"
CLOCKS = {"clk": "mvm", "read_clk": "sync"}
"""The module's clock inputs and the domains that drive them."""

_FOLDER = shipped_folder(__package__)
_SOURCES = ("read_noise.sv", "adc.sv", "pcm_memory.sv", "pcm_devices.sv", "pcm_array.sv")

DOCS = {
    "clk": "Clock of the array, domain `mvm`.",
    "state_load": "Pulse of one clock: load state number `state_index` into the devices. Only "
    "while no window is open. The next `clear` starts at read index 0.",
    "state_index": "Number of the state; sampled with `state_load`.",
    "state_write": "Store `state_data` as the next word of state number "
    f"{pcm_state.WRITTEN}. Domain `sync`; only while no window is open.",
    "state_first": "With `state_write`: this is the first word of the state.",
    "state_data": "A word of a state (layout in `caduceus/spec/pcm_state.py`).",
    "state_busy": "The state is still being loaded; always 0 in the behavioral model.",
    "pulse_add": "Row drives, one bit per row. In each clock with `integrate`, a row with its bit "
    "set receives one slot of positive input.",
    "pulse_sub": "Row drives of negative input, one bit per row. `pulse_add` and `pulse_sub` "
    "together cancel.",
    "select_plus": "Connects the devices g1+ and g2+. Stable from the first slot to the last.",
    "select_minus": "Connects the devices g1- and g2-, which count negative. Stable from the first "
    "slot to the last.",
    "steer": "Destination of the window's charge: 0 by its sign, positive to P and negative to N; "
    "1 its magnitude to P; 2 its magnitude to N. Stable from the first slot to the last.",
    "reference_level": "0: the cells are connected. Otherwise they are disconnected, and this "
    "signed reference current flows in every column: that many units of charge per slot of "
    "`integrate`, whatever the row drives are. Stable from the first slot to the last.",
    "bank": "Counter bank to clear and to count into. Stable from the first slot to the last.",
    "clear": "Pulse of one clock before the first window of an MVM, outside of windows: zeroes the "
    "counters of `bank`, advances the read index, and restarts the count of windows.",
    "integrate": "A window, with one slot per clock. In the first clock in which it is 0 again, "
    "the window's charge is converted and added to the counters of its bank.",
    "busy": "A conversion is in progress; always 0 in the behavioral model. A conversion longer "
    "than one clock sets it from the first clock without `integrate` on. The counters of a bank "
    "may be read when its last window is over and `busy` is 0.",
    "diagonal": "Diagonal of cells for PCM-write pulses and verify reads. Stable from the first "
    "clock of a pulse or window to the one after its last, as are `device`, `verify` and `line`.",
    "device": "Device of those cells: 0 g1+, 1 g2+, 2 g1-, 3 g2-.",
    "verify": "Makes a window a verify read: only the selected device of each cell of the diagonal "
    "is connected, and g- devices count negative. `select_plus`, `select_minus` and "
    "`reference_level` have no effect.",
    "line": "Number of the line that each head drives, among the head's lines.",
    "heat": "A PCM-write pulse: each head that is on drives its line and heats one device. Not "
    "within a window, nor during a state load. The devices change in the first clock in which it "
    "is 0 again.",
    "heat_set": "With `heat`: 0 a square pulse with the heads' amplitudes; 1 a SET pulse, whose "
    "current and trailing edge the heads generate.",
    "read_clk": "Clock of the counters' readout and of the heads' latches, domain `sync`.",
    "head_write": "Store `head_on` and `head_amplitude` in the latch of head number `head`. Not "
    "during a pulse; a pulse may begin in the next clock of `clk`.",
    "head": "Number of a head. Head h drives lines h * HEAD_LINES to (h + 1) * HEAD_LINES - 1, "
    "where HEAD_LINES is the number of lines divided by HEADS, rounded up.",
    "head_on": "The head takes part in the next pulses.",
    "head_amplitude": "Current of the head's square pulses, from 0 (125 uA) to 255 (700 uA).",
    "read_enable": "Read the counters of a group of columns, in a bank that no window counts into.",
    "read_bank": "Bank to read.",
    "read_group": "Group to read: columns `read_group * LANES` to `read_group * LANES + LANES "
    "- 1`.",
    "read_p": "P counters of the group, lowest column in the lowest bits; valid from the clock "
    "after `read_enable` until the next read.",
    "read_n": "N counters of the group, like `read_p`.",
}

PARAMETER_DOCS = {
    "ROWS": "Rows of the array.",
    "COLUMNS": "Columns of the array.",
    "LANES": "Columns per read; divides COLUMNS.",
    "PHASE_LIMIT": "Count at which the conversion of one window saturates.",
    "HEADS": "Write heads in use.",
    "GROUP_BITS": "Derived from the other parameters.",
}

_EMPTY_MODULE_RULES = ("UNDRIVEN", "UNUSEDSIGNAL", "UNUSEDPARAM")

_PCM_WRITE = (
    "DIAGONAL_BITS", "LINE_BITS", "HEAD_BITS", "AMPLITUDE_BITS", "AMPLITUDE_MAX",
    "AMPLITUDE_FRACTION", "SET_MEAN", "SET_SPREAD", "SET_LIMIT", "SET_NOISE", "SHIFT_SPREAD",
    "JITTER", "RESET_NOISE", "STUCK_SAMPLE", "MELT_AMPLITUDE", "GROWTH", "GROWTH_FRACTION",
    "CURVE_FRACTION", "ROW_SHIFT",
)  # fmt: skip
"""Constants of `caduceus.spec.pcm_write` that the model uses."""
_DOMAINS = ("DOMAIN_SET", "DOMAIN_SHIFT", "DOMAIN_PULSE")

_WIDTHS = {
    "pulse_add": "ROWS",
    "pulse_sub": "ROWS",
    "read_group": "GROUP_BITS",
    "read_p": f"LANES * {formats.COUNT_BITS}",
    "read_n": f"LANES * {formats.COUNT_BITS}",
}
"""Port widths that depend on the module's parameters; the others are fixed."""


def ports(chip: Chip) -> dict[str, Member]:
    """All ports except clocks, in the module's order."""
    rows, word = chip.array.rows, chip.ldpu.lanes * formats.COUNT_BITS
    return {
        "state_load": In(1),
        "state_index": In(16),
        "state_write": In(1),
        "state_first": In(1),
        "state_data": In(32),
        "state_busy": Out(1),
        "pulse_add": In(rows),
        "pulse_sub": In(rows),
        "select_plus": In(1),
        "select_minus": In(1),
        "steer": In(Steer),
        "reference_level": In(signed(formats.REFERENCE_BITS)),
        "bank": In(1),
        "clear": In(1),
        "integrate": In(1),
        "busy": Out(1),
        "diagonal": In(pcm_write.DIAGONAL_BITS),
        "device": In(range(len(formats.DEVICES))),
        "verify": In(1),
        "line": In(pcm_write.LINE_BITS),
        "heat": In(1),
        "heat_set": In(Pulse),
        "head_write": In(1),
        "head": In(pcm_write.HEAD_BITS),
        "head_on": In(1),
        "head_amplitude": In(pcm_write.AMPLITUDE_BITS),
        "read_enable": In(1),
        "read_bank": In(1),
        "read_group": In(range(max(2, chip.column_groups))),
        "read_p": Out(word),
        "read_n": Out(word),
    }


class PcmArray(wiring.Component):
    """The PCM array of one tile with its converters and counters.

    A window is a run of clocks with `integrate`. It converts row pulses and device conductances to
    charge on the columns, and the charge to counts (the law is in `adc.sv`) in one of two counter
    banks, while the other may be read. An MVM is `clear` followed by the windows of its read mode
    (`caduceus.spec.formats.PHASES`), with at least one clock between windows.

    Latency: of the conversion, see `busy` in `DOCS`; of a read, one clock.

    Ports are those of the Verilog module except its clocks, which are the domains `mvm` and, for
    the `read_*` ports, `sync`. There is no reset: `state_load` and `clear` set the initial state.

    Attributes (domain `mvm`), each documented in `DOCS`:
        state_load, state_index, state_busy: load of the devices' state.
        pulse_add, pulse_sub: row drives, one bit per row.
        select_plus, select_minus, steer, reference_level, bank: configuration of a window.
        clear, integrate, busy: sequence of an MVM.
        diagonal, device: the devices to write or verify. verify: the window is a verify read.
        line, heat, heat_set: PCM-write pulses.

    Attributes (domain `sync`):
        head_write, head, head_on, head_amplitude: the latches of the write heads.
        read_enable, read_bank, read_group: the counters to read.
        read_p, read_n: `lanes` counters of 12 bits each, one clock after `read_enable`.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        super().__init__(ports(chip))

    def elaborate(self, platform: object) -> Module:
        """Instantiate the macro, with no other logic."""
        m = Module()
        connected = {
            f"{'i' if member.flow == In else 'o'}_{name}": getattr(self, name)
            for name, member in self.signature.members.items()
        }
        clocks = {f"i_{name}": ClockSignal(domain) for name, domain in CLOCKS.items()}
        parameters = {f"p_{name}": value for name, value in module_parameters(self._chip).items()}
        m.submodules.macro = Instance(MODULE, **parameters, **clocks, **connected)
        return m


def module_parameters(chip: Chip) -> dict[str, int]:
    """Parameters of the Verilog module for `chip`."""
    return {
        "ROWS": chip.array.rows,
        "COLUMNS": chip.array.columns,
        "LANES": chip.ldpu.lanes,
        "PHASE_LIMIT": chip.adc.phase_limit,
        "HEADS": pcm_write.heads(chip),
    }


def write_sources(folder: Path, chip: Chip) -> list[Path]:
    """Sources of the behavioral model, in compilation order.

    The first, with the constants of `spec/` and the sizes of `chip` as default parameters, is
    written to `folder`; the others are this package's.

    Raises:
        UserError: `folder` cannot be written.
    """
    tables = folder / "pcm_tables.sv"
    write_whole(tables, _tables(chip), "constants of the array")
    return [tables, *(_FOLDER / name for name in _SOURCES)]


def _tables(chip: Chip) -> str:
    """A SystemVerilog package of the constants in `spec/` that the model uses."""
    integers = {
        **module_parameters(chip),
        "COUNT_BITS": formats.COUNT_BITS,
        "COUNT_MAX": formats.COUNT_MAX,
        "GAIN_FRACTION": formats.GAIN_FRACTION,
        "OFFSET_FRACTION": formats.OFFSET_FRACTION,
        "NOISE_FRACTION": formats.NOISE_FRACTION,
        "SAMPLE_FRACTION": formats.SAMPLE_FRACTION,
        "COLUMNS_PER_DRAW": read_noise.COLUMNS_PER_DRAW,
        "PHILOX_ROUNDS": read_noise.PHILOX_ROUNDS,
        "MEMORY_HEADER_WORDS": pcm_state.MEMORY_HEADER_WORDS,
        "MEMORY_COLUMN_WORDS": pcm_state.MEMORY_COLUMN_WORDS,
        "WRITTEN": pcm_state.WRITTEN,
        "DEVICE_MAX": formats.DEVICE_MAX,
        **{name: getattr(pcm_write, name) for name in _PCM_WRITE},
        "CURVE_BITS": max(pcm_write.CURVE).bit_length(),
    }
    words = {
        "MEMORY_MAGIC": pcm_state.MEMORY_MAGIC,
        **{name: getattr(pcm_write, name) for name in _DOMAINS},
        **{f"PHILOX_MULTIPLIER_{i}": word for i, word in enumerate(read_noise.PHILOX_MULTIPLIERS)},
        **{f"PHILOX_WEYL_{i}": word for i, word in enumerate(read_noise.PHILOX_WEYL)},
    }
    bits = max(level.bit_length() for level in read_noise.QUANTILES) + 1
    lines = [
        "// Constants of spec/ for the behavioral PCM array. Generated: do not edit.",
        "/* verilator lint_off UNUSEDPARAM */",
        "package pcm_tables;",
        *(f"    localparam int {name} = {value};" for name, value in integers.items()),
        *(f"    localparam [31:0] {name} = 32'h{value:08x};" for name, value in words.items()),
        *(f"    localparam [1:0] STEER_{steer.name} = 2'd{steer.value};" for steer in Steer),
        f"    localparam int QUANTILE_BITS = {bits};",
        *_vector("QUANTILES", read_noise.QUANTILES, bits),
        *_vector("CURVE", pcm_write.CURVE, integers["CURVE_BITS"]),
        "endpackage",
        "/* verilator lint_on UNUSEDPARAM */",
    ]
    return "\n".join(lines) + "\n"


def _vector(name: str, values: Sequence[int], bits: int) -> list[str]:
    """A table as one vector, with the first value in the lowest bits."""
    mask = (1 << bits) - 1
    words = ",\n        ".join(f"{bits}'d{value & mask}" for value in reversed(values))
    return [f"    localparam [{len(values)}*{bits}-1:0] {name} = {{", f"        {words}", "    };"]


def header(chip: Chip) -> str:
    """The head of the Verilog module, up to the end of its port list, with documented ports.

    Sizes are parameters; those of `chip` are the defaults.
    """
    parameters = {
        **module_parameters(chip),
        "GROUP_BITS": "COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1",
    }
    lines = [
        f"module {MODULE} #(",
        ",\n".join(
            f"    // {PARAMETER_DOCS[name]}\n    parameter {name} = {value}"
            for name, value in parameters.items()
        ),
        ") (",
        ",\n".join(_declaration(name, chip) for name in DOCS),
        ");",
    ]
    return "\n".join(lines) + "\n"


def black_box(chip: Chip) -> str:
    """The Verilog module without content.

    To synthesize a tile, replace it with the macro or an emulation.
    """
    lines = [
        "// The PCM array of a tile, an analog macro, as a black box. Replace it with the macro "
        "itself,",
        "// an emulation, or a model for simulation.",
        "",
        *(f"/* verilator lint_off {rule} */" for rule in _EMPTY_MODULE_RULES),
        "(* blackbox *)",
        header(chip) + "endmodule",
        *(f"/* verilator lint_on {rule} */" for rule in _EMPTY_MODULE_RULES),
    ]
    return "\n".join(lines) + "\n"


def write_black_box(path: Path, chip: Chip) -> Path:
    """Write the `black_box` to `path`.

    Raises:
        UserError: `path` cannot be written.
    """
    write_whole(path, black_box(chip), "black box")
    return path


def _declaration(name: str, chip: Chip) -> str:
    """A port's declaration, with its documentation above."""
    direction, width = "input", 1
    if name not in CLOCKS:
        member = ports(chip)[name]
        direction = "input" if member.flow == In else "output"
        width = Shape.cast(member.shape).width
    size = _WIDTHS.get(name, str(width))
    field = "" if size == "1" else f"[{size} - 1:0] "
    wrapped = textwrap.wrap(DOCS[name], width=90)
    return "\n".join([*(f"    // {line}" for line in wrapped), f"    {direction} {field}{name}"])
