"""Convolutional networks from the command line: end to end runs, placement, trace, mistakes."""

import dataclasses
import json
import re

import numpy as np
import pytest
from cnn_networks import conv, written
from command_line import caduceus, here
from rich.console import Console

from caduceus.compiler.network import compile_network
from caduceus.data import inputs
from caduceus.golden import machine
from caduceus.sim import job, pipeline, recording
from caduceus.sim.golden import Golden
from caduceus.sim.result import Figures
from caduceus.sim.simulation import Simulation
from caduceus.spec import chip, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Pool
from caduceus.spec.network import Network
from caduceus.spec.program_codes import computing, device_codes
from caduceus.spec.shipped import shipped_folder
from caduceus.study import sim_command as sim

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""

FIELDS = {field.name for field in dataclasses.fields(Figures)}
"""Of every result."""


@pytest.mark.parametrize(
    ("simulator", "mode", "count"),
    [
        ("verilator", "4-phase", 2),
        pytest.param("icarus", "1-phase", 2, marks=pytest.mark.regress),
    ],
)
def test_sim_compares_every_tile(tmp_path, simulator: str, mode: str, count: int) -> None:
    """Stride, pooling of both kinds and a residual, on the small chip."""
    output = tmp_path / "result.json"
    run = caduceus(
        "sim", "--chip", "tiny", "--net", "resnet_tiny", "--sim", simulator, "--read-mode", mode,
        "--images", count, "--output", output,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report.keys() == FIELDS
    assert (report["mismatches"], report["inputs"], report["tiles"]) == (0, count, 4)
    # Results and packets of every layer, and the outputs once more:
    # conv0 8x8x4 and 4x4x4, conv1 4x4x4, conv2 2x2x8 and 1x1x8, dense 4.
    assert report["values_compared"] == count * (256 + 64 + 2 * 64 + 32 + 8 + 2 * 4 + 4)
    assert report["mvms"] == count * (64 + 16 + 4 + 1)
    assert 0 < report["cycles_per_input"] <= report["cycles"]["sync"]
    assert all(0 < share["array"] <= 1 for share in report["shares"].values())
    layers = ["conv0", "conv1", "conv2", "dense", "chip output"]
    assert list(report["mismatches_by_layer"].items()) == [(layer, 0) for layer in layers]
    assert 0 < report["latency_ns"] < report["latency_with_input_ns"]
    trace = json.loads((tmp_path / "result.trace.json").read_text())
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    assert {name.split(": ")[1] for name in names} == {
        "conv0[0]", "conv1[0]", "conv2[0]", "dense[0]"
    }  # fmt: skip
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {span["name"] for span in spans} >= {"gather", "array", "LDPU"}
    assert all(span["dur"] >= 0 for span in spans)
    assert (tmp_path / "result.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((1, 1, 1), conv("conv", 4, kernel=3, padding=1)),
        ((2, 2, 2), conv("conv", 4, stride=2)),
        ((3, 3, 1), conv("conv", 4, kernel=3)),
    ],
    ids=["padded", "smaller kernel", "whole input"],
)
def test_sim_of_one_output_pixel(tmp_path, shape: tuple, layer) -> None:
    path, output = written(tmp_path / "net", shape, (layer,)), tmp_path / "result.json"
    options = ("--chip", "tiny", "--net", path, "--images", 2, "--output", output)
    run = caduceus("sim", "--sim", "icarus", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    # Results, packets and outputs.
    assert (report["mismatches"], report["values_compared"]) == (0, 2 * 3 * 4)
    run = caduceus("run", "--target", "sim", "--sim", "icarus", *options)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert (report["mismatches"], report["values_compared"]) == (0, 2 * 4)


def test_the_main_job_is_a_network_of_images_and_one_of_text(tmp_path) -> None:
    output = tmp_path / "result.json"
    run = caduceus("sim", "--chip", "tiny", "--images", 2, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert list(report["networks"]) == ["resnet_tiny", "lstm_tiny"]
    assert report["mismatches"] == 0
    parts = [part["values_compared"] for part in report["networks"].values()]
    assert report["values_compared"] == sum(parts) and all(parts)


def test_one_inverted_bit_of_the_rtls_devices_is_reported() -> None:
    """The whole flow with one bit of one device inverted on the RTL's side only."""
    description = Chip.find("tiny")
    found = Network.find("resnet_tiny")
    program = compile_network(found, description, ReadMode.ONE_PHASE)
    x = inputs(found, 1).x
    run = Simulation(program)
    state = pcm_state.ideal(description, device_codes(program, description))
    traces = machine.run(program, description, state, x, capture=True).tiles
    # The tile of conv1: some bit of its first row shows in its results.
    index = next(i for i, tile in enumerate(computing(program)) if tile.block.layer == "conv1")
    tile = computing(program)[index]
    for column in range(tile.config.columns):
        codes = state.codes.copy()
        codes[index, 0, column, 0] ^= 0x80
        wrong = pcm_state.ideal(description, codes)
        others = machine.run(program, description, wrong, x, capture=True).tiles
        if (others[tile.tile].results != traces[tile.tile].results).any():
            break
    else:
        raise AssertionError("no column shows the bit")
    run.prepare(x)
    pcm_state.write_hex(wrong, index, run.job / job.STATES / f"state_{tile.tile}.hex")
    result = run.simulate(capture=True)
    found = result.figures
    assert found.mismatches > 0
    first = next(each for each in found.first_mismatches if each["layer"] == "conv1")
    wanted = traces[tile.tile].results[0]
    differ = others[tile.tile].results[0] != wanted
    number = int(np.flatnonzero(differ[:, column])[0])
    y, x_of = divmod(number, len(tile.config.window.columns))
    assert first["pixel"] == {"y": y, "x": tile.config.window.columns[x_of]}
    assert (first["tile"], first["kind"], first["input"]) == (tile.tile, "result", 0)
    assert (first["column"], first["expected"]) == (column, int(wanted[number, column]))
    # The recorder saw the value while the LDPU was at work, in the clock that its time is of.
    changes = recording.activity(run.job / job.RECORD, tile.tile)
    time_ps = first["time_ns"] * 1e3
    at_work = changes[np.searchsorted(changes[:, 0], time_ps) - 1, 1]
    assert at_work & recording.COMPUTES
    period = 2 * job.half_periods(description)[0]
    assert time_ps / period == first["clock"]
    where = rf"pixel \(y={y}, x=\d+\), column {column}, at {first['time_ns']:.3f} ns \(sync clock "
    assert re.match(
        rf"layer conv1, tile {tile.tile} \(.*\), image 0, result of {where}"
        rf"{first['clock']}\): expected -?\d+, got -?\d+ \(",
        found.first_mismatch,
    ), found.first_mismatch
    # The report begins with the layer where it began, and counts what differs in every layer.
    tiles = [each for each in computing(program) if each.block.layer == "conv1"]
    differing = sum(
        int((getattr(others[each.tile], kind) != getattr(traces[each.tile], kind)).sum())
        for each in tiles
        for kind in ("results", "sent")
    )
    assert found.mismatches_by_layer["conv1"] == differing
    assert not found.mismatches_by_layer["conv0"] and found.mismatches_by_layer["conv1"]
    assert sum(found.mismatches_by_layer.values()) == found.mismatches
    of_all = found.values_by_layer["conv1"]
    assert f"mismatches of conv1: {differing} of {of_all} values\n" in result.report()
    # The library's own comparison says the same of the values that were captured.
    golden = Golden(program).run(x, capture=True)
    comparison = result.compare(golden)
    assert comparison.first_mismatches == found.first_mismatches
    assert result.report().startswith(comparison.report() + "\n")
    # What the RTL's tiles did is what golden's do on the same devices.
    for number, trace in others.items():
        assert np.array_equal(result.tiles[number].results, trace.results)
        assert np.array_equal(result.tiles[number].sent, trace.sent)


def test_no_trace_of_an_earlier_run_passes_for_this_ones(tmp_path) -> None:
    """And a result's name keeps its end, so that no file takes another's place."""
    left = [tmp_path / "out.png.trace.json", tmp_path / "out.png.png"]
    for file in left:
        file.write_text("earlier")
    what = "sim", "--chip", "tiny", "--net", "resnet_tiny", "--output", tmp_path / "out.png"
    run = here(*what, "--images", 10_000_000)
    assert run.returncode == 2 and all(file.exists() for file in left)
    run = here(*what, "--replicas", "dense=2")
    assert run.returncode == 2 and not any(file.exists() for file in left)
    run = caduceus(*what, "--images", 1)
    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "out.png").read_text())["mismatches"] == 0
    assert left[1].read_bytes().startswith(b"\x89PNG")


