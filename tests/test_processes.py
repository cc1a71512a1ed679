"""Programs that the library starts: return codes, limits, and that nothing of them survives."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from survivors import SECONDS, START, of, until

from caduceus.spec import processes


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_return_code_is_the_programs(script: str, status: int) -> None:
    assert processes.run(["sh", "-c", script]) == status


def test_a_program_that_there_is_not() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        processes.run(["there-is-none-of-this-name"])
    assert caught.value.filename == "there-is-none-of-this-name"


def test_a_limit_ends_a_program_and_what_it_started() -> None:
    mark = f"CADUCEUS_MARK={os.getpid()}limit"
    name, _, value = mark.partition("=")
    # One leaves its session and the other its parent.
    script = "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000"
    began = time.monotonic()
    status = processes.run(["sh", "-c", script], limit=1, env=os.environ | {name: value})
    assert (status, of(mark)) == (processes.EXPIRED, [])
    assert time.monotonic() - began < SECONDS


def test_output_and_environment_are_the_programs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        processes.run(["sh", "-c", "echo $WORD; cat"], stdout=log, env=os.environ | {"WORD": "é'"})
    assert (tmp_path / "log").read_text(encoding="utf-8") == "é'\n"


def test_what_a_program_leaves_behind_ends_with_it() -> None:
    mark = f"CADUCEUS_MARK={os.getpid()}left"
    name, _, value = mark.partition("=")
    assert not processes.run(["sh", "-c", "sleep 1000 & exit 0"], env=os.environ | {name: value})
    assert of(mark) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_whoever_started_it(number: int) -> None:
    mark = f"CADUCEUS_MARK={os.getpid()}of{number}"
    name, _, value = mark.partition("=")
    code = textwrap.dedent("""
        from caduceus.spec import processes
        processes.run(["sh", "-c", "setsid sleep 1000 & (sleep 1000 &) ; sleep 1000"])
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {name: value}, stderr=subprocess.DEVNULL
    )
    # Python, its guard, the shell, and three that sleep.
    try:
        until(lambda: len(of(mark)) >= 6, "they do not start", START)
        parent.send_signal(number)
        parent.wait(SECONDS)
    finally:
        parent.kill()
    until(lambda: not of(mark), f"{of(mark)} survive")


def test_nothing_survives_whoever_writes_a_chip(tmp_path: Path) -> None:
    """Its Verilog comes out of a pool of processes."""
    mark = f"CADUCEUS_MARK={os.getpid()}pool"
    name, _, value = mark.partition("=")
    code = textwrap.dedent(f"""
        from pathlib import Path
        from caduceus.hdl.fabric.chip_sources import write_sources
        from caduceus.spec.chip import Chip
        write_sources(Path({str(tmp_path)!r}), Chip.find("tiny"), build=Path({str(tmp_path)!r}))
    """)
    parent = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {name: value})
    try:
        until(lambda: len(of(mark)) >= 3, "its workers do not start", START)
    finally:
        parent.kill()
    parent.wait(SECONDS)
    until(lambda: not of(mark), f"{of(mark)} survive")
