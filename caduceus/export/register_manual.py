"""docs/registers.md, made from the tables in `spec`: registers, number formats and fabric."""

import sys
from collections.abc import Sequence

from caduceus.spec import fabric, formats, gdpu_registers, pcm_write_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.register import Register, RegisterField, RegisterTable

_SUMMARY = (registers.__doc__ or "").split("\n", 2)[2].strip()


_EXAMPLE = "hermes"


def _bits(field: RegisterField) -> str:
    return f"[{field.low + field.width - 1}:{field.low}]"


def _entries(table: RegisterTable, entry: str, word: str = "") -> str:
    """Where the entries of a table are."""
    return f"`{table.base:#x} + {entry} * {table.stride:#x}{word}`"


def _register_tables(found: Sequence[Register]) -> list[str]:
    """A line a register, then a line of what it does."""
    lines = [
        "| address | register | access | reset | locked | fields |",
        "|---|---|---|---|---|---|",
    ]
    for register in found:
        fields = "; ".join(
            f"`{field.name}` {_bits(field)} {field.doc}" for field in register.fields
        )
        lines.append(
            f"| `{register.address:#05x}` | `{register.name}` | {register.access} | "
            f"`{register.reset:#x}` | {'yes' if register.locked else ''} | {fields} |"
        )
    return [*lines, "", *(f"- `{register.name}`: {register.doc}" for register in found)]


def _part_table() -> list[str]:
    return [
        "## Parts of the input vector",
        "",
        f"{fabric.PARTS} entries at {_entries(registers.PART_TABLE, 'part')}, write only (reads "
        "give 0), locked. They say where a packet goes if PARTS is above 1, and are not reset; "
        "with GATHER.enable only their lengths count. Rows that there are not, or that do not "
        "begin with a multiple of `link.units`, are refused. See [fabric.md](fabric.md#parts).",
        "",
        "| bits | what |",
        "|---|---|",
        *(f"| {_bits(field)} | `{field.name}`: {field.doc} |" for field in registers.PART_FIELDS),
    ]


def _programming_tables() -> list[str]:
    targets = _entries(pcm_write_registers.TARGET_TABLE, "line")
    results = _entries(pcm_write_registers.RESULT_TABLE, "line")
    return [
        "## Targets and results of programming",
        "",
        "A word for each line of a diagonal, of which there are as many as rows or columns, "
        "whichever are fewer; see [pcm_write.md](pcm_write.md). Targets are at "
        f"{targets}, write only (reads give 0), locked, and not reset; one out of range is "
        f"refused. Results are at {results}, read only.",
        "",
        "| word | bits | what |",
        "|---|---|---|",
        *(
            f"| {word} | {_bits(field)} | `{field.name}`: {field.doc} |"
            for word, fields in (
                ("target", pcm_write_registers.TARGET_FIELDS),
                ("result", pcm_write_registers.RESULT_FIELDS),
            )
            for field in fields
        ),
    ]


def _route_table(chip: Chip) -> list[str]:
    sinks = ", ".join(f"{bit} `{name}`" for bit, name in enumerate(fabric.sinks(chip)))
    return [
        "## Route table",
        "",
        f"{fabric.STREAMS} entries, one a stream, at {_entries(registers.ROUTE_TABLE, 'stream')}, "
        "write only (reads give 0), locked. Empty after reset. See [fabric.md](fabric.md).",
        "",
        "| offset | bits | what |",
        "|---|---|---|",
        "| `0x0` | sinks | where packets of the stream go, a bit a sink; none means that there is "
        "no entry. The write stores the entry, with the slice that was written to this tile last: "
        "write that first. |",
        *(
            f"| `0x4` | {_bits(field)} | `{field.name}`: {field.doc} |"
            for field in registers.ROUTE_FIELDS
        ),
        "",
        "The slice of the payload is what the tile's own INPUT and RX get of it. `start` is "
        "rounded down to a multiple of `link.units`. Of both, the lowest "
        f"{fabric.payload_max(chip).bit_length()} bits count; one more where partial sums may be "
        "binary16.",
        "",
        f"Bits of the sinks on `{chip.name}`: {sinks}. On any chip: for each horizontal distance "
        "of `adjacency` one east and one west, for each vertical one south and one north, then "
        "`gdpu`, `host`, `input`, `rx`.",
    ]


def _chip_space(example: Chip) -> list[str]:
    size, window = registers.TILE_SPACE, example.tiles * registers.TILE_SPACE
    return [
        "## On a chip",
        "",
        f"Tile t's addresses begin at `t * {size:#x}`. After the last tile's comes the broadcast "
        f"window (`{window:#x}` on `{example.name}`, {example.tiles} tiles): a write to it goes to "
        "every tile at once and answers SLVERR if any tile refuses it, though others may have "
        "obeyed; a read answers SLVERR. Then come the spaces of the GDPU's slices, slice s's at "
        f"`(tiles + 1 + s) * {size:#x}` "
        f"(`{registers.slice_space(example.tiles, 0) * size:#x}` on). Every address after them "
        f"answers SLVERR. Addresses have {registers.ADDRESS_BITS} bits and as many as the number "
        "of the last space has: "
        f"{registers.chip_address_bits(example.tiles, example.gdpu.slices)} on `{example.name}`.",
    ]


def _slices() -> list[str]:
    tables = (("hidden", gdpu_registers.HIDDEN_TABLE), ("cell", gdpu_registers.CELL_TABLE))
    places = " and ".join(f"{_entries(table, 'unit')} ({name})" for name, table in tables)
    return [
        "## A GDPU slice",
        "",
        "Made from `caduceus/spec/gdpu_registers.py`; the rules are those of a tile's registers.",
        "",
        *_register_tables(gdpu_registers.REGISTERS),
        "",
        f"The states of its LSTM units are at {places}, a word each, read and write, locked, 0 "
        "after reset: the hidden state INT8 in the lowest byte, read with its sign, the cell state "
        "binary16.",
    ]


ORIGIN = (
    "Made from `caduceus/spec/registers.py` by "
    "`python -m caduceus.export.register_manual docs/registers.md`: change the table."
)
"""What the page says of itself."""


def render(chip: Chip | None = None) -> str:
    """The page's text, with `chip` as the example of sizes; `hermes` if None."""
    chip = chip or Chip.find(_EXAMPLE)
    lines = [
        "# Registers",
        "",
        ORIGIN,
        "",
        _SUMMARY,
        "",
        *_register_tables(registers.REGISTERS),
        "",
        "SHAPE and FEATURES show the chip's sizes; their reset values above are placeholders.",
        "",
        "## Column constants",
        "",
        f"binary16, at {_entries(registers.COLUMN_TABLE, 'column', ' + offset')}, read and write, "
        "locked.",
        "",
        "| offset | constant | reset | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{constant.index * 4:#x}` | `{constant.name}` | `{constant.reset:#06x}` | "
        f"{constant.doc} |"
        for constant in formats.COLUMN_CONSTANTS
    ]
    for section in (
        _part_table(), _programming_tables(), _route_table(chip), _chip_space(chip), _slices()
    ):  # fmt: skip
        lines += ["", *section]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_whole(sys.argv[1], render(), "register manual")
