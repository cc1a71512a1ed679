"""Commands with the user's own data, in place of a network's data set."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from command_line import here

import caduceus
from caduceus.data import inputs, own_inputs, pictures, sample
from caduceus.host.real_values import Ends
from caduceus.spec.errors import UserError
from caduceus.spec.graph import Graph
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData
from caduceus.study import points
from caduceus.study.dask_workers import Workers
from caduceus.study.opened import Options, opened
from caduceus.study.point_store import PointStore
from caduceus.study.points import Point
from caduceus.study.sweep import Grid
from caduceus.study.sweep import run as sweep

TINY = caduceus.Chip.find("tiny")
IMAGES, LABELS = pictures.pictures(Network.find("fashion_tiny").graph, 20)
RANDOM = np.random.default_rng(3)


@pytest.fixture
def data(tmp_path):
    """The first 20 images of Fashion-MNIST as a user has them."""
    np.savez(tmp_path / "mine.npz", inputs=(IMAGES / 255).astype(np.float32), labels=LABELS)
    return tmp_path / "mine.npz"


def point(**changes: object) -> Point:
    return replace(Point("fashion_tiny", "tiny", "4-phase", "ideal", False, 0, 0.0, 20), **changes)


def test_the_same_images_have_the_same_accuracy(data, tmp_path):
    expected, found = points.measure(point()), points.measure(point(data=str(data)))
    assert (found.metric, found.value, found.count) == ("accuracy", expected.value, 20)
    assert found.reference is None and expected.reference is not None
    np.savez(tmp_path / "bytes.npz", inputs=IMAGES, labels=LABELS)
    assert points.measure(point(data=str(tmp_path / "bytes.npz"))).value == expected.value
    fewer = points.measure(point(data=str(data), count=7))
    assert fewer.value == points.measure(point(count=7)).value


def test_the_key_of_a_point_is_of_its_data(data, tmp_path):
    copy = shutil.copy(data, tmp_path / "copy.npz")
    plain, own = points.key(point()), points.key(point(data=str(data)))
    assert plain != own == points.key(point(data=copy))
    np.savez(copy, inputs=(IMAGES / 255).astype(np.float32), labels=LABELS[::-1])
    assert points.key(point(data=copy)) != own


def targets_of(network: Network, x: np.ndarray) -> np.ndarray:
    """The network's outputs in real units, from its INT8 ones."""
    program = caduceus.compile(network, TINY)
    outputs = caduceus.Golden(program).run(Ends.of(network).to_int8(x)).outputs
    return outputs.reshape(len(x), -1) * network.graph.nodes[-1].output_scale


def test_the_error_is_of_real_units(tmp_path):
    network = Network.find("fashion_tiny")
    exact = targets_of(network, IMAGES)
    for offset, expected in ((0.0, 0.0), (0.25, 0.25)):
        signs = RANDOM.choice([-1, 1], exact.shape)
        np.savez(tmp_path / "a.npz", inputs=IMAGES, targets=exact + offset * signs)
        found = points.measure(point(data=str(tmp_path / "a.npz"), count=None))
        assert (found.metric, found.count) == ("rmse", 20)
        assert found.value == pytest.approx(expected, abs=1e-12)


def test_accuracy_prints_it_and_keeps_it(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path / "build"))
    options = ("--chip", "tiny", "--net", "fashion_tiny", "--data", data)
    run = here("accuracy", *options)
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "build" / "accuracy.json").read_text())
    assert (report["metric"], report["count"], report["unit"]) == ("accuracy", 20, "images")
    assert report["value"] == points.measure(point()).value
    assert f"golden {report['value']:.2%} of 20 images" in run.stdout
    output = tmp_path / "result.json"
    run = here("run", *options, "--images", 5, "--output", output)
    assert run.returncode == 0, run.stderr
    metric = json.loads(output.read_text())["metric"]
    assert metric["golden_whole_set"] == report["value"] and metric["count"] == 5
    assert " of 5 classified correctly" in run.stdout


