"""Progress of a simulation: a file that it writes and its parent process reads."""

import json
from collections import Counter
from collections.abc import Sequence
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

    @classmethod
    def of_all(cls, folders: Sequence[Path]) -> "Step | None":
        """The progress of several simulations together; None before the first one's."""
        steps = [step for step in map(cls.load, folders) if step]
        if len(folders) == 1 or not steps:
            return steps[0] if steps else None
        done: Counter[str] = Counter()
        for step in steps:
            done.update(step.done)
        return cls(dict(done), f"in {len(folders)} jobs")
