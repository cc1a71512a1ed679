"""`caduceus program` as a user meets it, and that a difference would be seen."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from caduceus import program_array
from caduceus.program_array import Request
from spec.programming import Procedure

pytestmark = pytest.mark.xdist_group("program")
"""One worker for all of them: runs wait for each other."""


def _caduceus(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "caduceus", "program", *map(str, arguments)],
        cwd=Path(__file__).resolve().parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_small_array(tmp_path: Path):
    output = tmp_path / "result.json"
    run = _caduceus("--chip", "tiny", "--devices", 2, "--output", output)
    assert run.returncode == 0, run.stderr
    report = json.loads(output.read_text(encoding="utf-8"))
    # Four fields of every line, two counters, the array's words, and products.
    assert report["values_compared"] == 4 * 256 + 2 + (5 + 256 + 64) + 2 * 20 * 16
    assert report["mismatches"] == 0 and report["first_mismatch"] == ""
    assert report["cells"] == 256 and 0.9 < report["within_margin"] <= 1
    assert sum(report["iterations"]["histogram"]) == report["iterated"]
    assert report["cycles"] < report["cycles_with_host"]
    assert str(output) in run.stdout.replace("\n", "")


@pytest.mark.regress
@pytest.mark.parametrize("devices", [1, 2])
def test_a_whole_array_of_hermes(tmp_path: Path, devices: int):
    output = tmp_path / "result.json"
    run = _caduceus("--devices", devices, "--seed", 2, "--output", output)
    assert run.returncode == 0, run.stderr
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["diagonals"] == 256 and report["cells"] == 256 * 256
    assert report["mismatches"] == 0 and report["within_margin"] > 0.98


def test_another_margin_in_golden_is_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(program_array, "Procedure", partial(Procedure, margin=7))
    output = tmp_path / "result.json"
    request = Request("tiny", 1, "verilator", 3, 0.0, None, output)
    assert not program_array.run(request, Console(quiet=True))
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["mismatches"] > 0 and " of diagonal " in report["first_mismatch"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--chip", "nope"), "unknown chip 'nope': there are caduceus, hermes, tiny"),
        (("--sim", "nope"), "unknown simulator 'nope': there are verilator, icarus"),
        (("--chip", "tiny", "--diagonals", 17), "diagonals = 17: chip tiny allows 1 to 16"),
        (("--chip", "tiny", "--output", "."), ".: is a folder: allowed is a file"),
        (("--devices", 3), "Invalid value for '--devices': 3 is not in the range 1<=x<=2."),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple, sentence: str):
    run = _caduceus(*arguments)
    assert run.returncode == 2
    assert run.stderr == f"caduceus: {sentence}\n"
