"""Where the set-up keeps things, and the versions it insists on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

OLDEST_VERILATOR = (5, 36)
"""First release that cocotb 2.1 can drive."""

VERILATOR_TAG = "v5.048"
"""Release fetched by git where the system's mirror offers no source that is new enough."""

VERILATOR_UPSTREAM = "https://github.com/verilator/verilator"


@dataclass(frozen=True)
class Places:
    """The folders and files of one clone and of the user's cache.

    Attributes:
        root: The clone.
        cache: What clones share: the Verilator built from source.
    """

    root: Path
    cache: Path

    @classmethod
    def of_this_clone(cls) -> Places:
        """Return the places of the clone that this file is in, and of the user who runs it."""
        # The XDG specification has relative values ignored.
        wanted = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = wanted if wanted.is_absolute() else Path.home() / ".cache"
        return cls(root=Path(__file__).resolve().parents[2], cache=base / "caduceus")

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def stamp(self) -> Path:
        """What the environment was made from; written last, so that its absence means half made."""
        return self.venv / "caduceus-setup.json"

    @property
    def peers(self) -> Path:
        """The virtual environment of what `make speed` measures beside the golden model."""
        return self.root / ".venv-peers"

    @property
    def lock_file(self) -> Path:
        """The pinned versions and their hashes."""
        return self.root / "requirements.lock"

    @property
    def project_file(self) -> Path:
        """The project's own description."""
        return self.root / "pyproject.toml"

    @property
    def log(self) -> Path:
        """What the programs run by the last set-up printed."""
        return self.root / "build" / "setup.log"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader finds all of it or none, even if this process is killed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "w") as out:
            out.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
