"""The command line of sweeps and accuracies: mistakes are reported before any work."""

import json

import pytest

from caduceus.cli.main import main
from caduceus.devices.settings import Devices
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.study import collect, dask_workers, measure, points
from caduceus.study.points import Point


def command(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["caduceus", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr().err


TINY = ("--chip", "tiny", "--net", "fashion_tiny", "--images", "20")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*TINY, "--ages", "-1"), "--ages: got -1, expected 0 to 1e+10 seconds"),
        ((*TINY, "--ages", "25,nan"), "--ages: got nan, expected 0 to 1e+10 seconds"),
        ((*TINY, "--ages", ""), "--ages: got nothing, expected 0 to 1e+10 seconds"),
        ((*TINY, "--seeds", "0"), "--seeds: got '0', expected a number of seeds"),
        ((*TINY, "--seeds", "5:5"), "got '5:5', expected a number of seeds"),
        ((*TINY, "--seeds", "10001"), "of 1 to 10000 seeds"),
        ((*TINY, "--seeds", "-3"), "got '-3', expected a number of seeds"),
        ((*TINY, "--seeds", f"{1 << 64}:{(1 << 64) + 1}"), "below 2**64"),
        ((*TINY, "--pcm", "nope"), "unknown PCM model 'nope': expected one of generic, hermes_odp"),
        ((*TINY, "--pcm", "ideal,"), "--pcm: got nothing, expected a name or a path"),
        ((*TINY, "--net", ""), "--net: got nothing, expected a name or a path"),
        ((*TINY, "--ages", "1h,2x"), "--ages: got 2x, expected 0 to 1e+10 seconds, or an age as"),
        ((*TINY, "--pcm", "none.yaml"), "none.yaml: cannot read the settings of devices"),
        ((*TINY, "--read-mode", "2-phase"), "--read-mode: got 2-phase, expected one of 1-phase"),
        ((*TINY, "--workers", "0"), "got 0, expected a whole number, 1"),
        (
            (*TINY, "--workers", "2", "--scheduler", "tcp://a:1"),
            "--workers cannot be combined with --scheduler",
        ),
        ((*TINY, "--output", "/dev/null"), "/dev/null/points.csv: cannot write the table"),
        (("--net", "nope"), "unknown network 'nope'"),
        (("--chip", "nope"), "unknown chip 'nope'"),
        (("--chip", "tiny", "--images", "10001"), "images: got 10001, "),
        (("--chip", "tiny", "--images", "0"), "got 0, expected a whole number, 1"),
        (("--chip", "tiny", "--net", "lstm_tiny", "--images", "9999"), "characters: got 9999, "),
        (("--chip", "tiny", "--net", "fashion_small", "--images", "9"), "chip tiny has 4"),
        (("--net", "conv_32x16", "--images", "9"), "takes random vectors"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.setattr(collect, "cluster", None)
    monkeypatch.setattr("caduceus.study.point_store.PointStore.load", lambda *_: None)
    output = () if "--output" in arguments else ("--output", tmp_path)
    status, printed = command(monkeypatch, capsys, "sweep", *arguments, *output)
    assert status == 2 and printed.startswith("caduceus: ") and printed.count("\n") == 1
    assert sentence in printed


def test_help(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["caduceus", "sweep", "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr().out
    assert not end.value.code and printed.startswith("Usage: caduceus sweep")
    assert "ideal,hermes_odp,hermes_tdp" in printed and "25s,1h,1d,30d" in printed


def test_a_scheduler_that_does_not_answer_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("caduceus.study.point_store.PointStore.load", lambda *_: None)
    status, printed = command(
        monkeypatch, capsys, "sweep", *TINY, "--pcm", "ideal", "--scheduler", "tcp://127.0.0.1:1",
        "--output", tmp_path,
    )  # fmt: skip
    assert status == 2 and printed.count("\n") == 1
    assert printed.startswith("caduceus: --scheduler tcp://127.0.0.1:1: does not answer: expected")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--table", "--pcm", "ideal"), "--pcm: applies only without --table"),
        (("--table", "--age", "3"), "--age: applies only without --table"),
        (("--seeds", "3"), "--seeds: applies only with --table or --mvm-error"),
        (("--workers", "3"), "--workers: applies only with --table"),
        (("--table", "--mvm-error"), "--table cannot be combined with --mvm-error"),
        (("--mvm-error", "--images", "3"), "--images: applies only without --mvm-error"),
        (("--pcm", "nope"), "unknown PCM model 'nope'"),
        (("--age", "-1"), "--age: got -1, expected 0 to"),
        (("--chip", "tiny", "--images", "1", "--pcm", "generic", "--age", "nan"), "--age: got nan"),
    ],
)
def test_a_mistake_of_accuracy_is_one_sentence(monkeypatch, capsys, arguments, sentence):
    status, printed = command(monkeypatch, capsys, "accuracy", *arguments)
    assert status == 2 and printed.startswith("caduceus: ") and printed.count("\n") == 1
    assert sentence in printed


def test_a_single_accuracy_names_its_devices(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv",
        ["caduceus", "accuracy", *TINY, "--pcm", "hermes_tdp", "--seed", "7", "--age", "3600"],
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "hermes_tdp devices, seed 7, 1 h old: golden" in printed and "of 20 images" in printed
    point = Point("fashion_tiny", "tiny", "4-phase", "hermes_tdp", None, 7, 3600.0, 20)
    assert f"golden {points.measure(point).value:.2%}" in printed


@pytest.mark.parametrize("network", ["fashion_tiny", "lstm_tiny"])
def test_a_point_of_a_sweep_writes_no_file(monkeypatch, network):
    monkeypatch.setattr(measure, "write_whole", None)
    assert points.measure(Point(network, "tiny", "4-phase", "ideal", None, 0, 0.0, 20)).count == 20


def test_a_single_measurement_of_all_is_known_afterwards(tmp_path, monkeypatch):
    """Of the whole test text, but not of its beginning."""
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path))
    found, chip, mode = Network.find("lstm_tiny"), Chip.find("tiny"), ReadMode.ONE_PHASE
    for count, known in ((20, False), (measure.whole(found), True)):
        report = {"count": count, "value": 1.25}
        measure.keep(found, chip, mode, Devices.ideal(), report)
        assert measure.known(found, chip, mode) == (report if known else None)
        assert json.loads((tmp_path / "accuracy.json").read_text()) == report
