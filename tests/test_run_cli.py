"""`caduceus run` as a user meets it: all targets, and boards at pseudo-terminals."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import caduceus, here
from serial_board import board, bridge, damaged, terminal

from caduceus.host.line import SocketLine
from caduceus.sim.run_target import simulation
from caduceus.spec.chip import Chip
from caduceus.spec.host_port import finish
from tb import served_pins

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs wait for each other."""

TINY = Chip.find("tiny")


def ran(output: Path, *arguments: object) -> dict:
    """The result of a run that must succeed on the tiny chip."""
    run = caduceus("run", "--chip", "tiny", "--output", output, *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(output.read_text())
    if "--target" in arguments:
        assert result["mismatches"] == 0 and result["values_compared"] > 0
        compared = f"{result['values_compared']} values compared with the golden model, 0 mis"
        assert compared in run.stdout
    else:
        # Golden with golden is no comparison.
        assert result["mismatches"] is None and result["values_compared"] is None
        assert "compared" not in run.stdout and "mismatch" not in run.stdout
    return result


def refused(*arguments: object) -> str:
    """The one sentence of a run that must fail."""
    run = here("run", "--chip", "tiny", "--net", "conv_32x16", *arguments)
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stderr.startswith("caduceus: ") and run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    return run.stderr.removeprefix("caduceus: ").strip()


@pytest.mark.parametrize(
    ("network", "values"), [("resnet_tiny", 8), ("lstm_tiny", 336), ("conv_32x16", 160)]
)
def test_golden_and_a_board_give_the_same(tmp_path: Path, network: str, values: int) -> None:
    devices = ("--pcm", "hermes_tdp", "--seed", 5, "--age", 100)
    golden = ran(tmp_path / "a", "--net", network, *devices)
    with terminal(board(TINY)) as port:
        at_board = ran(tmp_path / "b", "--net", network, "--target", f"serial:{port}", *devices)
    assert golden["outputs"] == at_board["outputs"]
    assert at_board["values_compared"] == values
    assert at_board["requests"] > 0 and golden["requests"] is None


def test_a_line_that_damages_bytes(tmp_path: Path) -> None:
    with terminal(board(TINY, share=0.001)) as port:
        arguments = ("--net", "lstm_tiny", "--target", f"serial:{port}", "--patience", 0.05)
        result = ran(tmp_path / "result.json", *arguments)
    assert result["retries"] > 5


def test_the_simulated_rtl(tmp_path: Path) -> None:
    result = ran(tmp_path / "result.json", "--net", "conv_32x16", "--target", "sim", "--images", 3)
    assert result["retries"] == 0


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nope", "unknown target 'nope': expected golden, sim, or serial:PORT"),
        ("serial:", "unknown target 'serial:': expected golden, sim, or serial:PORT"),
        ("serial:/dev/none", "/dev/none: cannot open the serial port: No such file or directory"),
        ("serial:README.md", "README.md: cannot open the serial port: not a serial port"),
    ],
)
def test_a_target_that_is_none(target: str, sentence: str) -> None:
    assert refused("--target", target).startswith(sentence)


def test_nobody_answers() -> None:
    with terminal(lambda data: b"") as port:
        sentence = refused("--target", f"serial:{port}", "--patience", 0.02)
    assert sentence == (
        f"{port}: no answer from the board to operation HELLO in 10 tries; 0 damaged frames "
        "received"
    )


def test_rubbish_is_counted() -> None:
    with terminal(lambda data: b"\0\x55\xaa\0") as port:
        sentence = refused("--target", f"serial:{port}", "--patience", 0.02)
    assert int(re.search(r"tries; (\d+) damaged frames received$", sentence)[1]) > 5


def test_a_users_text_is_no_markup() -> None:
    assert refused("--target", "serial:/dev/[/b]:smile:").startswith("/dev/[/b]:smile:: cannot")


@pytest.mark.parametrize(
    ("option", "value", "target"),
    [("--sim", "icarus", "sim"), ("--baud", 9600, "serial:"), ("--patience", 1, "serial:")],
)
def test_options_of_another_target_are_refused(option: str, value: object, target: str) -> None:
    assert refused(option, value).startswith(f"{option}: applies only with --target {target}")


def test_a_line_that_leads_back_to_itself() -> None:
    with terminal(lambda data: data) as port:
        assert "no answer" in refused("--target", f"serial:{port}", "--patience", 0.02)


def test_another_chip_at_the_board() -> None:
    other = TINY.model_copy(update={"name": "other"})
    with terminal(board(other)) as port:
        sentence = refused("--target", f"serial:{port}")
    assert sentence.startswith(f"{port}: the board has another chip than description 'tiny'")


def test_the_line_ends_in_between() -> None:
    whole, left = board(TINY), [20]

    def answer(data: bytes) -> bytes | None:
        left[0] -= 1
        return whole(data) if left[0] else None

    with terminal(answer) as port:
        sentence = refused("--target", f"serial:{port}")
    assert sentence.startswith(f"{port}: the serial port was lost")


def test_the_board_starts_again_in_between() -> None:
    boards = [bridge(TINY), bridge(TINY)]

    def answer(data: bytes) -> bytes:
        return finish(boards[boards[0].done >= 20].take(data))

    with terminal(answer) as port:
        sentence = refused("--target", f"serial:{port}", "--patience", 0.1)
    assert sentence == f"{port}: the board was restarted, or has another host"


@pytest.mark.regress
def test_the_simulated_pins_at_a_pseudo_terminal(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    with (
        simulation("tiny", "verilator", served_pins.BOARD) as line,
        terminal(_pins(random, line)) as port,
    ):
        arguments = ("--net", "conv_32x16", "--images", 3, "--target", f"serial:{port}")
        result = ran(tmp_path / "result.json", *arguments, "--patience", 5)
    assert result["retries"] > 0


def _pins(random: np.random.Generator, line: SocketLine):
    """What the simulated board answers, over a line that damages bytes."""
    share = 0.0005

    def answer(data: bytes) -> bytes:
        line.write(damaged(random, data, share))
        back = b""
        # The simulation is slow, and its answer comes in pieces; to a broken frame there is none.
        while not (len(back) > 2 and back.endswith(b"\0")) and (more := line.read(3)):
            back += more
        return damaged(random, back, share)

    return answer
