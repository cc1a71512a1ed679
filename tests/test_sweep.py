"""Sweeps: which points, what is measured again, what files say. Nothing here starts a process."""

import csv
import io
import math
import shutil
import struct

import numpy as np
import pytest
from rich.console import Console
from sweep_fakes import here, made_up

from caduceus.spec.errors import UserError
from caduceus.spec.network import NETWORKS
from caduceus.spec.shipped import shipped_folder
from caduceus.spec.sources import sources
from caduceus.study import collect, sweep, sweep_plot
from caduceus.study.average import mean_deviation
from caduceus.study.dask_workers import Workers
from caduceus.study.point_store import PointStore
from caduceus.study.points import Measured, Point, key
from caduceus.study.sweep import Grid

QUIET = Console(quiet=True)
MONTH = 2_592_000.0


def settings(folder, name: str, *lines: str) -> str:
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(("format: 1", *lines)) + "\n")
    return str(path)


def grid(pcm, seeds=range(2), ages=(25.0, 3600.0), compensate=(None,), modes=("4-phase",)) -> Grid:
    return Grid(("fashion_tiny",), "tiny", modes, pcm, seeds, ages, compensate, 20)


# --- which points ------------------------------------------------------------------------------


def test_everything_is_combined_with_everything_that_matters():
    found = grid(("hermes_odp", "generic"), range(3), compensate=(False, True)).points()
    assert len(found) == len(set(found)) == 2 * 3 * 2 * 2
    assert {(point.seed, point.age, point.compensate) for point in found} == {
        (seed, age, on) for seed in range(3) for age in (25, 3600) for on in (False, True)
    }
    assert all(point.count == 20 and point.chip == "tiny" for point in found)


def test_ideal_devices_are_one_point():
    found = grid(("ideal",), range(7), compensate=(False, True), modes=("1-phase", "4-phase"))
    assert found.points() == [
        Point("fashion_tiny", "tiny", mode, "ideal", False, 0, 0.0, 20)
        for mode in ("1-phase", "4-phase")
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("model: ideal", "adc_offset: 1.0"), 3),  # converters differ; nothing ages
        (("model: ideal", "adc_gain_spread: 0.1"), 3),
        (("model: ideal", "device_yield: 0.9"), 3),
        (("model: ideal", "calibrate: true"), 1),
        (("model: generic",), 3 * 2 * 2),
        (("model: generic", "drift: false"), 3 * 2),  # there is nothing to compensate
        (("model: generic", "drift: false", "read_noise: false"), 3),
        (("model: generic", "drift: false", "read_noise: false", "programming_noise: false"), 1),
    ],
)
def test_what_does_not_matter_is_not_multiplied(tmp_path, lines, expected):
    pcm = settings(tmp_path, "mine", *lines)
    found = grid((pcm,), range(3), compensate=(False, True)).points()
    assert len(found) == expected


def test_compensation_as_the_settings_say(tmp_path):
    assert all(point.compensate for point in grid(("hermes_tdp",)).points())
    without = settings(tmp_path, "without", "model: hermes_tdp")
    assert not any(point.compensate for point in grid((without,)).points())


def test_points_are_sorted_whatever_the_order_of_what_is_asked():
    forth = grid(("generic", "hermes_odp"), (0, 1, 11), (25.0, 3600.0)).points()
    back = grid(("hermes_odp", "generic"), (11, 1, 0), (3600.0, 25.0)).points()
    assert forth == back
    assert [point.seed for point in forth[:3]] == [0, 1, 11]


@pytest.mark.parametrize(
    "nothing", ["networks", "read_modes", "pcm", "seeds", "ages", "compensate"]
)
def test_a_sweep_of_nothing_is_refused(nothing):
    full = grid(("ideal",))
    with pytest.raises(UserError, match=f"^{nothing}: got nothing, expected one or more"):
        Grid(**{**vars(full), nothing: ()}).points()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"age": -1.0}, "age: got -1, expected 0 to 1e\\+10 seconds"),
        ({"age": math.nan}, "age: got nan, expected"),
        ({"age": 2e10}, "age: got 2e\\+10, expected"),
        ({"seed": -1}, "seed: got -1, expected 0 to 2\\*\\*64 - 1"),
        ({"seed": 1 << 64}, "seed: got 18446744073709551616, expected"),
        ({"count": 0}, "images: got 0, expected 1 or more"),
    ],
)
def test_a_point_that_cannot_be_is_refused(change, sentence):
    fields = dict(
        network="fashion_tiny", chip="tiny", read_mode="4-phase", pcm="generic", compensate=None,
        seed=0, age=25.0, count=None,
    )  # fmt: skip
    with pytest.raises(UserError, match=sentence):
        Point(**{**fields, **change})


# --- which points are the same -----------------------------------------------------------------

