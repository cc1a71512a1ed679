"""The accuracy table: which points, statistics worked out by hand, what is printed."""

import csv
import io
from math import isnan

import pytest
from rich.console import Console
from sweep_fakes import here

from caduceus.study import accuracy_table, collect
from caduceus.study.accuracy_table import Request, Row, rows, tables, text, value
from caduceus.study.ages import AGES
from caduceus.study.dask_workers import Workers
from caduceus.study.point_store import PointStore
from caduceus.study.points import Measured, Point

REQUEST = Request(("resnet9", "lstm_ptb"), "hermes", "4-phase", range(2), 100)
LOSS = {"hermes_odp": 0.02, "hermes_tdp": 0.01}


def result(point: Point) -> Measured:
    """Seeds 0 and 1 are 0.001 below and above; compensation is worth 0.1; an hour and more 0.2."""
    if point.pcm == "ideal":
        value = 0.9
    else:
        old = point.age >= 3600
        value = 0.8 - LOSS[point.pcm] + 0.1 * point.compensate - 0.2 * old
        value += 0.001 * (2 * point.seed - 1)
    if point.network == "resnet9":
        return Measured("accuracy", value, 0.95, 100, 1.0)
    return Measured("bpc", 2 - value, 1.0, 99, 1.0)


RESULTS = {point: result(point) for point in REQUEST.points()}
ROWS = rows(REQUEST, RESULTS)


def test_points_are_all_devices_ages_seeds_and_both_compensations():
    points = REQUEST.points()
    assert len(points) == len(set(points)) == 2 * (1 + 2 * 4 * 2 * 2)
    assert points[0] == Point("resnet9", "hermes", "4-phase", "ideal", False, 0, 0.0, 100)
    assert {point.age for point in points[1:33]} == {25.0, 3600.0, 86400.0, 2592000.0}
    # What does not matter is at its plain value, so a sweep has the same points.
    assert all(point.plain() == point for point in points)


def test_rows_of_a_network():
    mine = [row for row in ROWS if row.network == "resnet9"]
    assert [(row.devices, row.age, row.compensate) for row in mine] == [
        ("float", "", None),
        ("quantised", "", None),
        *(
            row
            for devices in ("ODP", "TDP")
            for row in (
                (devices, "", None),
                *((devices, age, compensate) for compensate in (True, False) for age in AGES),
            )
        ),
    ]
    assert (mine[0].mean, mine[1].mean) == (0.95, 0.9)
    assert [row.count for row in mine[:4]] == [0, 100, 0, 100]


@pytest.mark.parametrize(
    ("network", "devices", "age", "compensate", "mean"),
    [
        ("resnet9", "ODP", "25 s", True, 0.88),
        ("resnet9", "ODP", "25 s", False, 0.78),
        ("resnet9", "TDP", "1 h", True, 0.69),
        ("lstm_ptb", "TDP", "30 d", False, 1.41),
        ("lstm_ptb", "ODP", "1 d", True, 1.32),
    ],
)
def test_mean_and_deviation_over_the_seeds(network, devices, age, compensate, mean):
    (row,) = (
        row
        for row in ROWS
        if (row.network, row.devices, row.age, row.compensate)
        == (network, devices, age, compensate)
    )
    assert row.mean == pytest.approx(mean, abs=1e-12) and row.seeds == 2
    # Two values, 0.001 to both sides: sqrt(2 * 0.001 ** 2 / (2 - 1)).
    assert row.deviation == pytest.approx(0.001 * 2**0.5)


def test_published_figures_are_there_once_and_of_no_age():
    found = [row for row in ROWS if row.published is not None]
    assert not any(row.age for row in found) and len(found) == 8
    assert {(row.network, row.devices): row.published for row in found} == {
        ("resnet9", "float"): 0.9367, ("resnet9", "quantised"): 0.9343,
        ("resnet9", "ODP"): 0.9223, ("resnet9", "TDP"): 0.9281,
        ("lstm_ptb", "float"): 1.336, ("lstm_ptb", "quantised"): 1.358,
        ("lstm_ptb", "ODP"): 1.456, ("lstm_ptb", "TDP"): 1.433,
    }  # fmt: skip


