"""Golden, simulation and board as a library: one result, whatever the network and what ran it."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caduceus.compiler.network import compile_network
from caduceus.data import sample
from caduceus.devices.settings import Devices
from caduceus.golden.register_chip import RegisterChip
from caduceus.sim.board import Board
from caduceus.sim.comparison import by_input
from caduceus.sim.golden import Golden
from caduceus.sim.recording import Recorded
from caduceus.sim.result import Figures, Result
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.spec.shipped import build_folder

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = Chip.find("tiny")
NETWORKS = ["resnet_tiny", "lstm_tiny", "conv_32x16"]
AGED = Devices.find("hermes_tdp", seed=7, age=3600)


def program_of(name: str, devices: Devices | None = None) -> Program:
    network = Network.find(name)
    largest = (devices or Devices.ideal()).settings.largest_code
    return compile_network(
        network, TINY, ReadMode.FOUR_PHASE, largest_code=largest, sample=sample(network)
    )


def inputs(program: Program, count: int = 3) -> np.ndarray:
    """Random images or vectors, or a sequence of so many steps."""
    pixels = count if program.slices else program.input_pixels
    shape = 1 if program.slices else count, pixels, program.input_length
    return np.random.default_rng(5).integers(-127, 128, shape, np.int8)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_board_gives_what_golden_gives_with_the_same_keys(tmp_path: Path, name: str) -> None:
    program = program_of(name)
    x = inputs(program)
    golden = Golden(program, AGED).run(x)
    found = Board(program, RegisterChip(TINY), AGED).run(x).compared(golden)
    assert found.figures.mismatches == 0 and found.figures.values_compared > 0
    assert np.array_equal(found.outputs, golden.outputs)
    keys = [field.name for field in dataclasses.fields(Figures)]
    for result in (golden, found):
        result.save(tmp_path / "result.json")
        written = json.loads((tmp_path / "result.json").read_text())
        assert list(written) == keys and written["network"] == name
        assert np.array_equal(written["outputs"], result.outputs)
        assert result.report()
    assert golden.cycles is None and golden.figures.mismatches is None


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("what", ["tile", "output", "state"])
def test_one_inverted_bit_of_a_result_is_reported(name: str, what: str) -> None:
    program = program_of(name)
    x = inputs(program)
    golden = Golden(program)
    expected, got = (golden.run(x, capture=True) for _ in range(2))
    assert got.compare(expected).equal
    if what == "state":
        if got.state is None:
            return
        got.state.cell[0, 1] ^= 1
        reported = "cell state after step 2, unit 1: expected "
    elif what == "output":
        got.outputs[0, 0, 2] ^= 1
        reported = "column 2: expected "
    else:
        tile = computing(program)[0]
        got.tiles[tile.tile].sent.setflags(write=True)
        got.tiles[tile.tile].sent[0, -1, 1] ^= 1
        reported = f"layer {tile.block.layer}, tile {tile.tile} (row block 0, column block 0)"
    comparison = got.compare(expected)
    assert not comparison.equal and reported in comparison.first_mismatch, comparison.first_mismatch
    assert sum(comparison.mismatches_by_layer.values()) == comparison.mismatches
    assert got.compared(expected).report().startswith("MISMATCH: ")


@pytest.mark.parametrize("change", [1, 0, -1])
def test_a_tile_that_records_a_vector_too_many_or_too_few_is_a_mismatch(change: int) -> None:
    program = program_of("resnet_tiny")
    golden = Golden(program).run(inputs(program), capture=True)
    recorded = {
        number: Recorded(*(np.concatenate(list(each)) for each in (trace.results, trace.sent)))
        for number, trace in golden.tiles.items()
    }
    first = next(iter(recorded))
    sent = recorded[first].sent
    some = np.resize(sent, (len(sent) + change, sent.shape[1]))
    recorded[first] = dataclasses.replace(recorded[first], sent=some)
    got = dataclasses.replace(golden, tiles=by_input(recorded, len(golden.outputs)))
    comparison = got.compare(golden)
    assert comparison.equal == (change == 0)
    assert change == 0 or "column 0 on: expected shape [3, " in comparison.first_mismatch


def test_inputs_go_on_where_others_ended() -> None:
    """Halves of a batch, or of a sequence, give what the whole gives, read noise included."""
    for name in NETWORKS:
        program = program_of(name)
        x = inputs(program, 4)
        golden = Golden(program, AGED)
        whole = golden.run(x)
        if program.slices:
            first = golden.run(x[:, :2])
            rest = golden.run(x[:, 2:], initial=first.state, first=2)
            parts = np.concatenate([first.outputs, rest.outputs], axis=1)
        else:
            parts = np.concatenate([golden.run(x[:2]).outputs, golden.run(x[2:], first=2).outputs])
        assert np.array_equal(parts, whole.outputs), name


def test_a_result_says_where_the_devices_inputs_were_assumed() -> None:
    program = program_of("resnet_tiny", AGED)
    for typical, devices, reported in (
        (None, AGED, "hermes_tdp devices, seed 7, 1 h old, inputs assumed uniform"),
        (program.sample, AGED, "hermes_tdp devices, seed 7, 1 h old"),
        (None, Devices.ideal(), "ideal devices"),
    ):
        given = dataclasses.replace(program, sample=typical)
        assert Golden(given, devices).run(inputs(program)).figures.devices == reported


def test_devices_that_cannot_hold_a_program_refuse_it() -> None:
    program = program_of("resnet_tiny")
    one_device = Devices.find("hermes_odp", seed=1, age=60)
    with pytest.raises(
        UserError, match=r"largest cell code: got \d+, expected at most 255 .* devices="
    ):
        Golden(program, one_device)
    fitting = program_of("resnet_tiny", one_device)
    assert Golden(fitting, one_device).run(inputs(program)).outputs.any()


@pytest.mark.parametrize(
    ("name", "x", "sentence"),
    [
        ("resnet_tiny", np.zeros((1, 3, 3), np.int8), r"got int8 \[1, 3, 3\], expected int8 \[n, "),
        ("conv_32x16", np.zeros((2, 32), np.int16), r"got int16 \[2, 32\], expected int8 \[n, 1, "),
        ("lstm_tiny", np.zeros((4, 8), np.int8), r"expected int8 \[n, steps, "),
    ],
)
def test_inputs_of_another_shape_are_refused(name: str, x: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Golden(program_of(name)).run(x)


def test_a_board_takes_one_sequence_golden_several() -> None:
    program = program_of("lstm_tiny")
    x = np.concatenate([inputs(program)] * 2)
    assert Golden(program).run(x).outputs.shape == (2, 3, program.output_length)
    with pytest.raises(UserError, match="got 2 sequences, expected 1"):
        Board(program, RegisterChip(TINY)).run(x)


def test_results_of_different_programs_are_not_compared() -> None:
    first, second = (_golden(name) for name in NETWORKS[:2])
    with pytest.raises(UserError, match="cannot compare it with one of lstm_tiny on tiny"):
        first.compare(second)


def _golden(name: str) -> Result:
    program = program_of(name)
    return Golden(program).run(inputs(program))


def test_the_golden_model_needs_no_simulator() -> None:
    """Nor anything of the RTL: a program runs where neither is installed."""
    script = """
import sys
import numpy as np
import caduceus
network = caduceus.Network.find("conv_32x16")
program = caduceus.compile(network, caduceus.Chip.find("tiny"), "1-phase")
x = np.ones((2, program.input_length), np.int8)
devices = caduceus.Devices.find("hermes_tdp", seed=1, age=60)
result = caduceus.Golden(program, devices).run(x)
assert result.compare(result).equal and result.report()
print(sorted(sys.modules))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = set(ast.literal_eval(run.stdout))
    assert "caduceus.golden.machine" in loaded
    assert not loaded & {"amaranth", "cocotb", "cocotb_tools", "cocotbext", "tb", "caduceus.hdl"}


def test_the_build_folder_is_the_users(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CADUCEUS_BUILD", raising=False)
    assert build_folder() == tmp_path / "build"
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path / "other"))
    assert build_folder() == tmp_path / "other"
    assert build_folder(tmp_path / "mine") == tmp_path / "mine"