POINT = Point("fashion_tiny", "tiny", "4-phase", "hermes_odp", True, 3, 25.0, 20)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "resnet_tiny"}, {"chip": "hermes"}, {"read_mode": "1-phase"},
        {"pcm": "hermes_tdp"}, {"compensate": False}, {"seed": 4}, {"age": 26.0}, {"count": 19},
        {"count": None},
    ],
)  # fmt: skip
def test_another_measurement_has_another_key(change):
    assert key(Point(**{**vars(POINT), **change})) != key(POINT)


def test_a_key_is_of_contents_and_not_of_names(tmp_path):
    shutil.copytree(shipped_folder(NETWORKS) / "fashion_tiny", tmp_path / "net")
    copied = settings(
        tmp_path, "odp", "model: hermes_odp", "adc_gain_spread: 0.0709", "adc_offset: 1.0",
        "calibrate: true",
    )  # fmt: skip
    same = {**vars(POINT), "network": str(tmp_path / "net" / "network.yaml"), "pcm": copied}
    assert key(Point(**same)) == key(POINT)


def test_per_core_is_another_measurement_unless_the_network_is_scaled_so(tmp_path):
    """The shipped network is."""
    shutil.copytree(shipped_folder(NETWORKS) / "fashion_tiny", tmp_path / "net")
    path = tmp_path / "net" / "network.yaml"
    path.write_text(path.read_text().replace("scaling: core\n", ""))
    by_column = Point(**{**vars(POINT), "network": str(path)})
    per_core = Point(**{**vars(by_column), "per_core": True})
    assert key(per_core) == key(POINT) == key(Point(**{**vars(POINT), "per_core": True}))
    assert key(by_column) != key(per_core)
    assert str(per_core).endswith(", scaled per core")


def test_other_weights_have_another_key(tmp_path):
    shutil.copytree(shipped_folder(NETWORKS) / "fashion_tiny", tmp_path / "net")
    with np.load(tmp_path / "net" / "weights.npz") as file:
        arrays = dict(file)
    arrays["conv1.bias"] = arrays["conv1.bias"] + np.float32(0.5)
    np.savez(tmp_path / "net" / "weights.npz", **arrays)
    other = {**vars(POINT), "network": str(tmp_path / "net" / "network.yaml")}
    assert key(Point(**other)) != key(POINT)


def test_without_age_compensation_changes_nothing():
    fresh = {**vars(POINT), "age": 0.0}
    assert key(Point(**fresh)) == key(Point(**{**fresh, "compensate": False}))


def test_sources_are_what_is_imported():
    found = {
        str(path.relative_to(shipped_folder(NETWORKS).parent))
        for path in sources("caduceus.study.points")
    }
    assert {
        "caduceus/study/points.py", "golden/fast/tile.py", "caduceus/devices/ageing.py",
        "caduceus/spec/formats.py",
    } <= found  # fmt: skip
    assert {
        "caduceus/data/streams.py",
        "caduceus/compiler/cnn.py",
        "caduceus/devices/__init__.py",
    } <= found
    # What shows results does not decide them.
    assert not found & {
        "caduceus/study/sweep.py",
        "caduceus/cli/main.py",
        "caduceus/study/rtl_run.py",
    }
    assert not any(path.startswith(("hdl/", "tb/")) for path in found)


# --- what is measured again --------------------------------------------------------------------


def test_a_second_run_measures_nothing_and_a_lost_point_once(tmp_path, monkeypatch):
    measured = here(monkeypatch)
    store, asked = PointStore(tmp_path), grid(("ideal", "generic")).points()
    first = collect.collect(asked, Workers(), QUIET, store)
    assert measured == asked and len(asked) == 1 + 2 * 2
    assert first == {point: made_up(point) for point in asked}
    measured.clear()
    assert collect.collect(asked, Workers(), QUIET, store) == first
    assert measured == []
    (tmp_path / f"{key(asked[2])}.json").unlink()
    assert collect.collect(asked, Workers(), QUIET, store) == first
    assert measured == [asked[2]]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"measured": {"metric": "bpc"}}'])
def test_a_damaged_point_is_measured_again(tmp_path, monkeypatch, content):
    measured = here(monkeypatch)
    (tmp_path / f"{key(POINT)}.json").write_text(content)
    results = collect.collect([POINT], Workers(), QUIET, PointStore(tmp_path))
    assert measured == [POINT] and results == {POINT: made_up(POINT)}


def test_what_is_one_measurement_is_measured_once(tmp_path, monkeypatch):
    measured = here(monkeypatch)
    asked = grid(("generic",), range(1), (0.0,), (False, True)).points()
    results = collect.collect(asked, Workers(), QUIET, PointStore(tmp_path))
    assert len(asked) == len(results) == 2 and len(measured) == 1
    assert len(set(results.values())) == 1


