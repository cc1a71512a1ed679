"""`caduceus pcm-write` as a user meets it, and that a difference would be seen."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import caduceus, here
from rich.console import Console

from caduceus.golden.reference.pcm_writer import PcmWritten
from caduceus.sim import pcm_write
from caduceus.sim.pcm_write import Request
from caduceus.spec.errors import UserError
from caduceus.spec.pcm_write import Procedure

pytestmark = pytest.mark.xdist_group("pcm-write")
"""One worker for all of them: runs wait for each other."""


def test_a_small_array(tmp_path: Path):
    output = tmp_path / "result.json"
    run = caduceus("pcm-write", "--chip", "tiny", "--devices", 2, "--output", output)
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
    run = caduceus("pcm-write", "--devices", devices, "--seed", 2, "--output", output)
    assert run.returncode == 0, run.stderr
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["diagonals"] == 256 and report["cells"] == 256 * 256
    assert report["mismatches"] == 0 and report["within_margin"] > 0.98


def test_another_margin_in_golden_is_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pcm_write, "Procedure", partial(Procedure, margin=7))
    output = tmp_path / "result.json"
    request = Request("tiny", 1, "verilator", 3, 0.0, None, output)
    assert not pcm_write.run(request, Console(quiet=True))
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["mismatches"] > 0 and " of diagonal " in report["first_mismatch"]


def _statistics(targets: list[int], error: list[int], within: list[bool]) -> dict:
    lines = [np.array([each]) for each in (targets, error, within)]
    found = PcmWritten(lines[1], np.abs(lines[1]), np.zeros_like(lines[0]), lines[2])
    return pcm_write._statistics(found, lines[0])


@pytest.mark.filterwarnings("error")
def test_statistics_of_nothing_are_null(tmp_path: Path):
    nothing = _statistics([0, 0], [0, 0], [False, False])
    assert nothing["iterated"] == 0 and nothing["within_margin"] is None
    assert set(nothing["error_counts"].values()) == {None}
    assert nothing["iterations"].pop("histogram") == [0] * 31
    assert set(nothing["iterations"].values()) == {None}
    none_within = _statistics([9, 0], [-20, 0], [False, False])
    assert none_within["within_margin"] == 0
    assert none_within["error_counts"] == {"mean": -20, "sigma": 0, "sigma_within_margin": None}
    json.dumps([nothing, none_within], allow_nan=False)


def test_a_final_state_that_is_missing_is_reported(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"state_0.hex: cannot read the array's final state: No such"
    ):
        pcm_write._final_words(tmp_path / "state_0.hex")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--chip", "nope"),
            "unknown chip 'nope': expected one of hermes, hermes_wide, tiny, ulx3s, "
            "or a file (.yaml)",
        ),
        (("--sim", "nope"), "--sim: got nope, expected one of verilator, icarus"),
        (("--chip", "tiny", "--diagonals", 17), "diagonals = 17: chip tiny allows 1 to 16"),
        (("--chip", "tiny", "--output", "."), ".: is a folder: expected a file"),
        (("--noise", "nan"), "--noise: got nan, expected 0 to 40"),
        (
            ("--chip", "tiny", "--output", "/dev/null/a/result.json"),
            "/dev/null/a/result.json: cannot write the result: Not a directory",
        ),
        (("--devices", 3), "--devices: got 3, expected a whole number, 1 to 2"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple, sentence: str):
    run = here("pcm-write", *arguments)
    assert run.returncode == 2
    assert run.stderr == f"caduceus: {sentence}\n"
