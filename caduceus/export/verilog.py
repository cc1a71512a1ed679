"""`caduceus verilog`: the Verilog package of a chip, checked by four tools."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console

from caduceus.export.package.contents import Design, Package, package
from caduceus.export.package.core_file import CORE_PREFIX
from caduceus.hdl.common.verilog import YOSYS
from caduceus.sim import executables, runner
from caduceus.sim.run_files import demand_own
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder

_TIME_LIMIT_SECONDS = 1200
"""Most that one tool may take; on two cores the largest chip takes Yosys a minute or two."""

_SLANG = """
import sys
from pyslang.driver import Driver
driver = Driver()
driver.addStandardArgs()
good = (
    driver.parseCommandLine(" ".join(["slang", *sys.argv[1:]]))
    and driver.processOptions()
    and driver.parseAllSources()
    and driver.runFullCompilation(True)
)
sys.exit(not good)
"""
"""Python that runs slang with the arguments after it; it is silent unless it finds fault."""
_SLANG_RULES = ("-Wextra", "-Wwidth-trunc", "-Wwidth-expand", "-Wport-width-trunc", "-Werror")


@dataclass(frozen=True)
class Check:
    """A tool that reads a design.

    Attributes:
        name: names its log, too.
        what: what it shows if all is well, for people.
        simulator: the simulator whose version counts, if it is one.
        command: run in the folder of the package, with relative paths.
        design: whose files it reads.
        silent: whether any output at all is a failure; otherwise the word "Warning" is one.
    """

    name: str
    what: str
    simulator: str | None
    command: tuple[str, ...]
    design: Design
    silent: bool


def checks(designs: Sequence[Design]) -> list[Check]:
    """Every tool on every design, but Verilator's lint, which flattens, where that takes long.

    Of such a chip it has seen the arrays in a tile alone, and the rest around black boxes.
    """
    return [
        each for design in designs for each in _checks(design)
        if not (design.emulates_many and each.simulator == "verilator")
    ]  # fmt: skip


def _checks(design: Design) -> tuple[Check, ...]:
    top, files = design.top, design.files
    script = f"read_verilog -sv {' '.join(files)}; hierarchy -check -top {top}; proc; check -assert"
    return (
        Check(
            f"{design.name}-verilator", "no warning", "verilator",
            ("verilator", "--lint-only", "--quiet", "--top-module", top, *files), design,
            silent=True,
        ),
        Check(
            f"{design.name}-icarus", "no warning", "icarus",
            ("iverilog", "-g2012", "-Wall", "-t", "null", "-s", top, *files), design, silent=True,
        ),
        Check(
            f"{design.name}-yosys", "no warning from hierarchy -check, proc, check -assert", None,
            (sys.executable, "-c", YOSYS, "-p", script), design, silent=False,
        ),
        Check(
            f"{design.name}-slang", "no warning, widths included", None,
            (sys.executable, "-c", _SLANG, *_SLANG_RULES, "--top", top, *files), design,
            silent=True,
        ),
    )  # fmt: skip


def write_files(chip: Chip, folder: Path) -> Package:
    """Write the package of `chip` to `folder`: the same chip gives the same bytes.

    What an earlier package had there and this one has not goes.

    Raises:
        UserError: `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # All or none: a tile must not lie beside the array of another chip.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            place = Path(temporary)
            made = package(chip, place)
            for name, text in made.files.items():
                write_whole(place / name, text, "Verilog package")
            stale = _listed(folder) - set(made.files)
            # First what `run` knows the folder by, should this be ended in between.
            for name in sorted(made.files, key=lambda name: not name.endswith(".core")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).replace(folder / name)
            for name in stale:
                (folder / name).unlink(missing_ok=True)
            return made
    except OSError as error:
        raise UserError(f"{folder}: cannot write the Verilog: {error.strerror}") from None


def _listed(folder: Path) -> set[str]:
    """Files that the lists of an earlier package name, of those that are within `folder`."""
    names = {
        name
        for path in folder.glob("*.f")
        for name in path.read_text(encoding="utf-8", errors="replace").splitlines()
    }
    places = ("rtl", "array", "gate")
    return {
        name for name in names
        if (parts := PurePosixPath(name).parts) and parts[0] in places and ".." not in parts
    }  # fmt: skip


def check(folder: Path, which: Check) -> Path | None:
    """Let a tool read the files in `folder`; the log's path if it finds fault, else None.

    Raises:
        UserError: the tool is missing or too old, or the log cannot be written.
    """
    if which.simulator:
        runner.tool_version(which.simulator)
    # The packaged Yosys sees relative paths only, and the tools must leave nothing behind.
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in which.design.files:
            copy = Path(place, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, copy)
        finished, output = _run(which.command, Path(place))
    log = folder / f"{which.name}.log"
    write_whole(log, output, "log")
    faults = output.strip() if which.silent else "warning" in output.lower()
    return None if finished and not faults else log


def _run(command: Sequence[str], folder: Path) -> tuple[bool, str]:
    """Whether the command gave status 0, and all that it printed."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            timeout=_TIME_LIMIT_SECONDS, env=executables.environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"ended after {_TIME_LIMIT_SECONDS} s\n"
    return done.returncode == 0, done.stdout


def run(chip_name: str, folder: Path | None, console: Console) -> bool:
    """Write the package, check it, tell; returns whether every check passed.

    Args:
        chip_name: name or path of a chip description.
        folder: where the files go; `build/verilog/` and the chip's name if None.
        console: where the verdicts are told.

    Raises:
        UserError: there is no such chip, a tool is missing, `folder` cannot be written, or has
            something else in it.
    """
    chip = Chip.find(chip_name)
    folder = folder or build_folder() / "verilog" / chip.name
    demand_own(folder, "package", f"{CORE_PREFIX}*.core")
    with console.status("writing"):
        made = write_files(chip, folder)
    console.print(f"{len(made.files)} files in {folder}", highlight=False, soft_wrap=True)
    passed = True
    for which in checks(made.designs):
        with console.status(which.name):
            log = check(folder, which)
        passed &= log is None
        verdict = which.what if log is None else f"FAILED, see {log}"
        console.print(f"{which.name}: {verdict}", highlight=False, soft_wrap=True)
    if not passed:
        console.print("The Verilog did not pass every check.", highlight=False)
    return passed