def test_what_was_finished_before_an_error_is_kept(tmp_path, monkeypatch):
    def fails(point: Point) -> Measured:
        if point.seed == 2:
            raise UserError("seed 2 is no good")
        return made_up(point)

    here(monkeypatch, fails)
    output, store = tmp_path / "out", PointStore(tmp_path / "store")
    with pytest.raises(UserError, match=r"^seed 2 is no good$"):
        sweep.run(grid(("generic",), range(4), (25.0,)), Workers(), output, QUIET, store)
    assert len(list((tmp_path / "store").iterdir())) == 2
    rows = list(csv.DictReader((output / "points.csv").open()))
    assert [row["seed"] for row in rows] == ["0", "1"]


def test_how_far_it_is(tmp_path, monkeypatch):
    here(monkeypatch)
    out = io.StringIO()
    asked = grid(("generic",), range(4), (25.0,)).points()
    collect.collect(asked[:1], Workers(), QUIET, PointStore(tmp_path))
    collect.collect(asked, Workers(), Console(file=out, width=200), PointStore(tmp_path))
    lines = out.getvalue().splitlines()
    assert lines[0] == "4 points: 1 stored, 3 to measure"
    # Two left, 2 s each, on two workers.
    assert lines[1].startswith("2 of 4: fashion_tiny on tiny, 4-phase, generic, seed 1, 25 s old")
    assert lines[1].endswith("compensated: accuracy 0.6100; about 2 s left")
    assert lines[3].endswith("accuracy 0.6300") and len(lines) == 4


# --- what is written ---------------------------------------------------------------------------


def test_the_table_of_points():
    results = {
        Point("b", "tiny", "4-phase", "generic", True, 1, 3600.0, 7): Measured(
            "accuracy", 0.25, 0.5, 7, 1.26
        ),
        Point("a", "tiny", "4-phase", "generic", False, 0, MONTH): Measured(
            "bpc", 1.5, None, 99, 10.0
        ),
    }
    assert sweep.table(results).splitlines() == [
        "network,chip,read_mode,pcm,compensate,seed,age,images,metric,value,reference,count,seconds",
        "a,tiny,4-phase,generic,off,0,2592000.0,,bpc,1.5,,99,10.0",
        "b,tiny,4-phase,generic,on,1,3600.0,7,accuracy,0.25,0.5,7,1.3",
    ]


def test_a_sweep_leaves_its_table_and_picture(tmp_path, monkeypatch):
    here(monkeypatch)
    written = []
    monkeypatch.setattr(
        sweep, "write_whole", lambda path, content, _: written.append((path.name, content))
    )
    asked = grid(("ideal", "generic"))
    results = sweep.run(asked, Workers(), tmp_path, QUIET, PointStore(tmp_path / "store"))
    # Before the first point, after each one; and the picture.
    assert [name for name, _ in written] == ["points.csv"] * (1 + 5) + ["accuracy.png"]
    assert [content.count("\n") for _, content in written[:-1]] == [1, 2, 3, 4, 5, 6]
    assert written[-2][1] == sweep.table(results)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_the_picture_has_a_plot_for_each_network(tmp_path):
    asked = grid(("ideal", "generic"), compensate=(False, True), ages=(0.0, 25.0)).points()
    one = {point: made_up(point) for point in asked}
    two = one | {
        Point("lstm", "tiny", "4-phase", "ideal", False, 0, 0.0): Measured("bpc", 2.0, 1.0, 9, 1.0)
    }
    width, height = size(sweep_plot.picture(one))
    assert size(sweep_plot.picture(two)) == (width, 2 * height)


def test_lines_are_means_and_deviations(monkeypatch):
    drawn = {}

    class Axes:
        def errorbar(self, x, y, errors, **style):
            drawn[style["label"]] = (x, y, errors)

        def axhline(self, y, **style):
            drawn[style["label"]] = y

        def __getattr__(self, _):
            return lambda *_, **__: None

    asked = grid(("ideal", "generic"), compensate=(True,)).points()
    results = {point: made_up(point) for point in asked}
    sweep_plot._plot(Axes(), "fashion_tiny", "accuracy", results)
    assert drawn["float, whole test set"] == 90.0 and drawn["quantised, ideal"] == 50.0
    x, y, errors = drawn["generic, drift compensated"]
    assert x == [25.0, 3600.0]
    # Seeds 0 and 1: 60 and 61 %, less 0.001 % for each 100 s.
    assert y == pytest.approx([60.5 - 0.00025, 60.5 - 0.036])
    assert errors == pytest.approx([math.sqrt(0.5)] * 2)


def test_mean_and_deviation():
    mean, deviation = mean_deviation([1.0, 2.0, 6.0])
    assert mean == 3.0 and deviation == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    mean, deviation = mean_deviation([4.0])
    assert mean == 4.0 and math.isnan(deviation)
