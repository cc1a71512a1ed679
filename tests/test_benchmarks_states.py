"""`make speed`: kept states of the library, and two of them measured in turns."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import chip, command, paired, peers, plays, state
from benchmarks.one_thread import Failed
from benchmarks.plays import Measured, Task
from benchmarks.state import REPOSITORY, State
from caduceus.sim.result import Figures
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import BUILD_VARIABLE

PROJECT = """
[tool.setuptools.package-dir]
caduceus = "caduceus"
"caduceus.hdl" = "hdl"
"""


@pytest.fixture(autouse=True)
def _build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUILD_VARIABLE, str(tmp_path / "build"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree with folders that an installation maps into the package."""
    tree = tmp_path / "source"
    for folder in ("caduceus", "hdl", "train", "docs"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "__init__.py").write_text(f"PLACE = {folder!r}\n")
    (tree / "pyproject.toml").write_text(PROJECT)
    return tree


def _at(kept: State, seconds: int) -> State:
    os.utime(kept.folder, (seconds, seconds))
    return kept


def test_python_imports_the_kept_state_and_not_what_is_installed(source: Path) -> None:
    kept = state.keep(source, "first")
    words = "import caduceus, caduceus.hdl as h, train; print(caduceus.PLACE, h.PLACE, train.PLACE)"
    run = subprocess.run(
        [sys.executable, "-P", "-c", words], env=os.environ | kept.variables("x"), cwd=kept.tree,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout == "caduceus hdl train\n"
    assert not (kept.tree / "docs").exists()
    assert str(kept) == f"first, hash {kept.hash}"


def test_a_play_refuses_a_library_from_elsewhere(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-P", str(plays.PLAY), "{}"], env=os.environ | {"PYTHONPATH": "."},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1 and run.stderr.startswith("caduceus is imported from ")


def test_states_differ_by_names_and_contents_of_sources_alone(source: Path) -> None:
    first = state.keep(source, "first")
    (source / "docs" / "__init__.py").write_text("")
    (source / "hdl" / "__pycache__").mkdir()
    (source / "hdl" / "__pycache__" / "x.pyc").write_text("")
    assert state.keep(source, "again") == first and first.notes()["revision"] == "first"
    (source / "hdl" / "__init__.py").write_text("PLACE = 'here'\n")
    changed = state.keep(source, "changed")
    (source / "hdl" / "__init__.py").rename(source / "hdl" / "other.py")
    assert len({first.hash, changed.hash, state.keep(source, "renamed").hash}) == 3


def test_the_state_before_is_the_newest_other_one(source: Path) -> None:
    kept = []
    for number in range(5):
        (source / "train" / "x.py").write_text(f"{number}\n")
        kept.append(_at(state.keep(source, str(number)), 1000 + number))
    assert state.before(kept[4]) == kept[3]
    _at(kept[0], 2000)
    assert state.before(kept[4]) == kept[0] and state.before(kept[0]) == kept[4]
    state.forget_old(kept[1])
    assert [each.folder.exists() for each in kept] == [True, True, False, True, True]


def test_without_another_state_there_is_none_before(source: Path) -> None:
    assert state.before(state.keep(source, "first")) is None


def test_notes_stay_with_a_state(source: Path) -> None:
    state.keep(source, "first").note(builds={"hermes": 1})
    assert state.keep(source, "second").notes() == {"revision": "first", "builds": {"hermes": 1}}


def test_a_folder_without_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no library of this project"):
        state.keep(tmp_path, "nothing")


def _git(folder: Path, *words: str) -> None:
    options = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *options, *words], cwd=folder, check=True, capture_output=True)


def test_a_revision_is_kept_as_git_has_it(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "REPOSITORY", source)
    _git(source, "init", "--quiet")
    _git(source, "add", ".")
    _git(source, "commit", "--quiet", "--message", "first")
    committed = state.present()
    assert state.of_revision("HEAD") == committed
    (source / "hdl" / "__init__.py").write_text("changed = True\n")
    assert state.present() != committed and str(state.present()).split(",")[0].endswith("+")
    assert state.of_revision("HEAD") == committed
    for wrong in ("nothing", "--all", ""):
        with pytest.raises(UserError, match=r"REFERENCE: got '.*', expected a revision of this"):
            state.of_revision(wrong)


