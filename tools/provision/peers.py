"""The peers of the golden model: `.venv-peers`, with aihwkit compiled for a PyTorch without CUDA.

aihwkit's own binaries are for releases of PyTorch that x86-64 gets with 6 GB of CUDA only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from provision import packages
from provision.environment import pip_environment
from provision.places import Places, write_whole
from provision.process import require_space, run
from provision.report import Progress, SetupError, minutes, say

TORCH = "2.13.0"
AIHWKIT = "1.2.0"
PINS = Path(__file__).with_name("peers.txt")
"""Versions of all else."""

PEERS_MB = 2500
"""Space for the environment: 1.3 GB installed, and the rest while it is made."""


def needs() -> list[packages.Need]:
    """Return what the system must have for compiling aihwkit, on top of the usual."""
    return [
        packages.header("openblas_config.h", "libopenblas-dev"),
        packages.Need(f"{packages.python_series()}-dev", packages.python_headers),
    ]


def torch() -> str:
    """Return the requirement of PyTorch: a build without CUDA, which only x86-64 has to ask for."""
    return f"torch=={TORCH}" + ("+cpu" if platform.machine() == "x86_64" else "")


def set_up(places: Places) -> None:
    """Make the peers' environment, if it is not there; remake it if half made or outdated.

    Raises:
        SetupError: No network, no space, no PyTorch without CUDA, or it does not compile or run.
    """
    stamp = places.peers / "caduceus-peers.json"
    origins = json.dumps(_origins(places), indent=2) + "\n"
    if _text(stamp) == origins and os.access(places.peers / "bin" / "python", os.X_OK):
        return
    missing = packages.missing_packages(needs())
    if missing:
        packages.refresh(missing, places.log)
        packages.install(missing, places.log)
    if places.peers.exists():
        say(f"{places.peers.name} is incomplete or outdated: making it again")
        shutil.rmtree(places.peers)
    require_space(places.root, PEERS_MB, "the peers")
    say(f"making {places.peers.name}, for what `make speed` measures beside the golden model")
    command = [sys._base_executable, "-m", "venv", places.peers]
    run(command, f"making {places.peers.name}", places.log, places.root)
    _install_torch(places)
    _pip(places, ["install", "--requirement", PINS], "installing the peers")
    _pip(places, ["install", "--no-deps", _wheel(places)], "installing aihwkit")
    _prove(places)
    write_whole(stamp, origins)


def _origins(places: Places) -> dict[str, str]:
    """What the environment is made from: it is remade when any of it differs."""
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()
    base = f"{packages.python_series()} {sys.base_prefix} {places.peers}"
    return {"base": base, "torch": torch(), "aihwkit": AIHWKIT, "pins": pins}


def _text(path: Path) -> str:
    """Return what a file holds, or nothing when there is none."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _install_torch(places: Places) -> None:
    """Install PyTorch without CUDA, or say where it is to be had."""
    try:
        _pip(places, ["install", torch()], "installing PyTorch")
    except SetupError as error:
        if "Could not find a version" not in str(error):
            raise
        raise SetupError(
            f"There is no {torch()} where pip looks: name an index or a folder that has it in "
            "PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS, and run `make peers` again."
        ) from None


def _wheel(places: Places) -> Path:
    """Return aihwkit's wheel for this PyTorch and this Python: kept, or compiled and then kept."""
    folder = places.cache / f"aihwkit-{AIHWKIT}-torch-{TORCH}-{packages.python_series()}"
    for wheel in folder.glob("*.whl"):
        return wheel
    processors = len(os.sched_getaffinity(0))
    say(f"compiling aihwkit {AIHWKIT} on {processors} processors, which takes a while")
    places.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compiling-aihwkit-", dir=places.cache) as name:
        # Not from pip's own cache: a wheel there may be for another PyTorch.
        options = ["--no-cache-dir", "--no-build-isolation", "--no-deps", "--wheel-dir", name]
        requirement = f"aihwkit=={AIHWKIT}"
        took = _pip(places, ["wheel", *options, requirement], "compiling aihwkit", TMPDIR=name)
        (wheel,) = Path(name).glob("*.whl")
        folder.mkdir(exist_ok=True)
        kept = wheel.replace(folder / wheel.name)
    say(f"aihwkit {AIHWKIT} compiled in {minutes(took)}, kept in {folder}")
    return kept


def _pip(places: Places, arguments: list[str | Path], step: str, **variables: str) -> float:
    """Run the pip of the peers' environment, with these variables; return the seconds it took."""
    programs = places.peers / "bin"
    variables = {
        **pip_environment(),
        **variables,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(len(os.sched_getaffinity(0))),
    }
    command = [programs / "python", "-m", "pip", "--retries", "2", *arguments]
    progress = Progress(step)

    def look(_: str) -> None:
        progress.show()

    try:
        run(command, step, places.log, places.root, variables, places.root, look)
    finally:
        took = progress.close()
    return took


def _prove(places: Places) -> None:
    """Have every peer compute, or say which does not."""
    command = [places.peers / "bin" / "python", "-m", "benchmarks.peer_tiles", "--seconds", "0"]
    output = run(command, "trying the peers", places.log, places.root, None, places.root)
    printed = next(line for line in reversed(output.splitlines()) if line.startswith("{"))
    missing = json.loads(printed)["missing"]
    if missing:
        raise SetupError(
            f"A peer is installed but does not work, saying {missing[0]!r}: see {places.log}."
        )
