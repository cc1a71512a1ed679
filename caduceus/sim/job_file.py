"""Jobs and reports of simulations, as JSON files in the job folder."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self


class JobFile:
    """A dataclass that is stored in a file: numbers, texts, and lists and dictionaries of them.

    Tuples are lists once they are read back.
    """

    _name: ClassVar[str]

    def __init_subclass__(cls, name: str) -> None:
        """`name`: of the file."""
        cls._name = name

    def save(self, folder: Path) -> None:
        """Write it to its file in `folder`."""
        (folder / self._name).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read it from its file in `folder`."""
        return cls(**json.loads((folder / cls._name).read_text(encoding="utf-8")))