def test_without_a_repository_the_working_tree_has_no_revision(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "REPOSITORY", source)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(source.parent))
    assert state.present().notes()["revision"] == "working tree"
    with pytest.raises(UserError, match="REFERENCE"):
        state.of_revision("HEAD")


def _run(khz: float, threads: int | None = None, **figures: float) -> Measured:
    figures = {
        "khz": float(khz),
        "simulate_seconds": 100 / khz,
        "cycles": 1000,
        "tiles": 8,
    } | figures
    return Measured(figures, threads, wall_seconds=100 / khz + 5, cpu_seconds=9.0)


@pytest.fixture
def two(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[State, State]]:
    """The present state and the one before, of which nothing is built or run."""
    before = state.keep(source, "before")
    (source / "hdl" / "__init__.py").write_text("")
    monkeypatch.setattr(paired, "WORKLOADS", {"one": Task("hermes", ReadMode.ONE_PHASE, 1)})
    monkeypatch.setattr(paired, "built", lambda kept, chip: {"chip": chip, "state": str(kept)})
    return state.keep(source, "now"), before


def _measuring(monkeypatch: pytest.MonkeyPatch, runs: list[tuple[State, int, Measured]]) -> None:
    """Expect these runs in this order."""
    left = iter(runs)

    def measured(kept: State, task: Task) -> Measured:
        expected, threads, found = next(left)
        assert (kept, task.threads) == (expected, threads)
        return found

    monkeypatch.setattr(paired, "measured", measured)


