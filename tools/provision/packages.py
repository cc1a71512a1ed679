"""What has to come from the system: which of it is missing, and its installation by apt."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from provision.process import ask, run
from provision.report import Progress, SetupError, say

APT_OPTIONS = ("-o", "DPkg::Lock::Timeout=300")
"""Wait while another process holds apt's lock, as unattended upgrades do on a fresh machine."""


@dataclass(frozen=True)
class Need:
    """One thing the system must provide.

    Attributes:
        package: The Debian package that provides it.
        present: Whether it is there.
        command: The program, where the thing is one: looked up again by every later set-up.
    """

    package: str
    present: Callable[[], bool]
    command: str = ""


def command(name: str, package: str = "") -> Need:
    """Need a program on PATH; its package has the same name unless given."""
    return Need(package or name, lambda: shutil.which(name) is not None, name)


def header(name: str, package: str) -> Need:
    """Need a C++ header, asked of the compiler itself."""
    return Need(package, lambda: _compiles(f"#include <{name}>\n"))


def _compiles(source: str) -> bool:
    """Whether g++ accepts a piece of source."""
    compiler = shutil.which("g++")
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.cpp")
        path.write_text(source)
        return (
            subprocess.run(
                [compiler, "-fsyntax-only", path], capture_output=True, check=False
            ).returncode
            == 0
        )


def _perl_is_whole() -> bool:
    """Whether Perl has all that `verilator` uses; Debian's minimal Perl lacks a module."""
    perl = shutil.which("perl")
    return (
        perl is not None
        and subprocess.run(
            [perl, "-MPod::Usage", "-e1"], capture_output=True, check=False
        ).returncode
        == 0
    )


def _python_can_make_venvs() -> bool:
    """Whether `python -m venv` works; on Debian its pip comes in a package of its own."""
    return (
        importlib.util.find_spec("venv") is not None
        and importlib.util.find_spec("ensurepip") is not None
    )


def _python_is_shared() -> bool:
    """Whether the interpreter's shared library is there: simulators load it to run cocotb."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    folders = [folder, folder / (sysconfig.get_config_var("MULTIARCH") or "")]
    if ".so" in name and any((folder / name).exists() for folder in folders):
        return True
    return ctypes.util.find_library(python_series()) is not None


def python_headers() -> bool:
    """Whether the interpreter's C headers are there, for packages that have no wheel."""
    return Path(sysconfig.get_paths()["include"], "Python.h").exists()


def check_interpreter() -> None:
    """Refuse an interpreter that lacks a part which no system package could add.

    Raises:
        SetupError: It is not the system's own, and has no `ensurepip` or no shared library.
    """
    if sys.base_prefix == "/usr":
        return
    lacks = [
        what
        for what, present in (
            ("ensurepip", _python_can_make_venvs()),
            ("its shared library", _python_is_shared()),
        )
        if not present
    ]
    if lacks:
        raise SetupError(
            f"The Python at {sys.base_prefix} was built without {' and '.join(lacks)}: "
            "use another, as in `make PYTHON=/usr/bin/python3 sim`."
        )


def python_series() -> str:
    """Return the name that Debian's packages give to this interpreter, as "python3.11"."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}"


def needs() -> list[Need]:
    """Return what every run needs: compilers, the run times of the two languages, and Icarus."""
    series = python_series()
    always = [
        command("make"),
        command("g++"),
        command("ccache"),
        command("iverilog"),
        command("vvp", "iverilog"),
        Need("perl", _perl_is_whole, "perl"),
        header("zlib.h", "zlib1g-dev"),
        Need(f"{series}-venv", _python_can_make_venvs),
        Need(f"lib{series}", _python_is_shared),
    ]
    if platform.machine() != "x86_64":
        # cocotb has wheels for this architecture only; elsewhere it is compiled.
        always.append(Need(f"{series}-dev", python_headers))
    return always


def needs_of_new_verilator() -> list[Need]:
    """Return what a Verilator after 5.048 needs on top of `needs`: its waveforms are compressed."""
    return [header("lz4.h", "liblz4-dev")]


def needs_to_build_verilator() -> list[Need]:
    """Return what the compilation of Verilator needs on top of `needs`, whichever its release."""
    return [
        *needs_of_new_verilator(),
        command("flex"),
        command("bison"),
        command("autoconf"),
        header("FlexLexer.h", "libfl-dev"),
    ]


def missing_packages(wanted: Iterable[Need]) -> list[str]:
    """Return the packages of the needs that are not met, each once, in order."""
    return list(dict.fromkeys(need.package for need in wanted if not need.present()))


def refresh(packages: list[str], log: Path) -> None:
    """Bring apt's lists up to date, as root: a fresh machine's are empty or old.

    Args:
        packages: What is going to be installed, for the advice to a user who may not.
        log: Where the output of apt goes.

    Raises:
        SetupError: There is no apt, no right to use it, or no network.
    """
    options = [*APT_OPTIONS, "-o", "APT::Update::Error-Mode=any"]
    _apt(["apt-get", *options, "update"], "updating the package lists", packages, log)


def install(packages: list[str], log: Path) -> None:
    """Install Debian packages, as root: directly, or by sudo which may ask the user for a password.

    Raises:
        SetupError: There is no apt, no right to use it, no network or no space.
    """
    say(f"installing system packages: {' '.join(packages)}")
    options = [*APT_OPTIONS, "--yes", "--no-install-recommends"]
    _apt(["apt-get", *options, "install", *packages], "installing system packages", packages, log)


def _apt(words: list[str], step: str, packages: list[str], log: Path) -> None:
    """Run an apt command with root's rights, or say who has to install what."""
    if shutil.which("apt-get") is None:
        raise SetupError(
            "There is no apt here: install what these Debian packages hold with your system's "
            f"own package manager, and run make again: {' '.join(packages)}."
        )
    words = ["env", "DEBIAN_FRONTEND=noninteractive", *words]
    if os.geteuid() != 0:
        advice = f"have root run `apt-get update && apt-get install {' '.join(packages)}`"
        if shutil.which("sudo") is None:
            raise SetupError(
                f"System packages are missing and there is no sudo: {advice}, and run make again."
            )
        # sudo alone first, so that a refusal is not taken for a failure of apt.
        if subprocess.run(["sudo", "-v"], check=False).returncode != 0:
            raise SetupError(
                f"System packages are missing and sudo refused: {advice}, and run make again."
            )
        words = ["sudo", *words]
    progress = Progress(step)
    try:
        run(words, step, log, Path("/"), look=lambda _: progress.show())
    finally:
        progress.close()


def candidate(package: str) -> str:
    """Return the version of a package that apt would install, or an empty string."""
    for line in ask(["apt-cache", "policy", package], {**os.environ, "LC_ALL": "C"}).splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Candidate":
            return "" if value == "(none)" else value
    return ""
