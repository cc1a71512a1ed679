"""`caduceus calibrate` as a user meets it."""

import json
from pathlib import Path

import pytest
from command_line import caduceus, here

pytestmark = pytest.mark.xdist_group("calibrate")
"""One worker for all of them: runs wait for each other."""


def test_the_error_shrinks_and_nothing_differs(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    run = caduceus("calibrate", "--chip", "tiny", "--seed", 3, "--output", output)
    assert run.returncode == 0, run.stderr
    assert " 0 mismatches" in run.stdout and "ideal converters" in run.stdout
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["mismatches"] == 0 and report["values_compared"] > 10_000
    assert report["seed"] == 3 and report["gain_spread"] == 0.0709
    for mode, most in (("1-phase", 0.8), ("4-phase", 0.5)):
        errors = {name: each["sigma_counts"] for name, each in report["errors"][mode].items()}
        assert errors["after"] < most * errors["before"], (mode, errors)
        assert report["reads"][mode] == (472 if mode == "4-phase" else 408)
        assert report["cycles"][mode]["mvm"] > report["cycles"][mode]["sync"] > 10_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--chip", "nope"),
            "unknown chip 'nope': expected one of hermes, hermes_wide, tiny, ulx3s, "
            "or a file (.yaml)",
        ),
        (("--sim", "nope"), "--sim: got nope, expected one of verilator, icarus"),
        (("--noise", 50), "--noise: got 50, expected 0 to 40"),
        (("--noise", "nan"), "--noise: got nan, expected 0 to 40"),
        (("--gain-spread", "nan"), "--gain-spread: got nan, expected 0 to 0.3"),
        (("--offset", "inf"), "--offset: got inf, expected 0 to 40"),
        (("--output", "tests"), "tests: is a folder: expected a file"),
        (
            ("--chip", "tiny", "--output", "/dev/null/a/result.json"),
            "/dev/null/a/result.json: cannot write the result: Not a directory",
        ),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple, sentence: str) -> None:
    run = here("calibrate", *arguments)
    assert run.returncode == 2
    assert run.stderr == f"caduceus: {sentence}\n" and not run.stdout


def test_converters_that_cannot_be_calibrated_are_reported(tmp_path: Path) -> None:
    """With the column, and what is allowed."""
    run = caduceus(
        "calibrate", "--chip", "tiny", "--offset", 40, "--output", tmp_path / "result.json"
    )
    assert run.returncode == 2
    assert run.stderr.startswith("caduceus: ") and run.stderr.count("\n") == 1
    assert "column" in run.stderr and "expected 1 to" in run.stderr
    assert not (tmp_path / "result.json").exists()
