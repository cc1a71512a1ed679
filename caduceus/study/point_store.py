"""Points that were measured, a file each: what is there need not be measured again."""

import json
from dataclasses import asdict
from pathlib import Path

from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder
from caduceus.study.points import Measured, Point


class PointStore:
    """Results in `folder`, as `<key>.json` (docs/files.md); see `caduceus.study.points.key`.

    Commands keep them in `points` of the build folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or build_folder() / "points"

    def load(self, key: str) -> Measured | None:
        """The result of that key; None if it is not there, or its file is none of ours."""
        try:
            return Measured(**json.loads(self._file(key).read_text())["measured"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, key: str, point: Point, measured: Measured) -> None:
        """Keep a result.

        Raises:
            UserError: the file cannot be written.
        """
        content = {"point": asdict(point), "measured": asdict(measured)}
        write_whole(self._file(key), json.dumps(content, indent=2) + "\n", "measured point")

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"