def test_other_networks_have_none():
    asked = Request(("fashion_tiny",), "tiny", "4-phase", range(1))
    results = {point: Measured("accuracy", 0.5, None, 9, 1.0) for point in asked.points()}
    found = rows(asked, results)
    assert [row.devices for row in found[:3]] == ["float", "quantised", "ODP"]
    # What training did not measure is a dash.
    line = next(line for line in printed(*tables(asked, found)).splitlines() if "float " in line)
    assert isnan(found[0].mean) and "–" in line
    assert all(row.published is None for row in found)


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        (("accuracy", 0.92345), "92.34"),
        (("accuracy", 0.9, 0.01234), "90.00 ± 1.23"),
        (("bpc", 1.4564), "1.456"),
        (("bpc", 1.4564, 0.0006), "1.456 ± 0.001"),
    ],
)
def test_values_as_they_are_printed(given, printed):
    assert value(*given) == printed


def printed(table) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def test_what_is_printed():
    images, characters = map(printed, tables(REQUEST, ROWS))
    assert "resnet9 on chip hermes, 4-phase reads: accuracy in %" in images
    assert "lstm_ptb on chip hermes, 4-phase reads: bits per character" in characters
    cells = [
        tuple(cell.strip() for cell in line.split("│")[1:-1])
        for line in images.splitlines()
        if line.startswith("│")
    ]
    assert cells[:4] == [
        ("float", "", "", "95.00", "93.67"),
        ("quantised", "", "", "90.00", "93.43"),
        ("ODP", "", "", "", "92.23"),
        ("ODP", "25 s", "yes", "88.00 ± 0.14", ""),
    ]
    assert ("TDP", "30 d", "no", "59.00 ± 0.14", "") in cells and len(cells) == 20
    joined = " ".join(images.split())
    assert "100 images" in joined and "2 seeds" in joined and "ResNet-9, CIFAR-10" in joined
    assert "devices of unknown age" in joined
    assert "99 characters" in characters and "│ 1.120 ± 0.001 │           │" in characters


def test_the_file(tmp_path, monkeypatch):
    measured = here(monkeypatch, result)
    monkeypatch.setattr(collect, "check", lambda _: None)  # data sets need not be there
    output, store = tmp_path / "a" / "table.csv", PointStore(tmp_path / "store")
    out = io.StringIO()
    console = Console(file=out, width=120)
    assert accuracy_table.run(REQUEST, Workers(), console, output, store)[-1] == ROWS[-1]
    assert len(measured) == 66 and out.getvalue().startswith("66 points: 0 stored, 66 to measure")
    found = list(csv.DictReader(output.open()))
    assert output.read_text() == text(REQUEST, ROWS) and len(found) == 40
    assert found[0] == dict(
        network="resnet9", chip="hermes", read_mode="4-phase", devices="float", age="",
        compensate="", metric="accuracy", mean="0.95", deviation="", seeds="0", count="",
        published="0.9367",
    )  # fmt: skip
    assert (found[-1]["age"], found[-1]["compensate"], found[-1]["seeds"]) == (
        "2592000",
        "off",
        "2",
    )
    assert float(found[-1]["mean"]) == ROWS[-1].mean and found[-1]["count"] == "99"
    measured.clear()
    accuracy_table.run(REQUEST, Workers(), console, output, store)
    assert measured == []


def test_one_seed_has_no_deviation():
    asked = Request(("resnet9",), "hermes", "4-phase", range(1), 100)
    found = rows(asked, {point: result(point) for point in asked.points()})
    assert isinstance(found[3], Row) and value("accuracy", found[3].mean, found[3].deviation) == (
        "87.90"
    )
    lines = [line.split(",") for line in text(asked, found).splitlines()]
    assert lines[3][7:9] == ["", ""] and lines[4][7] != "" and lines[4][8] == ""
