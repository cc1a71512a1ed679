"""Recurrent networks from the command line: results, placement, bits per character, mistakes."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from command_line import caduceus, here

from caduceus.compiler.network import compile_network
from caduceus.data import inputs
from caduceus.golden import machine
from caduceus.sim import job
from caduceus.sim.result import Figures
from caduceus.sim.simulation import Simulation
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import NETWORKS, Network
from caduceus.spec.program_codes import computing, device_codes
from caduceus.spec.shipped import shipped_folder
from caduceus.study import metrics

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""

FIELDS = {field.name for field in dataclasses.fields(Figures)}
"""Of every result."""


def test_sim_compares_every_output_and_state(tmp_path) -> None:
    output, steps = tmp_path / "result.json", 6
    run = caduceus(
        "sim", "--chip", "tiny", "--net", "lstm_tiny", "--images", steps, "--output", output
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report.keys() == FIELDS
    assert (report["mismatches"], report["inputs"], report["tiles"]) == (0, steps, 3)
    # Logits twice; hidden and cell states after each step, after a half, and at the end; results
    # and packets of the three tiles: of 16 gates, of 16 gates, of 16 logits.
    tiles = 2 * steps * 2 * (16 + 16 + 16)
    assert report["values_compared"] == 2 * steps * 16 + (steps + 2) * 2 * 8 + tiles
    assert report["mvms"] == 2 * steps * 3
    symbols = Network.find("lstm_tiny").graph.input.symbols
    assert 0 < report["metric"]["value"] < np.log2(len(symbols))
    states = report["latency_of_state_ns"], report["latency_of_states_ns"]
    assert 0 < states[0] <= states[1] < report["latency_ns"] < report["latency_with_input_ns"]
    assert "0 mismatches" in run.stdout and "bits per character" in run.stdout
    assert report["metric"]["name"] == "bpc" and report["period_ns"] > 0
    assert all(0 < share["array"] <= 1 for share in report["shares"].values())
    assert json.loads((tmp_path / "result.trace.json").read_text())["traceEvents"]
    assert (tmp_path / "result.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["lstm_tiny", "conv_32x16"])
def test_the_first_value_that_differs_is_named_with_its_time(name: str) -> None:
    """One bit of one device inverted on the RTL's side, of a sequence and of vectors."""
    description, network = Chip.find("tiny"), Network.find(name)
    program = compile_network(network, description, ReadMode.ONE_PHASE)
    x = program.vectors(inputs(network, 3).x)
    state = pcm_state.ideal(description, device_codes(program, description))
    expected = machine.run(program, description, state, x, capture=True).tiles
    index, tile = 1, computing(program)[1]
    axis = 1 if program.slices else 0
    for column in range(tile.config.columns):
        codes = state.codes.copy()
        codes[index, 0, column, 0] ^= 0x80
        wrong = pcm_state.ideal(description, codes)
        got = machine.run(program, description, wrong, x, capture=True).tiles
        where = np.argwhere(got[tile.tile].results != expected[tile.tile].results)
        if len(where):
            break
    run = Simulation(program)
    run.prepare(x)
    pcm_state.write_hex(wrong, index, run.job / job.STATES / f"state_{tile.tile}.hex")
    found = run.simulate().figures
    first, at = found.first_mismatches[0], tuple(where[0])
    unit = "step" if program.slices else "vector"
    assert (first["layer"], first["tile"]) == (tile.block.layer, tile.tile)
    assert (first["unit"], first["input"], first["column"]) == (unit, at[axis], column)
    assert (first["pixel"], first["kind"]) == (None, "result")
    assert first["run"] == ("step by step" if program.slices else None)
    values = (int(each[tile.tile].results[at]) for each in (expected, got))
    assert (first["expected"], first["got"]) == tuple(values)
    period_ns = 2 * job.half_periods(description)[0] / 1e3
    assert first["time_ns"] / period_ns == first["clock"]
    assert f"column {column}, at {first['time_ns']:.3f} ns (sync clock" in found.first_mismatch
    assert found.first_mismatch == first["sentence"]
    # The last layer's packets are what leaves the chip, some clocks later.
    output = next(each for each in found.first_mismatches if each["kind"] == "output")
    assert 0 < output["clock"] - first["clock"] < found.cycles["sync"]
    assert sum(found.mismatches_by_layer.values()) == found.mismatches


