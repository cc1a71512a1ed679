"""The command line of sweeps and accuracies: mistakes are told before any work."""

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
        ((*TINY, "--ages", "-1"), "'-1': expected 0 to 1e+10 seconds"),
        ((*TINY, "--ages", "25,nan"), "'nan': expected 0 to 1e+10 seconds"),
        ((*TINY, "--ages", ""), "'': expected 0 to 1e+10 seconds"),
        ((*TINY, "--seeds", "0"), "'0': expected a number of seeds"),
        ((*TINY, "--seeds", "5:5"), "'5:5': expected a number of seeds"),
        ((*TINY, "--seeds", "10001"), "of 1 to 10000 seeds"),
        ((*TINY, "--seeds", "-3"), "'-3': expected a number of seeds"),
        ((*TINY, "--seeds", f"{1 << 64}:{(1 << 64) + 1}"), "below 2**64"),
        ((*TINY, "--pcm", "nope"), "unknown PCM model 'nope': there are generic, hermes_odp"),
        ((*TINY, "--pcm", "ideal,"), "there is an empty one"),
        ((*TINY, "--pcm", "none.yaml"), "none.yaml: cannot read the settings of devices"),
        ((*TINY, "--read-mode", "2-phase"), "'2-phase': expected 1-phase and 4-phase"),
        ((*TINY, "--workers", "0"), "0 is not in the range"),
        ((*TINY, "--workers", "2", "--scheduler", "tcp://a:1"), "workers: got 2, expected nothing"),
        ((*TINY, "--output", "/dev/null"), "/dev/null/points.csv: cannot write the table"),
        (("--net", "nope"), "unknown network 'nope'"),
        (("--chip", "nope"), "unknown chip 'nope'"),
        (("--chip", "tiny", "--images", "10001"), "images = 10001: "),
        (("--chip", "tiny", "--images", "0"), "0 is not in the range"),
        (("--chip", "tiny", "--net", "lstm_tiny", "--images", "9999"), "characters = 9999: "),
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
    status, told = command(monkeypatch, capsys, "sweep", *arguments, *output)
    assert status == 2 and told.startswith("caduceus: ") and told.count("\n") == 1
    assert sentence in told


def test_help(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["caduceus", "sweep", "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().out
    assert not end.value.code and told.startswith("Usage: caduceus sweep")
    assert "ideal,hermes_odp,hermes_tdp" in told and "25,3600,86400,2592000" in told


def test_a_scheduler_that_does_not_answer_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("caduceus.study.point_store.PointStore.load", lambda *_: None)
    status, told = command(
        monkeypatch, capsys, "sweep", *TINY, "--pcm", "ideal", "--scheduler", "tcp://127.0.0.1:1",
        "--output", tmp_path,
    )  # fmt: skip
    assert status == 2 and told.count("\n") == 1
    assert told.startswith("caduceus: scheduler 'tcp://127.0.0.1:1': does not answer: allowed is")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--table", "--pcm", "ideal"), "--pcm: allowed with one measurement"),
        (("--table", "--age", "3"), "--age: allowed with one measurement"),
        (("--seeds", "3"), "--seeds: allowed with --table or --mvm-error"),
        (("--workers", "3"), "--workers: allowed with --table"),
        (("--table", "--mvm-error"), "expected one of the two"),
        (("--mvm-error", "--images", "3"), "--images: allowed with images of a network"),
        (("--pcm", "nope"), "unknown PCM model 'nope'"),
        (("--age", "-1"), "Invalid value for '--age'"),
        (("--chip", "tiny", "--images", "1", "--pcm", "generic", "--age", "nan"), "'--age': nan: "),
    ],
)
def test_a_mistake_of_accuracy_is_one_sentence(monkeypatch, capsys, arguments, sentence):
    status, told = command(monkeypatch, capsys, "accuracy", *arguments)
    assert status == 2 and told.startswith("caduceus: ") and told.count("\n") == 1
    assert sentence in told


def test_a_single_accuracy_names_its_devices(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv",
        ["caduceus", "accuracy", *TINY, "--pcm", "hermes_tdp", "--seed", "7", "--age", "3600"],
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    told = capsys.readouterr().out
    assert "hermes_tdp devices, seed 7, 3600 s old: golden" in told and "of 20 images" in told
    point = Point("fashion_tiny", "tiny", "4-phase", "hermes_tdp", None, 7, 3600.0, 20)
    assert f"golden {points.measure(point).value:.2%}" in told


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
