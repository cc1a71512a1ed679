"""The set-up as a whole: its order, its silence when nothing is missing, and what it prints."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import setup
from provision import command, packages, verilator
from provision.places import Places
from provision.report import Progress, SetupError, minutes
from setup_fakes import NEW, NEWER, ROOT, fake_verilator

TWICE = 2


@pytest.fixture
def fake_machine(places, fakes, fake_pip, monkeypatch):
    """Make every system package present and pip fake; return the calls of pip."""
    monkeypatch.setattr(packages, "needs", lambda: [packages.command("sh")])
    monkeypatch.setattr(packages, "check_interpreter", lambda: None)
    monkeypatch.setattr(packages, "refresh", lambda *_: pytest.fail("apt was called"))
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("apt was called"))
    return fake_pip


def test_second_set_up_runs_nothing_and_says_nothing(
    places, fakes, fake_machine, capsys, monkeypatch
):
    fakes("verilator", f"echo 'Verilator {NEW} x'")
    command.set_up(places)
    assert f"using Verilator {NEW}" in capsys.readouterr().out
    fake_machine.clear()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was run"))
    command.set_up(places)
    assert capsys.readouterr().out == ""
    assert fake_machine == []


def test_set_up_notices_that_its_verilator_went_away(places, only_fakes, fake_machine):
    only_fakes("sh", "exit 0")
    own = only_fakes("verilator", f"echo 'Verilator {NEW} x'")
    command.set_up(places)
    assert command.is_ready(places)
    own.unlink()
    assert not command.is_ready(places)
    cached = fake_verilator(places.cache / f"verilator-{NEWER}" / "bin" / "verilator", NEWER)
    command.set_up(places)
    assert (places.venv / "bin" / "verilator").resolve() == cached
    assert command.is_ready(places)


def test_set_up_compiles_when_there_is_no_verilator(places, only_fakes, fake_machine, monkeypatch):
    compiled = []

    def build(_):
        compiled.append(fake_verilator(places.cache / "verilator-5.048/bin/verilator", "5.048"))
        return compiled[0]

    monkeypatch.setattr(verilator, "build", build)
    monkeypatch.setattr(packages, "needs_to_build_verilator", list)
    only_fakes("sh", "exit 0")
    for _ in range(TWICE):
        command.set_up(places)
    assert len(compiled) == 1
    assert (places.venv / "bin" / "verilator").resolve() == compiled[0]


def test_user_without_rights_learns_everything_at_once(places, only_fakes, fake_pip, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages, "needs", lambda: [packages.command("iverilog")])
    monkeypatch.setattr(packages, "check_interpreter", lambda: None)
    only_fakes("apt-get", "exit 1")
    with pytest.raises(
        SetupError, match=r"apt-get install iverilog liblz4-dev flex bison autoconf libfl-dev`"
    ):
        command.set_up(places)


def test_lists_are_refreshed_before_the_choice_is_final(places, only_fakes, fake_pip, monkeypatch):
    """A fresh machine's lists are empty, so what it can install shows only after an update."""
    offered, installed = [""], []
    monkeypatch.setattr(packages, "needs", lambda: [packages.command("sh")])
    monkeypatch.setattr(packages, "check_interpreter", lambda: None)
    monkeypatch.setattr(packages, "needs_to_build_verilator", lambda: [packages.command("nosuch")])
    monkeypatch.setattr(packages, "candidate", lambda _: offered[0])
    monkeypatch.setattr(packages, "refresh", lambda *_: offered.insert(0, "5.040-1"))

    def install(names, _):
        installed.extend(names)
        only_fakes("verilator", f"echo 'Verilator {NEWER} x'")

    only_fakes("sh", "exit 0")
    monkeypatch.setattr(packages, "install", install)
    command.set_up(places)
    assert installed == ["verilator"]
    assert command.is_ready(places)


def test_old_python_is_refused_in_words_it_can_parse(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert setup.main([]) == 2
    assert "Python 3.9" in capsys.readouterr().err
    ast.parse((ROOT / "tools" / "setup.py").read_text(), feature_version=(3, 7))


def test_other_systems_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert setup.main([]) == 2
    assert "win32 is not supported" in capsys.readouterr().err


def test_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Places.of_this_clone() == Places(root=ROOT, cache=tmp_path / "caduceus")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert Places.of_this_clone().cache == Path("/home/someone/.cache/caduceus")


def test_progress_is_rewritten_on_a_terminal_and_rare_elsewhere(monkeypatch):
    class Output(list):
        terminal = True

        def isatty(self):
            return self.terminal

        def write(self, text):
            self.append(text)

        def flush(self):
            pass

    clock = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    output = Output()
    progress = Progress("files compiled", output)
    progress.show(3, 7)
    assert output[-1].startswith("\rset-up: files compiled: 3 of 7, ")
    output.terminal = False
    output.clear()
    for _ in range(40):
        progress.show(3, 7)
    assert 1 <= len(output) <= 3
    assert all(text.endswith("\n") for text in output)


def test_durations_read_as_people_say_them():
    assert [minutes(value) for value in (0.4, 59.9, 60, 125)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "2 min 05 s",
    ]
