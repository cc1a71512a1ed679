"""How far a simulation is: a file that it writes and whoever started it reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """How far the simulation is.

    Attributes:
        done: of everything that is counted and has begun, how much is done.
        note: what else there is to say.
    """

    done: dict[str, int]
    note: str = ""

    def save(self, folder: Path) -> None:
        """Write the progress for its watcher; replaces the last."""
        temporary = folder / "progress.tmp"
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(folder / "progress.json")

    @classmethod
    def load(cls, folder: Path) -> "Step | None":
        """The last progress written; None if there is none."""
        try:
            return cls(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
