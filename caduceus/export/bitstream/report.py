"""Resources and timing of a build, from the tools' own reports."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase as fnmatch
from typing import Any

from caduceus.spec.errors import UserError

REST = "links, bus, board"
BLOCKS = {
    "caduceus_input_modulator": "tile: modulator",
    "caduceus_tile_input_*": "tile: input",
    "caduceus_gather_*": "tile: input, gathering",
    "caduceus_input_assembler_*": "tile: input, assembly",
    "caduceus_ldpu": "tile: LDPU",
    "caduceus_tile_rx": "tile: RX",
    "caduceus_tile_output": "tile: output",
    "caduceus_pool": "tile: output, pooling",
    "caduceus_tile_registers_*": "tile: registers",
    "caduceus_pcm_write": "tile: PCM write",
    "caduceus_emulated_charge": "array: charge",
    "caduceus_emulated_adc": "array: converters",
    "caduceus_emulated_noise": "array: read noise",
    "caduceus_emulated_state": "array: state",
    "emulated_array": "array: rest",
    "gdpu_slice": "GDPU slice: rest",
    "caduceus_gdpu": "GDPU slice: units",
    "top.serial.bridge": "serial bridge",
}
"""Modules that keep their boundary in synthesis: pattern of the module's name, and the block's name
in the report. Logic outside of them is `REST`. The last module is not part of the package and keeps
the name that Amaranth gave it."""
LINKS = {"caduceus_link_controller": "tile: links", "chip_tile": "tile: rest"}
"""More of them, for a chip with so many tiles that flattening link controllers takes too long."""


def block_of(module: str, blocks: Mapping[str, str]) -> str | None:
    """Name of a module's block, or None if it belongs to `REST`."""
    return next((name for pattern, name in blocks.items() if fnmatch(module, pattern)), None)


_LUTS = re.compile(r"LUT[1-6]|INV")
_CARRIES = {"CCU2C": 2, "CARRY4": 0, "CARRY8": 0}
"""LUTs per carry cell; on Xilinx parts the LUTs in front of it are cells of their own."""
_MEMORIES = {"TRELLIS_DPR16X4": 6, "RAM32X1D": 2, "RAM64X1D": 2, "RAM32M": 4, "RAM64M": 4,
             "RAM32M16": 8, "RAM64M8": 8, "RAM128X1D": 4, "RAM256X1D": 8,
             "SRL16E": 1, "SRLC32E": 1}  # fmt: skip
"""LUTs per memory cell made of LUTs."""
_FLIP_FLOPS = re.compile(r"TRELLIS_FF|FD[RSCP]E(_1)?")
_BLOCKS_OF_RAM = {"DP16KD": 1, "PDPW16KD": 1, "RAMB18E1": 0.5, "RAMB36E1": 1, "RAMB18E2": 0.5,
                  "RAMB36E2": 1}  # fmt: skip
_MULTIPLIERS = re.compile(r"MULT18X18D|DSP48E[12]")

UTILIZATION = {
    "TRELLIS_COMB": "LUTs", "TRELLIS_FF": "flip-flops", "DP16KD": "block RAMs",
    "MULT18X18D": "multipliers",
}  # fmt: skip
"""nextpnr's names of the resources, and ours."""


@dataclass(frozen=True)
class Resources:
    """FPGA resources of a block.

    Attributes:
        luts: look-up tables, including those of adders and of LUT memories.
        flip_flops: registers in logic.
        ram: block RAMs, of 18 kbit on ECP5, of 36 kbit on Xilinx parts.
        multipliers: of 18x18 bits on ECP5, DSP48s on Xilinx parts.
    """

    luts: int = 0
    flip_flops: int = 0
    ram: float = 0
    multipliers: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        mine, others = asdict(self), asdict(other)
        return Resources(**{name: mine[name] + others[name] for name in mine})

    def times(self, count: int) -> "Resources":
        """Resources of `count` such blocks."""
        return Resources(**{name: value * count for name, value in asdict(self).items()})


