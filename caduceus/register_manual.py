"""docs/registers.md, made from the tables in `spec.registers` and `spec.formats`."""

from caduceus.paths import REPOSITORY
from spec import formats, registers
from spec.files import write_whole

PAGE = REPOSITORY / "docs" / "registers.md"
_SUMMARY = (registers.__doc__ or "").split("\n", 2)[2].strip()


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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_whole(PAGE, render(), "register manual")