def test_compile_shows_the_placement(tmp_path) -> None:
    run = here("compile", "--net", "lstm_ptb", "--output", tmp_path / "a.program")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    for row in range(3):
        assert lines[3 + row].split() == [f"a{row}.{column}" for column in range(8)]
    assert lines[6].split() == [f"g{column}" for column in range(8)]
    assert "a lstm: 24 tiles, 3x8 blocks, 81.0% of the cells useful" in lines
    assert "b dense: 2 tiles, 2x1 blocks, 19.2% of the cells useful" in lines
    assert "26 of 64 tiles compute" in run.stdout
    assert "8 of 8 GDPU slices with 63 units" in run.stdout
    assert (tmp_path / "a.program").stat().st_size > 26 * 252 * 128


def test_accuracy_is_in_bits_per_character() -> None:
    run = here("accuracy", "--chip", "tiny", "--net", "lstm_tiny", "--read-mode", "1-phase")
    assert run.returncode == 0, run.stderr
    written = (shipped_folder(NETWORKS) / "lstm_tiny" / "text.txt").read_text(encoding="utf-8")
    assert f"bits per character over {len(written) - 1} characters in" in run.stdout
    found = Network.find("lstm_tiny").graph
    golden = float(run.stdout.split("golden ")[1].split()[0])
    assert golden == pytest.approx(found.metric.float, abs=0.15)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sim", "--chip", "tiny", "--net", "lstm_ptb"),
         "layer lstm: hidden: got 504, expected at most 8 on chip tiny (2 GDPU slices of 4)"),
        (("sim", "--net", "lstm_ptb", "--images", 99_999),
         "characters: got 99999, expected 1 to 452 of the text of network lstm_ptb"),
        (("compile", "--chip", "tiny", "--net", "lstm_504"), "expected at most 8 on chip tiny"),
        (("accuracy", "--net", "lstm_504"), "network lstm_504 takes random steps: expected one"),
        (("accuracy", "--net", "lstm_tiny", "--images", 99_999),
         "characters: got 99999, expected 1 to "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(arguments, sentence: str) -> None:
    run = here(*arguments)
    assert run.returncode == 2
    assert sentence in run.stderr and run.stderr.count("\n") == 1
    assert "Traceback" not in run.stdout + run.stderr


def test_a_network_of_the_users_own_runs_on_its_own_text(tmp_path) -> None:
    shutil.copytree(shipped_folder(NETWORKS) / "lstm_tiny", tmp_path / "mine")
    (tmp_path / "mine" / "text.txt").write_text("a red tin\n")
    network = Network.load(tmp_path / "mine" / "network.yaml")
    symbols, following = network.graph.input.symbols, inputs(network, 9).following[0]
    assert "".join(symbols[number] for number in following) == " red tin\n"
    run = here("accuracy", "--chip", "tiny", "--net", tmp_path / "mine" / "network.yaml")
    assert run.returncode == 0 and "per character over 9 characters in" in run.stdout
    (tmp_path / "mine" / "text.txt").unlink()
    for command in ("sim", "accuracy"):
        run = here(command, "--chip", "tiny", "--net", tmp_path / "mine" / "network.yaml")
        assert run.returncode == 2
        assert "lstm_tiny: there is no text.txt beside its description" in run.stderr


def test_bits_are_those_of_a_softmax() -> None:
    random = np.random.default_rng(2)
    logits = random.integers(-127, 128, (3, 4, 9), dtype=np.int8)
    following = random.integers(0, 9, (3, 4)).astype(np.uint8)
    real = np.exp(logits * 0.05)
    share = np.take_along_axis(real, following[..., None].astype(int), -1)[..., 0] / real.sum(-1)
    np.testing.assert_allclose(metrics.bits(logits, 0.05, following), -np.log2(share), atol=1e-12)
