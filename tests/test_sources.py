"""Source files of a module: a search for imports finds what Python's parser finds."""

import ast
from pathlib import Path

import pytest

import caduceus
from caduceus.spec.sources import imported, sources

LIBRARY = Path(caduceus.__file__).parent
FILES = sorted([*LIBRARY.rglob("*.py"), *(LIBRARY.parent / "hdl").rglob("*.py")])


def parsed(text: str) -> set[str]:
    """Names by the parser, as `imported` gives them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_import_of_the_library_is_found() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert parsed(text) <= set(imported(text)), path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b as c, d", {"a.b", "d"}),
        ("    from a.b import c as d, e  # why", {"a.b", "a.b.c", "a.b.e"}),
        ("from a import (\n    b,  # x\n    c as d,\n)\n", {"a", "a.b", "a.c"}),
        ("important = 1", set()),
    ],
)
def test_names_are_read_in_every_form(text: str, names: set[str]) -> None:
    assert set(imported(text)) == names


def test_files_are_those_of_the_module_and_its_imports() -> None:
    found = {path.name for path in sources("caduceus.sim.beats")}
    assert {"beats.py", "packets.py", "errors.py"} & found >= {"beats.py", "packets.py"}
    assert "simulation.py" not in found
    assert sources("numpy") == () and sources("caduceus.nothing") == ()
