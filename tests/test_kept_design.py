"""A chip's kept design: made once, and made again where anything it depends on has changed."""

from pathlib import Path

import pytest

from caduceus.sim import kept_design
from caduceus.sim.chip_design import FLAT, PARALLEL, ChipDesign
from caduceus.sim.verilated_library import Engine, Library
from caduceus.spec.chip import Chip

TINY = Chip.find("tiny")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Arguments of each design that was made."""
    calls: list[tuple] = []

    def make(
        folder: Path, chip: Chip, simulator: str, *, record: bool, verilation: str, build: Path
    ) -> ChipDesign:
        calls.append((simulator, record, verilation))
        place = folder / "grid"
        place.mkdir(exist_ok=True)
        files = folder / "chip.v", place / "engine.cpp", place / "grid.h", place / "tile.v"
        for path in files:
            path.write_text(f"{path.name}\n")
        top, engine, _, tile = files
        parallel = verilation == PARALLEL
        kept = Engine([engine], place, [Library("tile", [tile])], build / "verilated")
        return ChipDesign([top], ("--timing",), kept if parallel else None)

    monkeypatch.setattr(kept_design, "chip_design", make)
    return calls


def find(folder: Path, chip: Chip = TINY, simulator: str = "verilator", **options) -> ChipDesign:
    return kept_design.kept_design(folder, chip, simulator, build=folder.parent, **options)


def test_a_design_that_is_there_is_not_made_again(tmp_path: Path, made: list[tuple]) -> None:
    first = find(tmp_path / "design")
    assert find(tmp_path / "design") == first and len(made) == 1
    assert first.engine.contents() == [
        tmp_path / "design" / "grid" / name for name in ("engine.cpp", "grid.h", "tile.v")
    ]


@pytest.mark.parametrize("name", ["chip.v", "grid/engine.cpp", "grid/grid.h", "grid/tile.v"])
def test_a_changed_or_missing_file_is_made_again(
    tmp_path: Path, made: list[tuple], name: str
) -> None:
    folder = tmp_path / "design"
    first = find(folder)
    (folder / name).write_text("changed")
    assert find(folder) == first and len(made) == 2
    (folder / name).unlink()
    assert find(folder) == first and len(made) == 3
    assert (folder / name).read_text() == f"{Path(name).name}\n"


def test_another_header_is_made_again(tmp_path: Path, made: list[tuple]) -> None:
    find(tmp_path / "design")
    (tmp_path / "design" / "grid" / "other.h").write_text("")
    find(tmp_path / "design")
    assert len(made) == 2


def test_a_damaged_list_is_made_again(tmp_path: Path, made: list[tuple]) -> None:
    first = find(tmp_path / "design")
    (index,) = (tmp_path / "design").glob("*.json")
    for text in ("", "{}", "[1", '{"key": 3}'):
        index.write_text(text)
        assert find(tmp_path / "design") == first
    assert len(made) == 5


def test_each_simulator_and_verilation_has_its_own(tmp_path: Path, made: list[tuple]) -> None:
    folder = tmp_path / "design"
    for _ in range(2):
        assert find(folder).engine and not find(folder, verilation=FLAT).engine
        find(folder, record=True)
        find(folder, simulator="icarus")
    assert len(made) == 4


def test_another_chip_code_or_place_is_made_again(
    tmp_path: Path, made: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    find(tmp_path / "design")
    find(tmp_path / "design", Chip.find("hermes"))
    assert len(made) == 2
    (tmp_path / "design").rename(tmp_path / "other")
    find(tmp_path / "other", Chip.find("hermes"))
    assert len(made) == 3
    monkeypatch.setattr(kept_design, "version", lambda _: "99")
    find(tmp_path / "other", Chip.find("hermes"))
    assert len(made) == 4
    shipped = [path.name for path in kept_design._verilog()]
    assert {"pcm_array.sv", "bit_select.v"} <= set(shipped)
    (tmp_path / "array.sv").write_text("changed")
    monkeypatch.setattr(kept_design, "_verilog", lambda: [tmp_path / "array.sv"])
    find(tmp_path / "other", Chip.find("hermes"))
    assert len(made) == 5
