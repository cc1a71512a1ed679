"""A PCM state file that the behavioural array cannot take ends the simulation with one sentence."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caduceus.hdl.array import pcm_array
from caduceus.sim.runner import SIMULATORS, SimulationError, run_bench
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip

TESTS = """
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

@cocotb.test()
async def load(dut):
    Clock(dut.clk, 2, "ns", impl="gpi").start()
    dut.integrate.value = dut.clear.value = dut.read_clk.value = 0
    dut.state_load.value = 0
    dut.state_index.value = 3
    for load in (0, 1, 0):
        await FallingEdge(dut.clk)
        dut.state_load.value = load
    await FallingEdge(dut.clk)
"""
CHIP = Chip.find("tiny")


def _image() -> list[str]:
    """The lines of a good file."""
    shape = (1, CHIP.array.rows, CHIP.array.columns, 4)
    codes = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    words = pcm_state.words(pcm_state.ideal(CHIP, codes), 0)
    return [f"{word:08x}" for word in words]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _changed(index: int, word: str) -> str:
    lines = _image()
    lines[index] = word
    return _text(lines)


WORDS = len(_image())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pcm_array_files")
    (folder / "state_file_tests.py").write_text(TESTS)
    return folder


@pytest.fixture(params=SIMULATORS)
def load(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[str]], str]:
    """Has the array load state 3 with some plusargs; gives the log."""
    monkeypatch.syspath_prepend(folder)
    simulator = request.param

    def load(plusargs: list[str]) -> str:
        options = {
            "name": "load",
            "sources": pcm_array.write_sources(folder, CHIP),
            "top": pcm_array.MODULE,
            "test_module": "state_file_tests",
            "simulator": simulator,
            "build_dir": folder / simulator,
            "run_dir": tmp_path,
            "plusargs": plusargs,
        }
        try:
            return run_bench(**options).log.read_text()
        except SimulationError as error:
            return error.log.read_text()

    return load


def _fatal_sentences(log: str) -> list[str]:
    """What came after the marks that simulators put in front."""
    found = re.findall(r"(?:FATAL|%Fatal): \S*pcm_memory\.sv:\d+: (.*)", log)
    return [re.sub(r"^Assertion failed in \S+: ", "", line) for line in found]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot read the PCM state", id="missing"),
        pytest.param("", "not a PCM state", id="empty"),
        pytest.param("hello\n", "not a PCM state", id="words"),
        pytest.param(_changed(0, "50434d32"), "not a PCM state", id="magic"),
        pytest.param(
            _changed(1, "00100008"),
            "array of the PCM state: got 16x8, expected 16x16",
            id="sizes",
        ),
        pytest.param(
            _text(_image()[:-1]),
            f"length of the PCM state: got {9 * (WORDS - 1)} bytes, expected {9 * WORDS}",
            id="short",
        ),
        pytest.param(
            _text([*_image(), "00000000"]),
            f"length of the PCM state: got {9 * (WORDS + 1)} bytes, expected {9 * WORDS}",
            id="long",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_fault(
    load: Callable[[list[str]], str], tmp_path: Path, content: str | None, sentence: str
) -> None:
    states = tmp_path / "states"
    states.mkdir()
    path = states / "state_3.hex"
    if content is not None:
        path.write_text(content)
    assert _fatal_sentences(load([f"+pcm_state={states}"])) == [f"{path}: {sentence}"]


def test_a_bad_digit_ends_the_simulation(load: Callable[[list[str]], str], tmp_path: Path) -> None:
    path = tmp_path / "state_3.hex"
    path.write_text(_changed(50, "0000000g"))
    log = load([f"+pcm_state={tmp_path}"])
    assert "PASS=0 FAIL=1" in log
    # Verilator has a sentence of its own.
    theirs = re.findall(r"^%Error: (\S+?):\d+: \$readmem.* syntax error", log, re.MULTILINE)
    sentences = [f"{path}: digits of the PCM state: expected hexadecimal digits only"]
    assert theirs == [str(path)] or _fatal_sentences(log) == sentences


@pytest.mark.parametrize("content", [None, "", "seven\n"])
def test_a_number_of_reads_that_is_none_is_named(
    load: Callable[[list[str]], str], tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "state_3.hex").write_text(_text(_image()))
    path = tmp_path / "reads_3.txt"
    plusargs = [f"+pcm_state={tmp_path}", f"+pcm_reads={tmp_path}"]
    if content is not None:
        path.write_text(content)
    sentence = f"{path}: cannot read the number of the first read"
    assert _fatal_sentences(load(plusargs)) == [sentence]
    path.write_text(f"{(1 << 32) - 1}\n")
    assert _fatal_sentences(load(plusargs)) == []


def test_no_folder_named(load: Callable[[list[str]], str]) -> None:
    expected = "+pcm_state: missing plusarg: expected the folder of the PCM states"
    assert _fatal_sentences(load([])) == [expected]


def test_a_good_file_is_taken(load: Callable[[list[str]], str], tmp_path: Path) -> None:
    (tmp_path / "state_3.hex").write_text(_text(_image()))
    log = load([f"+pcm_state={tmp_path}"])
    assert _fatal_sentences(log) == []
    assert "PASS=1 FAIL=0" in log