def test_run_shows_the_error(tmp_path):
    exact = targets_of(Network.find("fashion_tiny"), IMAGES[:3])
    np.savez(tmp_path / "a.npz", inputs=IMAGES[:3], targets=exact + 0.125)
    output = tmp_path / "result.json"
    run = here(
        "run", "--chip", "tiny", "--net", "fashion_tiny", "--data", tmp_path / "a.npz",
        "--images", 3, "--output", output,
    )  # fmt: skip
    assert "root mean square error 0.125 over these 3" in run.stdout, run.stderr
    report = json.loads(output.read_text())
    assert report["metric"]["name"] == "rmse" and report["predictions"] is None


def test_workers_read_the_data(data, tmp_path):
    from rich.console import Console

    grid = Grid(
        ("fashion_tiny",), "tiny", ("1-phase",), ("ideal", "hermes_odp"), (0,), (0.0,), (None,),
        9, data=str(data),
    )  # fmt: skip
    console = Console(quiet=True)
    found = sweep(grid, Workers(count=2), tmp_path / "out", console, PointStore(tmp_path / "kept"))
    for each, result in found.items():
        assert result.value == points.measure(replace(each, data=None)).value
    again = sweep(grid, Workers(count=2), tmp_path / "out", console, PointStore(tmp_path / "kept"))
    assert again == found


