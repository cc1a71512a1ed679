"""docs/registers.md, made from the tables in `spec.registers`, `spec.formats` and `spec.fabric`."""

from caduceus.paths import REPOSITORY
from spec import chip as chips
from spec import fabric, formats, registers
from spec.files import write_whole

PAGE = REPOSITORY / "docs" / "registers.md"
_SUMMARY = (registers.__doc__ or "").split("\n", 2)[2].strip()


_EXAMPLE = "hermes"


def _route_table() -> list[str]:
    chip = chips.find(_EXAMPLE)
    base, stride = registers.ROUTE_BASE, registers.ROUTE_STRIDE
    slice_bits = fabric.payload_max(chip).bit_length()
    sinks = ", ".join(f"{bit} `{name}`" for bit, name in enumerate(fabric.sinks(chip)))
    return [
        "## Route table",
        "",
        f"{fabric.STREAMS} entries, one a stream, at `{base:#x} + stream * {stride:#x}`, write "
        "only (reads give 0), locked. Empty after reset. See [fabric.md](fabric.md).",
        "",
        "| offset | bits | what |",
        "|---|---|---|",
        "| `0x0` | sinks | where packets of the stream go, a bit a sink; none means that there is "
        "no entry. The write stores the entry, with the slice that was written to this tile last: "
        "write that first. |",
        f"| `0x4` | [{slice_bits - 1}:0] | `start`: the first byte of the payload that the tile's "
        "own INPUT or RX gets, rounded down to a multiple of `link.units` |",
        f"| `0x4` | [{slice_bits + 15}:16] | `length`: how many it gets |",
        "",
        "Where partial sums may be binary16, `start` and `length` have a bit more.",
        "",
        f"Bits of the sinks on `{_EXAMPLE}`: {sinks}. On any chip: for each horizontal distance of "
        "`adjacency` one east and one west, for each vertical one south and one north, then "
        "`host`, `input`, `rx`.",
    ]


def _chip_space() -> list[str]:
    example = chips.find(_EXAMPLE)
    size, window = registers.TILE_SPACE, example.tiles * registers.TILE_SPACE
    return [
        "## On a chip",
        "",
        f"Tile t's addresses begin at `t * {size:#x}`. After the last tile's comes the broadcast "
        f"window (`{window:#x}` on `{_EXAMPLE}`, {example.tiles} tiles): a write to it goes to "
        "every tile at once and answers SLVERR if any tile refuses it, though others may have "
        "obeyed; a read answers SLVERR, and so does every address after it. Addresses have "
        f"{registers.ADDRESS_BITS} bits and as many as the number of tiles has: "
        f"{registers.chip_address_bits(example.tiles)} on `{_EXAMPLE}`.",
    ]


def render() -> str:
    """The page's text."""
    lines = [
        "# Registers",
        "",
        "Made from `spec/registers.py` by `python -m caduceus.register_manual`: change the table.",
        "",
        _SUMMARY,
        "",
        "| address | register | access | reset | locked | fields |",
        "|---|---|---|---|---|---|",
    ]
    for register in registers.REGISTERS:
        fields = "; ".join(
            f"`{field.name}` [{field.low + field.width - 1}:{field.low}] {field.doc}"
            for field in register.fields
        )
        lines.append(
            f"| `{register.address:#05x}` | `{register.name}` | {register.access} | "
            f"`{register.reset:#x}` | {'yes' if register.locked else ''} | {fields} |"
        )
    lines += ["", "## What they do", ""]
    lines += [f"- `{register.name}`: {register.doc}" for register in registers.REGISTERS]
    lines += [
        "",
        "SHAPE and FEATURES show the chip's sizes; their reset values above are placeholders.",
        "",
        "## Column constants",
        "",
        f"binary16, at `{registers.COLUMN_BASE:#x} + column * {registers.COLUMN_STRIDE:#x} + "
        "offset`, read and write, locked.",
        "",
        "| offset | constant | reset | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{constant.index * 4:#x}` | `{constant.name}` | `{constant.reset:#06x}` | "
        f"{constant.doc} |"
        for constant in formats.COLUMN_CONSTANTS
    ]
    lines += ["", *_route_table(), "", *_chip_space()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_whole(PAGE, render(), "register manual")