def test_no_result_of_a_network_passes_for_one_that_was_not_run(tmp_path, monkeypatch) -> None:
    """Of several networks the first fails."""
    names = [f"r{name}{end}" for name in ("", "-resnet_tiny", "-lstm_tiny")
             for end in (".json", ".trace.json", ".png")]  # fmt: skip
    for name in (*names, "r-other.json"):
        (tmp_path / name).write_text("earlier")

    def fail(*_: object) -> None:
        raise UserError("no room")

    monkeypatch.setattr(sim, "_run", fail)
    request = sim.Request(
        "tiny", None, "verilator", ReadMode.ONE_PHASE, None, False, tmp_path / "r.json"
    )
    with pytest.raises(UserError, match="no room"):
        sim.run(request, Console(quiet=True))
    assert [file.name for file in tmp_path.iterdir()] == ["r-other.json"]


def test_progress_ends_at_its_end_with_replicas(tmp_path) -> None:
    """The layer that makes the most results is shared by two tiles, of which one is watched."""
    pool = Pool(kind="max", size=2, stride=2)
    layers = conv("conv0", 4, kernel=2, stride=2, pool=pool), conv("conv1", 20)
    path, output = written(tmp_path / "net", (32, 32, 3), layers), tmp_path / "result.json"
    run = caduceus("sim", "--chip", "tiny", "--net", path, "--images", 2, "--replicas", "auto",
                   "--output", output)  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("replicas: conv0=2\n")
    report = json.loads(output.read_text())
    assert (report["mismatches"], report["replicas"]) == (0, {"conv0": 2})
    assert re.search(r"^simulating: 512 of 512 pixels in ", run.stdout, re.MULTILINE), run.stdout
    assert re.search(r"^simulating: 2 of 2 images in ", run.stdout, re.MULTILINE), run.stdout


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        # 15 of 31 rows, of 16 results, are dropped: an MVM takes 5.2 us.
        ((31, 16, 1), conv("conv", 4, pool=Pool(kind="average", size=16, stride=16))),
        # 63 of 64 rows, of 128 pixels, are not looked at: a pixel takes 17 clocks of 25 ns.
        pytest.param(
            (64, 128, 16),
            conv("conv", 4, stride=64, pool=Pool(kind="average", size=1, stride=1)),
            marks=pytest.mark.regress,
        ),
    ],
    ids=["pooling", "stride"],
)
def test_what_remains_of_an_image_may_take_its_time(tmp_path, shape: tuple, layer) -> None:
    """On a slow chip it is more than a millisecond that comes after the last output."""
    text = (shipped_folder(chip.CHIPS) / "tiny.yaml").read_text()
    clocks = "mvm_mhz: 1000, sync_mhz: 400"
    assert clocks in text
    (tmp_path / "slow.yaml").write_text(text.replace(clocks, "mvm_mhz: 100, sync_mhz: 40"))
    path, output = written(tmp_path / "net", shape, (layer,)), tmp_path / "result.json"
    run = caduceus(
        "sim", "--chip", tmp_path / "slow.yaml", "--net", path, "--images", 1, "--output", output
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    height, width, _ = shape
    results = -(-height // layer.stride) * -(-width // layer.stride)
    assert (report["mismatches"], report["mvms"]) == (0, results)


def test_replicas_that_do_not_help(tmp_path) -> None:
    run = here("compile", "--chip", "tiny", "--net", "resnet_tiny", "--replicas", "auto",
               "--output", tmp_path / "a.program")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("replicas: none help\n")


def test_compile_shows_placement_and_buffers(tmp_path) -> None:
    output = tmp_path / "a.program"
    run = here("compile", "--net", "resnet9", "--replicas", "auto", "--output", output)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("replicas: conv0=2,conv1=2\n")
    assert "1024 values in and 10 out per image" in run.stdout
    assert "43 of 64 tiles compute" in run.stdout
    assert "conv1: 4 tiles, 2x1 blocks in 2 replicas, 1024 vectors per image" in run.stdout
    assert "of 8192 bytes" in run.stdout
    assert "partial sums of conv7" in run.stdout and "pixels of conv6" in run.stdout
    assert output.stat().st_size > 1_800_000


def test_accuracy_of_a_few_images() -> None:
    run = here("accuracy", "--net", "resnet9", "--images", 20, "--read-mode", "1-phase")
    assert run.returncode == 0, run.stderr
    assert "of 20 images" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sim", "--chip", "tiny", "--net", "resnet9"), "takes 7298 tiles of 16x16 for 9 layers"),
        (("sim", "--net", "resnet9", "--images", "10001"), "images: got 10001, "),
        (("compile", "--net", "resnet9", "--replicas", "conv0"), "--replicas: got 'conv0', "),
        (
            ("compile", "--net", "resnet9", "--replicas", "conv9=2"),
            "replicas: got layer conv9, expected one of conv0, ",
        ),
        (
            ("compile", "--net", "resnet9", "--replicas", "conv3=2"),
            "replicas: got 2, expected 1 for a layer with a residual",
        ),
        (
            ("compile", "--net", "resnet9", "--replicas", "conv0=3"),
            "layer conv0: output width 32 is not a multiple of pool x replicas (1 x 3)",
        ),
        (("sim", "--net", "lstm_ptb", "--replicas", "auto"), "replicas of network lstm_ptb"),
        (("sim", "--net", "conv_32x16", "--replicas", "auto"), "of network conv_32x16: "),
        (
            ("sim", "--net", "conv_2016x224", "--replicas", "auto"),
            "of network conv_2016x224: ",
        ),
        (("sim", "--replicas", "auto"), "--replicas: needs --net: expected one of resnet9"),
        (
            ("compile", "--net", "conv_2016x224", "--replicas", "auto"),
            "conv_2016x224: expected none, since it is a single layer of vectors",
        ),
        (("accuracy", "--net", "resnet8"), "takes random images: expected one with a data set"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple, sentence: str) -> None:
    run = here(*arguments)
    assert run.returncode == 2
    assert sentence in run.stderr and run.stderr.count("\n") == 1
    assert "Traceback" not in run.stdout + run.stderr


def test_a_buffer_that_is_too_small_is_refused_with_what_would_do(tmp_path) -> None:
    text = (shipped_folder(chip.CHIPS) / "hermes.yaml").read_text()
    for old, new in (("name: hermes", "name: small"), ("rx: 6144", "rx: 1024"),
                     ("activation: 8192", "activation: 3584")):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "small.yaml").write_text(text)
    run = here("compile", "--chip", tmp_path / "small.yaml", "--net", "resnet9")
    assert run.returncode == 2
    assert re.search(r"chip small: buffers are too small: .* layer conv\d .* would do$", run.stderr)
    assert run.stderr.count("\n") == 1


def test_shares_of_time() -> None:
    activity = pipeline.Activity(np.array([10, 40]), np.array([20, 45]))
    edges = np.array([0, 10, 15, 30, 50])
    np.testing.assert_allclose(activity.between(edges), [0, 1, 1 / 3, 0.25])
    nothing = pipeline.Activity(np.array([], int), np.array([], int))
    np.testing.assert_array_equal(nothing.between(edges), 0)
