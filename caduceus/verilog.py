"""`caduceus verilog`: the Verilog of a chip and of a tile alone, checked by three tools."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from caduceus.paths import BUILD
from hdl import pcm_array
from hdl.axi_tile import AxiTile
from hdl.chip import GDPU_MODULE, LINK_MODULE, TILE_MODULE, Link
from hdl.chip import Chip as DesignedChip
from hdl.chip_sources import GATE
from hdl.chip_tile import ChipTile
from hdl.gdpu_slice import GdpuSlice
from hdl.verilog import YOSYS, write
from spec import chip as chip_description
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from tb import runner

ARRAY = f"{pcm_array.MODULE}.v"
"""The array's interface as a black box."""
TILE, TILE_FILES = "axi_tile", ("axi_tile.v", ARRAY)
"""A tile alone, behind AXI."""
CHIP = "chip"
CHIP_FILES = (
    f"{CHIP}.v", f"{TILE_MODULE}.v", f"{GDPU_MODULE}.v", f"{LINK_MODULE}.v", GATE.name, ARRAY
)  # fmt: skip
"""The chip, the modules of all its tiles, GDPU slices and links, and the gate of their clocks."""
FILES = tuple(dict.fromkeys((*TILE_FILES, *CHIP_FILES)))

_TIME_LIMIT_SECONDS = 1200
"""Most that one tool may take; on two cores the largest chip takes Yosys a minute or two."""


@dataclass(frozen=True)
class Check:
    """A tool that reads the files.

    Attributes:
        name: names its log, too.
        what: what it shows if all is well, for people.
        simulator: the simulator whose version counts, if it is one.
        command: run in the folder of the files, with relative paths.
        silent: whether any output at all is a failure.
    """

    name: str
    what: str
    simulator: str | None
    command: tuple[str, ...]
    silent: bool


def _checks(top: str, files: tuple[str, ...]) -> tuple[Check, ...]:
    script = f"read_verilog -sv {' '.join(files)}; hierarchy -check -top {top}; proc; check -assert"
    return (
        Check(
            f"{top}-verilator", "no warning", "verilator",
            ("verilator", "--lint-only", "--quiet", "--top-module", top, *files), silent=True,
        ),
        Check(
            f"{top}-icarus", "compiles", "icarus",
            ("iverilog", "-g2012", "-t", "null", "-s", top, *files), silent=False,
        ),
        Check(
            f"{top}-yosys", "hierarchy -check, proc, check -assert pass", None,
            (sys.executable, "-c", YOSYS, "-p", script), silent=False,
        ),
    )  # fmt: skip


CHECKS = (*_checks(TILE, TILE_FILES), *_checks(CHIP, CHIP_FILES))


def write_files(chip: Chip, folder: Path) -> list[Path]:
    """Write `FILES` to `folder`: the same chip gives the same bytes.

    Raises:
        UserError: `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # All or none: a tile must not lie beside the array of another chip.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            place = Path(temporary)
            write(AxiTile(chip), TILE, place / f"{TILE}.v")
            write(ChipTile(chip), TILE_MODULE, place / f"{TILE_MODULE}.v")
            write(GdpuSlice(chip), GDPU_MODULE, place / f"{GDPU_MODULE}.v")
            write(Link(chip), LINK_MODULE, place / f"{LINK_MODULE}.v")
            write(DesignedChip(chip), CHIP, place / f"{CHIP}.v")
            shutil.copyfile(GATE, place / GATE.name)
            pcm_array.write_black_box(place / ARRAY, chip)
            return [(place / name).replace(folder / name) for name in FILES]
    except OSError as error:
        raise UserError(f"{folder}: cannot write the Verilog: {error.strerror}") from None


def check(folder: Path, which: Check) -> Path | None:
    """Let a tool read the files in `folder`; the log's path if it finds fault, else None.

    Raises:
        UserError: the tool is missing or too old, or the log cannot be written.
    """
    if which.simulator:
        runner.tool_version(which.simulator)
    # The packaged Yosys sees relative paths only, and the tools must leave nothing behind.
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in FILES:
            shutil.copyfile(folder / name, Path(place, name))
        finished, output = _run(which.command, Path(place))
    log = folder / f"{which.name}.log"
    write_whole(log, output, "log")
    return None if finished and not (which.silent and output.strip()) else log


def _run(command: Sequence[str], folder: Path) -> tuple[bool, str]:
    """Whether the command gave status 0, and all that it printed."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            timeout=_TIME_LIMIT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"ended after {_TIME_LIMIT_SECONDS} s\n"
    return done.returncode == 0, done.stdout


def run(chip_name: str, folder: Path | None, console: Console) -> bool:
    """Write the Verilog, check it, tell; returns whether every check passed.

    Args:
        chip_name: name or path of a chip description.
        folder: where the files go; `build/verilog/` and the chip's name if None.
        console: where the files and the verdicts are told.

    Raises:
        UserError: there is no such chip, a tool is missing, or `folder` cannot be written.
    """
    chip = chip_description.find(chip_name)
    folder = folder or BUILD / "verilog" / chip.name
    with console.status("writing"):
        files = write_files(chip, folder)
    for path in files:
        console.print(str(path), highlight=False, soft_wrap=True)
    passed = True
    for which in CHECKS:
        with console.status(which.name):
            log = check(folder, which)
        passed &= log is None
        verdict = which.what if log is None else f"FAILED, see {log}"
        console.print(f"{which.name}: {verdict}", highlight=False, soft_wrap=True)
    if not passed:
        console.print("The Verilog did not pass every check.", highlight=False)
    return passed
