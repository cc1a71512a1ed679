"""States of the library, kept by a hash over their sources, to be measured side by side.

A state is a copy of the library's sources with a build folder of its own, so that an earlier state
runs its own code, and is built once. Simulator and options are in the hashes of the builds inside.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caduceus.spec.errors import UserError, shown
from caduceus.spec.shipped import BUILD_VARIABLE, build_folder

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = "pyproject.toml"
NOTES = "state.json"
"""File of a kept state, written last: its revision, and what was measured once."""
BESIDE = ("train",)
"""Folders that the measurements import besides the library."""
KEPT = 3
"""Number of states that stay; a state with its builds takes some 200 MB."""
_IGNORED = shutil.ignore_patterns("*.pyc", "*.egg-info")
"""Numba's compiled loops come along: they fit sources with the same times."""


@dataclass(frozen=True)
class State:
    """A kept state.

    Attributes:
        folder: of all its files; the name is the hash.
    """

    folder: Path

    @property
    def hash(self) -> str:
        """Of all sources."""
        return self.folder.name

    @property
    def tree(self) -> Path:
        """Folder from which Python imports the library and what stands beside it."""
        return self.folder / "tree"

    def build(self, chip: str) -> Path:
        """Folder of what is built of a chip."""
        return self.folder / "build" / chip

    def variables(self, chip: str) -> dict[str, str]:
        """Environment variables of a process that measures a chip in it."""
        return {
            "PYTHONPATH": str(self.tree),
            BUILD_VARIABLE: str(self.build(chip)),
            # As on a machine that has never built the chip.
            "CCACHE_DISABLE": "1",
        }

    def notes(self) -> dict[str, Any]:
        """`revision`, and what else was noted."""
        return json.loads((self.folder / NOTES).read_text(encoding="utf-8"))

    def note(self, **values: object) -> None:
        """Keep `values` among the notes."""
        text = json.dumps(self.notes() | values, indent=2) + "\n"
        (self.folder / NOTES).write_text(text, encoding="utf-8")

    def __str__(self) -> str:
        return f"{self.notes()['revision']}, hash {self.hash}"


def states() -> Path:
    """Folder of all kept states."""
    return build_folder() / "speed" / "states"


def present() -> State:
    """Keep the working tree's state; it is the newest from now on."""
    return keep(REPOSITORY, _described())


def of_revision(revision: str) -> State:
    """Keep the state of a revision in the repository.

    Raises:
        UserError: there is no such revision, or no repository.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    packed = commit and _git("archive", commit.decode().strip())
    if not packed:
        raise UserError(f"REFERENCE: got {shown(revision)}, expected a revision of this repository")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            # Debian 12's Python 3.11.2 has no filters; git made the archive, of tracked files.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, **safe)
        return keep(Path(folder), commit.decode()[:7])


def before(now: State) -> State | None:
    """The newest other state; None if there is none."""
    others = [state for state in _newest_first() if state.hash != now.hash]
    return others[0] if others else None


def forget_old(*used: State) -> None:
    """Remove all but the newest `KEPT` states and those in use."""
    for state in _newest_first()[KEPT:]:
        if state not in used:
            shutil.rmtree(state.folder)


def keep(source: Path, revision: str) -> State:
    """Keep the state of the tree `source`, unless it is there.

    Raises:
        UserError: `source` has no library of this project.
    """
    inside = _inside(source)
    state = State(states() / _digest(source, inside))
    if not (state.folder / NOTES).is_file():
        shutil.rmtree(state.folder, ignore_errors=True)
        for folder in (*inside.values(), *BESIDE):
            shutil.copytree(source / folder, state.tree / folder, ignore=_IGNORED)
        for package, folder in inside.items():
            # An installation maps these folders into the package. Here links do.
            link = state.tree.joinpath(*package.split("."))
            if not link.exists():
                link.symlink_to(os.path.relpath(state.tree / folder, link.parent))
        # cocotb has pytest look for its settings in the folders above a run, and those of the
        # repository put the repository before the state's tree.
        (state.folder / "pytest.ini").touch()
        (state.folder / NOTES).write_text(json.dumps({"revision": revision}), encoding="utf-8")
    os.utime(state.folder)
    return state


def _newest_first() -> list[State]:
    found = [State(notes.parent) for notes in states().glob(f"*/{NOTES}")]
    return sorted(found, key=lambda state: state.folder.stat().st_mtime_ns, reverse=True)


def _inside(source: Path) -> Mapping[str, str]:
    """Packages and their folders."""
    try:
        project = tomllib.loads((source / PROJECT).read_text(encoding="utf-8"))
        return project["tool"]["setuptools"]["package-dir"]
    except (OSError, ValueError, KeyError):
        raise UserError(f"{source}: has no library of this project in its {PROJECT}") from None


def _digest(source: Path, inside: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for folder in (*inside.values(), *BESIDE):
        for file in sorted((source / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(source)} {content}\n".encode())
    return digest.hexdigest()[:12]


def _described() -> str:
    """The working tree's revision, with a + if files differ from it."""
    commit = _git("rev-parse", "--short=7", "HEAD")
    if not commit:
        return "working tree"
    return commit.decode().strip() + ("+" if _git("status", "--porcelain") else "")


def _git(*words: str) -> bytes | None:
    """What git prints, or None if it fails."""
    try:
        run = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, check=False)
    except OSError:
        return None
    return run.stdout if run.returncode == 0 else None
