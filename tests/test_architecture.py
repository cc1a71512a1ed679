"""The rules of the house that a machine can check."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = {
    "spec": set(),
    "hdl": {"spec"},
    "golden": {"spec"},
    "compiler": {"spec"},
    "pcm": {"spec"},
    "driver": {"spec"},
    "fpga": {"spec", "hdl"},
    "sim": {"spec", "hdl", "golden", "compiler", "pcm", "driver"},
    "caduceus": {"spec", "hdl", "golden", "compiler", "pcm", "driver", "fpga", "sim"},
    "tb": {"spec", "hdl", "golden", "compiler", "driver", "sim", "caduceus"},
}
"""What each room may import of the others: nobody but tests imports `tb`."""
LINES = 400

SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & {*ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    paths = sorted((REPOSITORY / room).rglob("*.py"))
    assert paths
    for path in paths:
        wrong = imported_rooms(path) - ROOMS[room] - {room}
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_file_is_one_room(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LINES, f"{lines} lines: split it"


def test_every_block_of_arithmetic_has_its_three_files():
    blocks = {path.stem for path in (REPOSITORY / "golden" / "reference").glob("*.py")} & {
        path.stem for path in (REPOSITORY / "hdl").glob("*.*")
    } - {"__init__"}
    assert {"fp16", "convert", "modulator", "pcm_array", "adc", "ldpu", "tile"} <= blocks
    for block in blocks:
        assert (REPOSITORY / "tb" / f"test_{block}.py").is_file(), f"{block} has no bench"


def test_the_authority_needs_nothing_that_is_only_fast():
    for path in sorted((REPOSITORY / "golden" / "reference").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("caduceus.golden.fast"), path
