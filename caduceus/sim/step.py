"""Progress of a simulation: a file that it writes and its parent process reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """Progress of the simulation.

    Attributes:
        done: amount done of every count that has begun.
        note: any further text.
    """

    done: dict[str, int]
    note: str = ""

    def save(self, folder: Path) -> None:
        """Write the progress for its watcher; replaces the last one."""
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