def resources(cells: Mapping[str, int]) -> Resources:
    """Resources of FPGA cells, given their count by type."""
    found = Resources()
    for kind, count in cells.items():
        luts = _CARRIES.get(kind, _MEMORIES.get(kind, 1 if _LUTS.fullmatch(kind) else 0))
        one = Resources(
            luts,
            int(bool(_FLIP_FLOPS.fullmatch(kind))),
            _BLOCKS_OF_RAM.get(kind, 0),
            int(bool(_MULTIPLIERS.fullmatch(kind))),
        )
        found += one.times(count)
    return found


@dataclass(frozen=True)
class Block:
    """A kind of block: number of instances, and resources of one without the blocks inside it."""

    name: str
    count: int
    each: Resources


def blocks(statistics: Mapping[str, Any], top: str) -> list[Block]:
    """Blocks of the design, largest first, from the JSON of Yosys's `stat`.

    Raises:
        UserError: the JSON has another format.
    """
    try:
        modules = {
            name.removeprefix("\\"): Counter(module["num_cells_by_type"])
            for name, module in statistics["modules"].items()
        }
        counts: Counter[str] = Counter()

        def visit(name: str, times: int) -> None:
            counts[name] += times
            for kind, number in modules[name].items():
                if (inner := kind.removeprefix("\\")) in modules:
                    visit(inner, times * number)

        visit(top, 1)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"Yosys's statistics: unexpected format: {error!r}") from None
    found: dict[str, Block] = {}
    for module, count in counts.items():
        each = resources(modules[module])
        name = block_of(module, {**BLOCKS, **LINKS})
        if name:
            found[module] = Block(name, count, each)
        else:
            rest = found.get("", Block(REST, 1, Resources()))
            found[""] = Block(REST, 1, rest.each + each.times(count))
    return sorted(found.values(), key=lambda block: -block.count * block.each.luts)


def total(of: list[Block]) -> Resources:
    """Resources of all blocks together."""
    return sum((block.each.times(block.count) for block in of), Resources())


@dataclass(frozen=True)
class Step:
    """A cell on a path: its hierarchical name, and the time of its output's arrival in ns."""

    name: str
    nanoseconds: float


@dataclass(frozen=True)
class Timing:
    """Timing of the chip's clock.

    Attributes:
        wanted, reached: target and achieved frequency in MHz.
        path: the slowest path from register to register.
        routing: nanoseconds of that path spent in wires.
    """

    wanted: float
    reached: float
    path: tuple[Step, ...]
    routing: float

    @property
    def met(self) -> bool:
        """Whether the clock reaches its target."""
        return self.reached >= self.wanted

    @property
    def nanoseconds(self) -> float:
        """Delay of the slowest path."""
        return self.path[-1].nanoseconds if self.path else 0


def timing(report: Mapping[str, Any]) -> Timing:
    """Timing of the fastest clock in nextpnr's report, which is the chip's.

    Raises:
        UserError: the report has no clock or another format.
    """
    try:
        clock = max(report["fmax"], key=lambda name: report["fmax"][name]["constraint"])
        rates = report["fmax"][clock]
        edge = f"posedge {clock}"
        parts = next(
            (each["path"] for each in report["critical_paths"]
             if each["from"] == edge and each["to"] == edge),
            [],
        )  # fmt: skip
        at, steps, routing = 0.0, [], 0.0
        for part in parts:
            at += part["delay"]
            if part["type"] == "routing":
                routing += part["delay"]
            else:
                steps.append(Step(part["to"]["cell"], round(at, 3)))
        return Timing(
            rates["constraint"], round(rates["achieved"], 2), tuple(steps), round(routing, 3)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"nextpnr's report: unexpected format: {error!r}") from None


_GENERATED = re.compile(
    r"(_(TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|DP16KD|MULT18X18D|TRELLIS_DPR16X4)"
    r"|\$|_COMB|_SLICE|\.\d+_).*$"
)


def plain(cell: str) -> str:
    """A cell's name without the suffix that tools add to the signal's name."""
    return _GENERATED.sub("", cell).removeprefix("serial.chip.")


def places(path: tuple[Step, ...]) -> list[Step]:
    """Signals along a path, each once, with the time at its last cell."""
    found: list[Step] = []
    for step in path:
        name = plain(step.name)
        if not name:
            continue  # a cell that only a tool knows
        if found and found[-1].name == name:
            found.pop()
        found.append(Step(name, step.nanoseconds))
    return found