MISTAKES = [
    ({}, ("--images", "21"), "images: got 21, expected 1 to 20 of the data"),
    ({"labels": None}, (), "got inputs alone, expected labels or targets too"),
    ({"labels": LABELS + 1}, (), "labels: got 10, expected 0 to 9"),
    ({"labels": np.tile(LABELS[:, None], 2)}, (), "labels: shape: got [20, 2], expected [n]"),
    (
        {"labels": None, "targets": np.zeros((20, 9))}, (),
        "targets: shape: got [20, 9], expected [n, 10]",
    ),
    ({"inputs": IMAGES[:, 1:]}, (), "shape: got [1, 27, 28, 1], expected [n, 28, 28, 1] (hwc)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "options", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path, change, options, sentence):
    arrays = {"inputs": IMAGES, "labels": LABELS, **change}
    file = tmp_path / "a.npz"
    np.savez(file, **{key: array for key, array in arrays.items() if array is not None})
    for command in ("accuracy", "sweep"):
        run = here(command, "--chip", "tiny", "--net", "fashion_tiny", "--data", file, *options)
        assert run.returncode == 2 and sentence in run.stderr and run.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    run = here("run", "--chip", "tiny", "--net", "fashion_tiny", "--data", tmp_path / "none.npz")
    assert run.returncode == 2
    assert "none.npz: cannot read the data: No such file" in run.stderr
    run = here("run", "--chip", "tiny", "--data", "")
    assert "--data: got nothing, expected a path" in run.stderr


def test_own_data_beside_a_description(data, tmp_path):
    found = opened("fashion_tiny", TINY, Options(data=str(data)))
    content = found.graph.model_dump(exclude_unset=True, exclude={"metric"})
    own = replace(found, graph=Graph.model_validate(content | {"dataset": "own"}))
    own.save(tmp_path / "net")
    path = str(tmp_path / "net" / "network.yaml")
    measured = points.measure(point(network=path, count=None))
    assert (measured.metric, measured.count) == ("accuracy", 20)
    (tmp_path / "net" / "data.npz").unlink()
    silent = Network.load(path)
    assert sample(silent) is None
    sentence = r"there is no data\.npz beside its description: expected that file, or another with"
    with pytest.raises(UserError, match=sentence):
        inputs(silent)
    with pytest.raises(UserError, match=sentence):
        points.measure(point(network=path))
    assert caduceus.compile(silent, TINY).sample is None


def test_the_sample_is_of_the_data(data):
    found = opened("fashion_tiny", TINY, Options(data=str(data)))
    steps = Ends.of(found).to_int8(IMAGES[:16])
    np.testing.assert_array_equal(sample(found), steps)


# --- sequences --------------------------------------------------------------------------------


def recurrent(data: OwnData, *after: str) -> Network:
    """`lstm_tiny` on numbers of its symbols."""
    network = Network.find("lstm_tiny")
    content = network.graph.model_dump(exclude_unset=True, exclude={"metric"})
    content["input"].pop("symbols")
    host = {
        "before": ({"op": "embedding", "entries": len(network.embedding)},),
        "after": tuple({"op": each} for each in after),
    }
    graph = Graph.model_validate(content | {"dataset": "own", "host": host})
    return replace(network, graph=graph, text=None, data=data)


TOKENS = RANDOM.integers(0, 16, (6, 9))


def test_a_label_for_each_step_or_for_the_last(tmp_path):
    outputs = caduceus.Golden(
        caduceus.compile(Network.find("lstm_tiny"), TINY, "4-phase")
    ).run(TOKENS).outputs  # fmt: skip
    classes = outputs.argmax(axis=-1)
    wrong = (classes[:, -1] + np.arange(6) % 2) % 16
    for number, (after, labels, value) in enumerate(
        (
            ((), classes, 1.0),
            (("argmax",), classes, 1.0),
            (("last_step", "softmax"), wrong, 0.5),
            (("argmax", "last_step"), wrong, 0.5),
        )
    ):
        network = recurrent(OwnData(TOKENS, labels=labels), *after)
        network.save(tmp_path / str(number))
        path = str(tmp_path / str(number) / "network.yaml")
        found = points.measure(point(network=path, count=None))
        assert (found.metric, found.value, found.count) == ("accuracy", value, 6)


def test_the_result_names_what_the_host_does(tmp_path):
    host = {
        "layout": "vector",
        "before": ({"op": "normalize", "factor": (0.5,), "shift": (0.25,), "origin": "/scale"},),
        "after": ({"op": "softmax", "origin": "/out"},),
    }
    network = Network.find("fashion_tiny")
    content = network.graph.model_dump(exclude_unset=True, exclude={"metric"})
    graph = Graph.model_validate(content | {"dataset": "own", "host": host})
    x = IMAGES.reshape(20, -1) / 255
    own = replace(network, graph=graph, data=OwnData(x, labels=LABELS))
    own.save(tmp_path / "net")
    output = tmp_path / "result.json"
    run = here(
        "run", "--chip", "tiny", "--net", tmp_path / "net" / "network.yaml", "--images", 4,
        "--output", output,
    )  # fmt: skip
    words = "on the host: normalize before the chip (node /scale), softmax after the chip (node /o"
    assert run.returncode == 0 and words in run.stdout, run.stderr
    report = json.loads(output.read_text())
    assert report["host"] == [
        {"op": "normalize", "origin": "/scale", "when": "before"},
        {"op": "softmax", "origin": "/out", "when": "after"},
    ]
    result = caduceus.Golden(caduceus.compile(own, TINY)).run(x[:4])
    assert report["outputs"] == result.outputs.tolist()
    np.testing.assert_allclose(result.real.sum(axis=1), 1)
    assert report["predictions"] == result.real.argmax(axis=1).tolist()


def test_a_sequence_is_taken_whole_if_its_last_step_counts():
    network = recurrent(OwnData(TOKENS, labels=TOKENS[:, 0]), "last_step")
    given = inputs(network, sequences=2)
    assert given.x.shape == (2, 9, 8) and given.own.labels.shape == (2,)
    with pytest.raises(UserError, match=r"steps: got 5, expected 9: only the last step's output"):
        inputs(network, 5)
    with pytest.raises(UserError, match=r"sequences: got 7, expected 1 to 6 of the data"):
        inputs(network, sequences=7)
    # Sequences one after another, up to the 64 steps of a sample.
    steps = network.embedding[TOKENS.reshape(1, -1)]
    np.testing.assert_array_equal(sample(network), steps)
    several = replace(network, data=OwnData(np.tile(TOKENS, (3, 1))))
    np.testing.assert_array_equal(sample(several), np.tile(steps, (1, 2, 1))[:, :64])


def test_steps_are_cut_with_their_labels():
    network = recurrent(OwnData(TOKENS, labels=TOKENS))
    given = inputs(network, 4, sequences=3)
    assert given.x.shape == (3, 4, 8) and given.count == 12
    np.testing.assert_array_equal(given.own.labels, TOKENS[:3, :4])
    with pytest.raises(UserError, match=r"steps: got 10, expected 1 to 9 of the data"):
        inputs(network, 10)
    with pytest.raises(UserError, match=r"labels: shape: got \[6\], expected \[n, 9\]"):
        own_inputs.demanded(recurrent(OwnData(TOKENS, labels=TOKENS[:, 0])))
