"""Every component of the RTL and of its harnesses has a bench, and each bench what it covers."""

import importlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from amaranth.hdl import Elaboratable, Fragment

import caduceus.hdl as hdl
from caduceus.hdl.common import verilog
from caduceus.hdl.fabric import chip_sources
from caduceus.sim.harness_files import TILE_SOURCES
from tb import benches
from tb.benches import Bench

SOURCES = Path(hdl.__file__).parent
BENCHES = benches.discover()


def components() -> set[str]:
    """Modules of the RTL that define a component, SystemVerilog files of RTL and harnesses."""
    found = {path.name for path in (*SOURCES.rglob("*.sv"), *TILE_SOURCES)}
    for path in SOURCES.rglob("*.py"):
        place = path.relative_to(SOURCES).with_suffix("").parts
        module = importlib.import_module(".".join((hdl.__name__, *place)))
        classes = inspect.getmembers(module, inspect.isclass)
        if any(_is_component(cls) and cls.__module__ == module.__name__ for _, cls in classes):
            found.add(path.stem)
    return found


def _is_component(cls: type) -> bool:
    return issubclass(cls, Elaboratable)


def elaborated(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The components in the design of a bench: of its variants, until all that it covers is seen.

    Designs are elaborated, and not made into Verilog, which would take minutes.
    """
    found: set[str] = set()
    get = Fragment.get

    def noted(part: object, platform: object) -> Fragment:
        modules = [cls.__module__ for cls in type(part).__mro__ if _is_component(cls)]
        prefix = f"{hdl.__name__}."
        found.update(name.rpartition(".")[2] for name in modules if name.startswith(prefix))
        return get(part, platform)

    def elaborate(component: Elaboratable, name: str) -> str:
        Fragment.get(component, None)
        return name

    monkeypatch.setattr(Fragment, "get", staticmethod(noted))
    monkeypatch.setattr(verilog, "_rtlil", elaborate)
    monkeypatch.setattr(verilog, "_KEPT", folder / "kept")
    monkeypatch.setattr(
        verilog, "run_script", lambda place, *_: (place / "design.v").write_text("")
    )
    # One thread: CPython 3.11 loses count of its recursion where two parse Python at once.
    monkeypatch.setattr(chip_sources, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    for number, variant in enumerate(bench.variants):
        place = folder / str(number)
        place.mkdir()
        sources = bench.prepare(variant, place).sources
        found |= {path.name for path in sources if path.suffix == ".sv"}
        if set(bench.covers) <= found:
            break
    return found


def test_every_component_is_covered() -> None:
    covered = {name for bench in BENCHES for name in bench.covers}
    assert components() - covered == set(), "covered by no bench"
    assert covered - components() == set(), "covered, and no component"


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_a_bench_has_what_it_covers(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.covers
    assert set(bench.covers) - elaborated(bench, tmp_path, monkeypatch) == set()


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_a_component_is_covered_by_its_own_bench(bench: Bench) -> None:
    own = {bench.name, f"{bench.name}.sv"} & components()
    assert not own or own & set(bench.covers)
