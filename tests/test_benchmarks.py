"""The benchmarks: the golden model beside its peers, whatever the peers' interpreter does."""

import json
from itertools import product
from pathlib import Path

import pytest
from golden_reference import tiny
from rich.console import Console

from benchmarks import golden, memory, peers, rate, speed
from caduceus.spec.formats import ReadMode

ROW = {"name": "aihwkit 9, C++ tile", "noise": "output", "computes": "a product",
       "batch": 1, "rate": 6943}  # fmt: skip
FIGURES = {"rows": [ROW, ROW | {"batch": 1024, "rate": 95479}], "missing": ["other: not there"]}


@pytest.fixture
def python(tmp_path: Path):
    """Write an interpreter that is a shell script, and return its path."""

    def make(script: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def _printing(text: str) -> str:
    return f"cat <<'END'\n{text}\nEND"


def test_figures_of_the_peers_are_the_last_line_that_is_printed(python) -> None:
    found = peers.run(python=python(_printing("Could not import\n" + json.dumps(FIGURES))))
    assert found == peers.Peers(**FIGURES)


def test_peers_are_measured_with_one_thread_in_this_repository(python) -> None:
    row = ROW | {"name": "$OMP_NUM_THREADS $MKL_NUM_THREADS $PWD $*"}
    text = json.dumps({"rows": [row], "missing": []})
    (found,) = peers.run(0.5, python(f"cat <<END\n{text}\nEND")).rows
    assert found["name"] == f"1 1 {peers.REPOSITORY} -m benchmarks.peer_tiles --seconds 0.5"


def test_missing_peers_are_a_line_that_says_how_to_get_them(tmp_path: Path) -> None:
    found = peers.run(python=tmp_path / "python")
    assert found == peers.Peers([], ["aihwkit: not installed (python tools/setup.py --peers)"])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo Traceback >&2; echo 'ImportError: no torch' >&2; exit 1", "ImportError: no torch"),
        ("exit 3", "exit status 3"),
        ("kill -9 $$", "exit status -9"),
        ("exit 0", "it printed no figures"),
        *(
            (_printing(text), "it printed no figures")
            for text in (
                "rubbish", "{", "[]", "7", "null", "{}", '{"rows": 1, "missing": []}',
                '{"rows": [], "missing": "x"}', '{"rows": [], "missing": [1]}',
                '{"rows": [7], "missing": []}', '{"rows": [{"name": "x"}], "missing": []}',
                json.dumps({"rows": [ROW | {"rate": "fast"}], "missing": []}),
            )
        ),
    ],
)  # fmt: skip
def test_peers_that_fail_are_a_line_that_says_why(python, script: str, reason: str) -> None:
    path = python(script)
    found = peers.run(python=path)
    assert found == peers.Peers([], [f"aihwkit: not measured ({path}: {reason})"])


def test_peers_that_do_not_start_or_do_not_end(python, monkeypatch) -> None:
    path = python("sleep 60")
    monkeypatch.setattr(peers, "MINUTES", 0.001)
    assert peers.run(python=path).missing == [
        f"aihwkit: not measured ({path}: no end after 0.001 minutes)"
    ]
    path.chmod(0o644)
    assert "Permission denied" in peers.run(python=path).missing[0]


def _golden_rows(name: str = "hermes", seconds: float = 0.1) -> list[dict]:
    return [
        {"mode": mode.value, "noise": noisy, "batch": batch, "counts": 111_111, "run": 22_222}
        for mode, noisy, batch in product(ReadMode, (False, True), golden.BATCHES)
    ]


def test_one_table_shows_the_golden_model_and_its_peers(python, monkeypatch) -> None:
    monkeypatch.setattr(golden, "run", _golden_rows)
    monkeypatch.setattr(peers, "PYTHON", python(_printing(json.dumps(FIGURES))))
    measured = speed.run()
    assert {tuple(row) for row in measured.rows} == {tuple(ROW)}
    console = Console(width=80, record=True)
    speed.show(measured, console)
    shown = console.export_text()
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    assert ["golden model, 4-phase", "window", "counts, exact", "1", "111,111"] in lines
    assert [
        "golden model, 1-phase",
        "none",
        "INT8, exact",
        "1,024",
        "22,222",
    ] in lines
    assert [ROW["name"], ROW["noise"], ROW["computes"], "1", "6,943"] in lines
    assert [ROW["name"], ROW["noise"], ROW["computes"], "1,024", "95,479"] in lines
    assert shown.rstrip().endswith("other: not there")


def test_table_without_peers_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(golden, "run", _golden_rows)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "none")
    console = Console(width=80, record=True)
    speed.show(speed.run(), console)
    assert "golden model, 4-phase" in console.export_text(clear=False)
    assert console.export_text().rstrip().endswith(peers.NOT_INSTALLED)


def test_golden_model_of_a_small_chip() -> None:
    rows = golden.measure(tiny(), 0.0)
    assert [(row["mode"], row["noise"], row["batch"]) for row in rows] == [
        (mode.value, noisy, batch)
        for mode, noisy, batch in product(ReadMode, (False, True), golden.BATCHES)
    ]
    assert all(row["counts"] > 0 and row["run"] > 0 for row in rows)


@pytest.mark.parametrize("mode", ReadMode)
def test_memory_of_a_small_chip(mode: ReadMode) -> None:
    row = memory.measure(tiny(), mode)
    assert row | {"mib": 0} == {"chip": "tiny", "tiles": 4, "mode": mode.value, "mib": 0}


def test_rate_is_the_median_and_leaves_out_the_first_call(monkeypatch) -> None:
    clock, seconds = [0.0], iter([100, *[0.25] * 4, 0.5, 0.5, 1])
    monkeypatch.setattr(rate.time, "process_time", lambda: clock[0])

    def call() -> None:
        clock[0] += next(seconds)

    assert rate.rate(call, 1.0, rounds=3) == 2
    assert next(seconds, None) is None
