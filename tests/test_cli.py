"""The command line as a user meets it: results, exit statuses, one sentence for each mistake."""

import dataclasses
import json
import re
import shutil

import pytest
from command_line import caduceus, here

from caduceus.compiler.network import compile_network
from caduceus.data import inputs
from caduceus.sim.job import STATES
from caduceus.sim.result import Figures
from caduceus.sim.simulation import Simulation
from caduceus.spec import chip
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import NETWORKS, Network
from caduceus.spec.program_codes import computing
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.random_layer import random_layer

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""

FIELDS = {field.name for field in dataclasses.fields(Figures)}
"""Of every result."""


def test_without_a_command_there_is_help():
    run = caduceus()
    assert run.returncode == 0 and run.stdout == here("--help").stdout


def test_a_mistake_is_one_sentence_of_a_process_too():
    run = caduceus("sim", "--chip", "nope")
    assert run.returncode == 2 and not run.stdout
    assert run.stderr == here("sim", "--chip", "nope").stderr and run.stderr.count("\n") == 1


def test_a_file_in_place_of_a_simulations_folder_is_one_sentence(tmp_path):
    (tmp_path / "sim" / "tiny-chip-icarus").mkdir(parents=True)
    (tmp_path / "sim" / "tiny-chip-icarus" / "run").touch()
    command = "sim", "--chip", "tiny", "--net", "conv_32x16", "--sim", "icarus"
    run = caduceus(*command, "--output", tmp_path / "result.json", CADUCEUS_BUILD=tmp_path)
    assert run.returncode == 2 and run.stderr.count("\n") == 1, run.stderr
    assert "icarus/run: cannot make or read a file of the run: Not a directory" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("sim", "--chip", "nope"),
            "unknown chip 'nope': expected one of hermes, hermes_wide, tiny, ulx3s",
        ),
        (("sim", "--sim", "nope"), "--sim: got nope, expected one of verilator, icarus"),
        (
            ("sim", "--net", "nope"),
            "unknown network 'nope': expected one of conv_2016x224, conv_32x16, fashion_small, "
            "fashion_tiny, lstm_504, lstm_ptb, lstm_tiny, resnet20, resnet8, resnet9, resnet_tiny",
        ),
        (
            ("sim", "--chip", "tiny", "--net", "fashion_small"),
            "network fashion_small takes 82 tiles of 16x16 for 3 layers, at least one each: chip "
            "tiny has 4",
        ),
        (("sim", "--chip", "none.yaml"), "none.yaml: cannot read the chip description"),
        (("sim", "--net", "fashion_small", "--images", "10001"), "images: got 10001, "),
        (("sim", "--chip", "tiny", "--output", "."), ".: is a folder: expected a file"),
        (
            ("sim", "--chip", "tiny", "--output", "/dev/null"),
            "/dev/null: cannot write the result: ",
        ),
        (("sim", "--chip", "tiny", "--output", "README.md/x"), "README.md/x: cannot write the res"),
        (
            ("verilog", "--chip", "nope"),
            "unknown chip 'nope': expected one of hermes, hermes_wide, tiny, ulx3s",
        ),
        (
            ("verilog", "--output", ""),
            "--output: got nothing, expected a path",
        ),
        (("accuracy", "--net", "nope"), "unknown network 'nope'"),
        (("sim", "--net", ""), "--net: got nothing, expected a name or a path"),
        (("sim", "--chip", " "), "--chip: got nothing, expected a name or a path"),
        (("sim", "--pcm", ""), "--pcm: got nothing, expected a name or a path"),
        (("sim", "--output", ""), "--output: got nothing, expected a path"),
        (("run", "--target", ""), "--target: got nothing, expected golden, sim or serial:PORT"),
        (("compile", "--net", ""), "--net: got nothing, expected a name or a path"),
        (("compile", "--replicas", ""), "--replicas: got '', expected auto, or layers with 1 to"),
        (
            ("sim", "--sim", "verilater"),
            "expected one of verilator, icarus (did you mean verilator?)",
        ),
        (("sim", "--age", "30x"), "--age: got 30x, expected 0 to 1e+10 seconds, or an age as in"),
        (("simm",), "No such command 'simm'. Did you mean 'sim'? `caduceus --help` lists the"),
        (("help",), "No such command 'help'; `caduceus --help` lists the commands"),
        (
            ("--chip", "tiny", "sim"),
            "'--chip'; `caduceus --help` lists the commands, whose options follow",
        ),
        (("compile", "--age", "1h"), "`caduceus compile --help` lists the options"),
        (("compile", "tiny"), "extra argument (tiny); `caduceus compile --help` lists"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence):
    run = here(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith(f"caduceus: {sentence}"[:10]) and sentence in run.stderr
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("command", ["verilog", "fpga"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, command):
    (tmp_path / "mine").touch()
    run = here(command, "--output", tmp_path)
    assert run.returncode == 2
    assert f"{tmp_path}: the folder is not empty: expected a new or empty folder" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("arguments", [("--images", "0"), ("--read-mode", "2-phase")])
def test_an_option_out_of_range_is_refused(arguments):
    run = here("sim", *arguments)
    assert run.returncode == 2
    assert (
        run.stderr.startswith(f"caduceus: {arguments[0]}: got {arguments[1]}, expected ")
        and run.stderr.count("\n") == 1
    )


def test_sim_leaves_its_result(tmp_path):
    output = tmp_path / "deep" / "result.json"
    run = caduceus(
        "sim", "--chip", "tiny", "--net", "fashion_tiny", "--images", 1, "--output", output
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 mismatches" in run.stdout
    report = json.loads(output.read_text())
    assert report.keys() == FIELDS
    assert report["mismatches"] == 0
    # One image: results and packets of 7 x 7 x 16, 7 x 7 x 4 and 10; of 6 x 6 x 16, of which
    # one packet of 16 is left when they are pooled; and the outputs once more.
    assert report["values_compared"] == 2 * (784 + 196 + 10) + 576 + 16 + 10
    assert report["cycles"].keys() == {"sync", "mvm"}


@pytest.mark.parametrize("outputs", [pytest.param(48, marks=pytest.mark.regress), 64])
def test_a_layer_whose_result_is_several_packets(tmp_path, outputs):
    """3 packets on 2 ports, and 2 on each: times are those of whole vectors."""
    made, arrays = random_layer("wide", size=1, channels=16, outputs=outputs, gmax=510)
    export(made, arrays, tmp_path / "wide")
    path, output = tmp_path / "wide" / "network.yaml", tmp_path / "result.json"
    run = caduceus(
        "sim", "--chip", "tiny", "--net", path, "--read-mode", "1-phase", "--output", output
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    # What leaves the chip, and results and packets of the tiles.
    assert (report["values_compared"], report["mismatches"]) == (3 * 10 * outputs, 0)
    # An MVM takes the array 133 ns.
    assert 0 < report["mvm_rate_per_tile"] <= 1e9 / 133 * 1.03
    assert report["latency_ns"] > 133


def test_a_chip_of_the_users_own(tmp_path):
    text = (shipped_folder(chip.CHIPS) / "tiny.yaml").read_text()
    for old, new in (
        ("name: tiny", "name: cli_test"), ("rows: 16, columns: 16", "rows: 32, columns: 64"),
        ("lanes: 1", "lanes: 4"), ("units: 1}", "units: 4}"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.yaml").write_text(text)
    output = tmp_path / "result.json"
    run = caduceus(
        "sim", "--chip", tmp_path / "mine.yaml", "--net", "fashion_tiny", "--images", 1,
        "--read-mode", "1-phase", "--output", output,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert (report["chip"], report["mismatches"]) == ("cli_test", 0)


def test_a_chip_without_a_network_asks_for_one(tmp_path):
    text = (
        (shipped_folder(chip.CHIPS) / "tiny.yaml").read_text().replace("name: tiny", "name: mine")
    )
    (tmp_path / "mine.yaml").write_text(text)
    run = here("sim", "--chip", tmp_path / "mine.yaml")
    assert run.returncode == 2
    assert "chip mine has no network of its own: name one of conv_2016x224" in run.stderr


def test_damaged_weights_are_one_sentence(tmp_path):
    shutil.copytree(shipped_folder(NETWORKS) / "fashion_tiny", tmp_path / "net")
    weights = tmp_path / "net" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:99])
    run = here("sim", "--chip", "tiny", "--net", tmp_path / "net" / "network.yaml")
    assert run.returncode == 2
    assert "weights.npz: not a weights file (.npz), or damaged" in run.stderr


@pytest.mark.parametrize(
    "simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.regress)]
)
def test_one_inverted_bit_of_the_rtls_devices_is_reported(simulator):
    """The whole flow with one bit of one device inverted on the RTL's side only."""
    network = Network.find("fashion_tiny")
    program = compile_network(network, Chip.find("tiny"), ReadMode.FOUR_PHASE)
    run = Simulation(program, simulator=simulator)
    run.prepare(program.vectors(inputs(network, 1).x))
    tile = next(tile for tile in computing(program) if tile.block.layer == "conv2")
    image = run.job / STATES / f"state_{tile.tile}.hex"
    words = image.read_text().split()
    # After the header of five words: row 2, column 1; the highest bit of its first device.
    place = 5 + 2 * run.chip.array.columns + 1
    words[place] = f"{int(words[place], 16) ^ 0x80:08x}"
    image.write_text("\n".join(words) + "\n")
    found = run.simulate().figures
    assert found.mismatches > 0
    # Layer conv1 ran on its own, correct state: what is wrong begins in conv2, column 1.
    assert found.mismatches_by_layer["conv1"] == 0
    reported = found.first_mismatch
    assert (
        reported.startswith(f"layer conv2, tile {tile.tile} (") and "image 0, result of" in reported
    ), reported
    assert re.search(
        r"pixel \(y=\d+, x=\d+\), column 1, at [0-9.]+ ns \(sync clock \d+\): ", reported
    )


def test_accuracy_of_a_few_images(tmp_path):
    run = here("accuracy", "--chip", "tiny", "--images", 20)
    assert run.returncode == 0, run.stderr
    assert "of 20 images" in run.stdout