def test_states_alternate_and_ratios_are_of_neighboring_runs(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = two
    runs = [
        *((before, 1, _run(10, 1)), (now, 1, _run(40, 1, simulate_cpu_seconds=3.0))),
        *((before, 1, _run(5, 1)), (now, 1, _run(30, 1, simulate_cpu_seconds=2.0))),
    ]
    _measuring(monkeypatch, runs)
    found = paired.run(now, before, [1], 2)
    (row,) = found.rows
    assert (row["khz"], row["khz_median"], row["speed_up"]) == (40, 35, 4)
    assert (row["before_khz"], row["before_khz_median"]) == (10, 7.5)
    assert row["speed_up_median"] == 5, "the median of 4 and 6"
    assert (row["play_cpu_seconds"], row["before_play_cpu_seconds"]) == (2, None)
    assert (row["outside_seconds"], row["load_seconds"]) == (5, None)
    assert not found.missing
    console = Console(width=200, record=True)
    command.show_pairs(found, console)
    shown = console.export_text()
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    assert ["one", "1", "1", "10.0", "40.0", "4.00", "7.50", "35.0", "5.00"] in lines
    assert ["one", "1", "1", "10.0", "2.50", "-", "2.00"] in lines


def test_a_state_without_threads_runs_once_a_round(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = two
    one = [(before, 1, _run(10)), (now, 1, _run(20, 1)), (now, 2, _run(30, 2))]
    _measuring(monkeypatch, [*one, *one])
    found = paired.run(now, before, [1, 2], 2)
    assert [(row["before_threads"], row["threads"], row["speed_up"]) for row in found.rows] == [
        (None, 1, 2), (None, 2, 3)
    ]  # fmt: skip


def test_a_state_before_that_fails_is_a_line_that_says_why(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = two

    def measured(kept: State, task: Task) -> Measured:
        if kept == before:
            raise Failed("no such option")
        return _run(20, task.threads)

    monkeypatch.setattr(paired, "measured", measured)
    found = paired.run(now, before, [1], 2)
    assert [row["khz"] for row in found.rows] == [20]
    assert found.rows[0]["before_khz"] is None and found.rows[0]["speed_up_median"] is None
    assert found.missing == [f"{before}, one: not measured (no such option)"]

    def built(kept: State, chip: str) -> dict[str, str]:
        if kept == before:
            raise Failed("no compiler")
        return {"chip": chip}

    monkeypatch.setattr(paired, "built", built)
    found = paired.run(now, before, [1], 1)
    assert found.builds == [{"chip": "hermes"}]
    assert found.missing == [f"{before}: not measured (no compiler)"]


def test_without_a_state_before_a_line_says_so(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "measured", lambda kept, task: _run(20, task.threads))
    found = paired.run(two[0], None, [1, 2], 1)
    assert [row["threads"] for row in found.rows] == [1, 2] and found.missing == [paired.NO_STATE]


def test_a_build_is_measured_once_without_what_is_around_it(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = iter([30.0, 50.0, 10.0])
    ran = []

    def measured(kept: State, task: Task) -> Measured:
        ran.append(task.simulator)
        return replace(_run(20), wall_seconds=next(walls))

    monkeypatch.setattr(plays, "measured", measured)
    expected = {"chip": "hermes", "state": str(two[0]), "build_seconds": 40.0,
                "build_cpu_seconds": 0.0}  # fmt: skip
    assert plays.built(two[0], "hermes") == plays.built(two[0], "hermes") == expected
    assert ran == ["golden", "verilator", "verilator"]


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ({}, "it printed no figures"),
        ({"figures": {}, "threads": 1, "wall_seconds": 1, "cpu_seconds": 1}, "it printed no fig"),
        ({"figures": {"first_mismatch": "conv: 1 for 2"}, "threads": 1, "wall_seconds": 1,
          "cpu_seconds": 1}, "RTL and golden model differ: conv: 1 for 2"),
    ],
)  # fmt: skip
def test_only_figures_of_an_equal_run_count(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch, printed: dict, reason: str
) -> None:
    monkeypatch.setattr(plays, "measured_elsewhere", lambda *words, **options: printed)
    with pytest.raises(Failed, match=reason):
        plays.measured(two[0], Task("tiny", ReadMode.ONE_PHASE, 1))


@pytest.mark.regress
def test_this_tree_runs_the_small_chip() -> None:
    now = state.present()
    now.build("tiny").mkdir(parents=True)
    # Verilog that other tests have written is not written again.
    (now.build("tiny") / "yosys").symlink_to(REPOSITORY / "build" / "yosys")
    task = Task("tiny", ReadMode.ONE_PHASE, 1, network="fashion_tiny", simulator="icarus")
    found = plays.measured(now, task)
    assert found.figures["mismatches"] == 0 and found.figures["values_compared"] > 0
    assert found.figures["khz"] > 0 and found.threads == 1 and found.outside > 0


def test_all_that_is_measured_is_printed_and_written(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, before = two
    fields = {each.name: 7 for each in dataclasses.fields(Figures)}

    def measured(kept: State, task: Task) -> Measured:
        return Measured(fields | {"khz": 20.0}, task.threads, 9.0, 9.0)

    for module in (paired, chip):
        monkeypatch.setattr(module, "measured", measured)
    built = {"chip": "hermes_wide", "state": "now", "build_seconds": 30.0}
    monkeypatch.setattr(plays, "built", lambda kept, name: built)
    monkeypatch.setattr(paired, "built", lambda kept, name: built | {"chip": name})
    monkeypatch.setattr(state, "present", lambda: now)
    monkeypatch.setattr(command.tile_speed, "run", lambda: peers.Peers([], ["aihwkit: none"]))
    for module in (command.golden_images, command.golden_memory):
        monkeypatch.setattr(module, "run", lambda: [{"mode": "1-phase", "images": 100.0}])
    console = Console(width=250, record=True)
    path = command.run(console, None, 2, 1)
    shown, report = console.export_text(), json.loads(path.read_text())
    assert report["state_before"] == str(before) and len(report["paired"]) == 2
    assert {row["threads"] for row in report["paired"]} == {1, 2}
    assert len(report["chip"]) == len(chip.LAYERS) and len(report["networks"]) == 4
    assert report["not_measured"] == ["aihwkit: none"]
    assert {"cpu", "cores", "memory_gib", "verilator"} <= set(report["machine"])
    for words in ("RTL, builds from nothing", "speed up median", "aihwkit: none", str(path)):
        assert words in shown


def test_the_working_trees_own_revision_is_no_reference(
    two: tuple[State, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "present", lambda: two[0])
    monkeypatch.setattr(state, "of_revision", lambda revision: two[0])
    with pytest.raises(UserError, match="REFERENCE: got 'HEAD', whose sources are those of the"):
        command.run(Console(), "HEAD", 1, 1)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (plays.Differs("RTL and golden model differ: conv"), 1, "speed: RTL and golden model dif"),
        (Failed("no compiler"), 2, "speed: the working tree: not measured: no compiler"),
    ],
)
def test_exit_status_of_a_failure(
    error: Failed, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def run(*given: object) -> None:
        raise error

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == status and capsys.readouterr().err.startswith(words)
