"""Generate docs/registers.md from the tables in `spec`."""

import argparse
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
    """Address of a table's entries, as a formula."""
    return f"`{table.base:#x} + {entry} * {table.stride:#x}{word}`"


def _register_tables(found: Sequence[Register]) -> list[str]:
    """One table row per register, then one list item per register with its description."""
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
        f"{fabric.PARTS} entries at {_entries(registers.PART_TABLE, 'part')}, write-only (reads "
        "give 0), locked. If PARTS is above 1, they give the rows of each part; with GATHER.enable "
        "only the lengths are used. Reset does not change them. A write is refused if the rows "
        "exceed the array, or if `start` is not a multiple of `link.units`. See "
        "[fabric.md](fabric.md#parts).",
        "",
        "| bits | field |",
        "|---|---|",
        *(f"| {_bits(field)} | `{field.name}`: {field.doc} |" for field in registers.PART_FIELDS),
    ]


def _pcm_write_tables() -> list[str]:
    targets = _entries(pcm_write_registers.TARGET_TABLE, "line")
    results = _entries(pcm_write_registers.RESULT_TABLE, "line")
    return [
        "## Targets and results of PCM writes",
        "",
        "One word per line of a diagonal. The number of lines is that of rows or columns, "
        "whichever are fewer; see [pcm_write.md](pcm_write.md). Targets are at "
        f"{targets}, write-only (reads give 0), locked, and unchanged by reset; a target out of "
        f"range is refused. Results are at {results}, read-only.",
        "",
        "| word | bits | field |",
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
        f"{fabric.STREAMS} entries, one per stream, at "
        f"{_entries(registers.ROUTE_TABLE, 'stream')}, write-only (reads give 0), locked. Empty "
        "after reset. See [fabric.md](fabric.md).",
        "",
        "| offset | bits | field |",
        "|---|---|---|",
        "| `0x0` | sinks | mask of the sinks of the stream's packets, one bit per sink; 0: no "
        "entry. The write stores the entry together with the slice last written to this tile, so "
        "write offset `0x4` first. |",
        *(
            f"| `0x4` | {_bits(field)} | `{field.name}`: {field.doc} |"
            for field in registers.ROUTE_FIELDS
        ),
        "",
        "The tile's own INPUT and RX receive this slice of the payload. `start` is rounded down to "
        "a multiple of `link.units`. `start` and `length` use their lowest "
        f"{fabric.payload_max(chip).bit_length()} bits on `{chip.name}`, where the longest payload "
        f"has {fabric.payload_max(chip)} bytes.",
        "",
        f"Bits of the sinks on `{chip.name}`: {sinks}. On any chip: east and west for each "
        "horizontal distance in `adjacency`, south and north for each vertical one, then `gdpu`, "
        "`host`, `input`, `rx`.",
    ]


def _chip_space(example: Chip) -> list[str]:
    size, window = registers.TILE_SPACE, example.tiles * registers.TILE_SPACE
    return [
        "## On a chip",
        "",
        f"Tile t's addresses begin at `t * {size:#x}`. The broadcast window follows the last tile "
        f"(`{window:#x}` on `{example.name}`, {example.tiles} tiles): a write to it goes to "
        "all tiles at once and answers SLVERR if any tile refuses it, although others may have "
        "accepted it; a read answers SLVERR. The spaces of the GDPU slices follow: slice s begins "
        f"at `(tiles + 1 + s) * {size:#x}` "
        f"(`{registers.slice_space(example.tiles, 0) * size:#x}` for slice 0). Addresses beyond "
        f"the last slice answer SLVERR. An address has {registers.ADDRESS_BITS} bits within a "
        "space and above them the number of the space: "
        f"{registers.chip_address_bits(example.tiles, example.gdpu.slices)} bits on "
        f"`{example.name}`.",
    ]


def _slices() -> list[str]:
    tables = (("hidden", gdpu_registers.HIDDEN_TABLE), ("cell", gdpu_registers.CELL_TABLE))
    places = " and ".join(f"{_entries(table, 'unit')} ({name})" for name, table in tables)
    return [
        "## A GDPU slice",
        "",
        "Made from `caduceus/spec/gdpu_registers.py`; the rules of a tile's registers apply.",
        "",
        *_register_tables(gdpu_registers.REGISTERS),
        "",
        f"The states of the LSTM units are at {places}, one word per unit, read and write, locked, "
        "0 after reset. The hidden state is INT8 in the lowest byte and reads sign-extended; the "
        "cell state is binary16.",
    ]


ORIGIN = (
    "Made from `caduceus/spec/registers.py` by "
    "`python -m caduceus.export.register_manual docs/registers.md`: change the table."
)
"""The page's note on its origin."""


def render(chip: Chip | None = None) -> str:
    """The page's text; its examples are of `chip`, or of `hermes` if None."""
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
        "SHAPE and FEATURES read the chip's sizes; their reset values above are placeholders.",
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
        _part_table(), _pcm_write_tables(), _route_table(chip), _chip_space(chip), _slices()
    ):  # fmt: skip
        lines += ["", *section]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the register manual.")
    parser.add_argument("path", metavar="PATH", help="File to write, such as docs/registers.md.")
    write_whole(parser.parse_args().path, render(), "register manual")
