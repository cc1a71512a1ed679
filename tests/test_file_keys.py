"""docs/files.md marks the keys that a file must have as the models do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from caduceus.spec.chip import Chip
from caduceus.spec.graph import Graph, Layer, Lstm

PAGE = Path(__file__).resolve().parent.parent / "docs" / "files.md"
TABLES = {
    "## Chip description": Chip,
    "## Network description": Graph,
    "A node with `op: conv`": Layer,
    "A node with `op: lstm`": Lstm,
}
"""The beginning of the lines before a table, and what the table describes."""


def _rows(beginning: str) -> list[dict[str, str]]:
    """The first table after a line with this beginning: cells by the column's heading."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(beginning))
    start = next(n for n in range(at, len(lines)) if lines[n].startswith("| key "))
    headings, _, *rows = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in "\n".join(lines[start:]).split("\n\n")[0].splitlines()
    ]
    return [dict(zip(headings, row, strict=False)) for row in rows]


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, bool]]:
    """Every key of a model and of its sections, and whether it is required in its section."""
    for name, field in model.model_fields.items():
        yield name, field.is_required()
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for key, inner in kind.model_fields.items():
                    yield f"{name}.{key}", inner.is_required()


@pytest.mark.parametrize("beginning", TABLES)
def test_required_keys_are_marked(beginning):
    wanted = dict(_keys(TABLES[beginning]))
    marked = {}
    for row in _rows(beginning):
        required = row["required"] == "yes" if "required" in row else not row["default"]
        marked |= {key: required for key in re.findall(r"`([\w.]+)`", row["key"])}
    sections = {key.partition(".")[0] for key in wanted if "." in key}
    assert set(wanted) - sections <= set(marked) <= set(wanted)
    assert marked == {key: wanted[key] for key in marked}
