"""Progress of a simulation without a terminal: lines that a log can have."""

import io
import re
import threading

import pytest
from rich.console import Console
from survivors import until

from caduceus.sim import progress
from caduceus.sim.step import Step


def test_each_step_begins_and_ends_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY_SECONDS", 0.005)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.05)
    out = io.StringIO()

    def said(line: str) -> None:
        until(lambda: re.search(line, out.getvalue()), f"no {line}")

    with progress.watch(tmp_path, Console(file=out, width=80), {"pixels": 40, "images": 2}):
        said(r"^building: started\nbuilding: \d+ s\n")
        Step({"pixels": 10}).save(tmp_path)
        said(r"\nbuilding: done in \d+ s\nsimulating: started\n")
        said(r"\nsimulating: 10 of 40 pixels, 0 of 2 images, \d+ s\n")
        Step({"pixels": 40, "images": 1}).save(tmp_path)
        said(r"\nsimulating: 40 of 40 pixels in \d+ s\n")
        Step({"pixels": 40, "images": 2}).save(tmp_path)
    assert re.search(r"\nsimulating: 2 of 2 images in \d+ s\n$", out.getvalue())


def test_an_output_that_takes_nothing_fails_in_the_main_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY_SECONDS", 0.005)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0)
    loose: list[object] = []
    monkeypatch.setattr(threading, "excepthook", loose.append)
    out = io.StringIO()
    full = threading.Event()

    def refuse(_text: str) -> None:
        full.set()
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match="No space left"),
        progress.watch(tmp_path, Console(file=out, width=80), {"images": 2}),
    ):
        monkeypatch.setattr(out, "write", refuse, raising=False)
        assert full.wait(20)
    assert not loose


def test_a_build_that_fails_does_not_end(tmp_path):
    out = io.StringIO()
    try:
        with progress.watch(tmp_path, Console(file=out, width=80), {"images": 2}):
            raise OSError
    except OSError:
        pass
    assert out.getvalue() == "building: started\n"


def test_a_terminal_has_bars(tmp_path):
    out = io.StringIO()
    with progress.watch(tmp_path, Console(file=out, force_terminal=True), {"images": 2}):
        Step({"images": 2}).save(tmp_path)
    assert "images" in out.getvalue() and "2/2" in out.getvalue()
