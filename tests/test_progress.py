"""Progress of a simulation without a terminal: lines that a log can have."""

import io
import time

from rich.console import Console

from caduceus.sim import progress
from caduceus.sim.step import Step


def test_each_step_begins_and_ends_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY_SECONDS", 0.005)
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.05)
    out = io.StringIO()
    with progress.watch(tmp_path, Console(file=out, width=80), {"pixels": 40, "images": 2}):
        time.sleep(0.2)
        Step({"pixels": 10}).save(tmp_path)
        time.sleep(0.2)
        Step({"pixels": 40, "images": 1}).save(tmp_path)
        time.sleep(0.1)
        Step({"pixels": 40, "images": 2}).save(tmp_path)
    lines = out.getvalue().splitlines()
    assert lines[0] == "building: started" and lines[1] == "building: 0 s"
    assert lines.index("building: done in 0 s") + 1 == lines.index("simulating: started")
    assert "simulating: 10 of 40 pixels, 0 of 2 images, 0 s" in lines
    assert "simulating: 40 of 40 pixels in 0 s" in lines
    assert lines[-1] == "simulating: 2 of 2 images in 0 s"


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
