"""The environment of the golden model's peers: made once, remade when outdated, optional."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from provision import command, packages, peers
from provision.process import explain_failure
from provision.report import SetupError
from setup_fakes import ROOT, is_one_sentence, script

TWICE = 2


@pytest.fixture
def fake_pip(places, monkeypatch):
    """Make `python -m venv` and pip leave only what is looked for, and peers work; return calls."""
    calls = []

    def run(words, step, log, place, *_):
        words = [str(word) for word in words]
        calls.append(words[1:])
        if words[1:3] == ["-m", "venv"]:
            script(Path(words[3], "bin", "python"), "exit 0")
        if "wheel" in words:
            Path(words[words.index("--wheel-dir") + 1], "aihwkit-1.whl").touch()
        return 'noise\n{"rows": [], "missing": []}\na warning\n'

    monkeypatch.setattr(peers, "run", run)
    monkeypatch.setattr(peers, "PEERS_MB", 0)
    monkeypatch.setattr(peers, "needs", lambda: [packages.command("sh")])
    monkeypatch.setattr(packages, "refresh", lambda *_: pytest.fail("apt was called"))
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("apt was called"))
    return calls


def steps(calls):
    return [Path(words[1] if "pip" not in words else words[-1]).name for words in calls]


def test_environment_is_made_once_and_compiled_once(places, fake_pip, capsys):
    for _ in range(TWICE):
        peers.set_up(places)
    aihwkit = f"aihwkit=={peers.AIHWKIT}"
    wanted = ["venv", peers.torch(), "peers.txt", aihwkit, "aihwkit-1.whl", "benchmarks.peer_tiles"]
    assert steps(fake_pip) == wanted
    assert f"aihwkit {peers.AIHWKIT} compiled" in capsys.readouterr().out
    fake_pip.clear()
    shutil.rmtree(places.peers)
    peers.set_up(places)
    assert steps(fake_pip) == [step for step in wanted if step != aihwkit]
    assert [path.is_dir() for path in places.cache.iterdir()] == [True]


def test_environment_is_made_again_when_it_is_outdated_or_half_made(places, fake_pip, monkeypatch):
    peers.set_up(places)
    for change in (
        lambda: monkeypatch.setattr(peers, "AIHWKIT", "9"),
        lambda: (places.peers / "bin" / "python").unlink(),
        lambda: (places.peers / "caduceus-peers.json").write_text("{"),
    ):
        fake_pip.clear()
        change()
        (places.peers / "half").touch()
        peers.set_up(places)
        assert steps(fake_pip)[0] == "venv"
        assert not (places.peers / "half").exists()


def test_failed_installation_leaves_no_stamp(places, fake_pip, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(peers, "_prove", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            peers.set_up(places)
    fake_pip.clear()
    peers.set_up(places)
    assert steps(fake_pip)[0] == "venv"


def test_peer_that_does_not_work_is_said(places, fake_pip, monkeypatch):
    printed = json.dumps({"rows": [], "missing": ["aihwkit: not measured (odd)"]})
    monkeypatch.setattr(peers, "run", lambda *_: printed)
    with pytest.raises(SetupError, match=r"'aihwkit: not measured \(odd\)'") as caught:
        peers._prove(places)
    assert is_one_sentence(str(caught.value))


NO_WHEEL = "ERROR: Could not find a version that satisfies the requirement torch==2.13.0+cpu"
NO_NETWORK = "Failed to establish a new connection: [Errno 111]\n" + NO_WHEEL


@pytest.mark.parametrize(
    ("output", "words"),
    [(NO_WHEEL, "PIP_FIND_LINKS"), (NO_NETWORK, "network did not answer"), ("odd", "saying 'odd'")],
)
def test_missing_torch_is_one_sentence_and_a_status(
    places, fake_pip, monkeypatch, capsys, output, words
):
    def refuse(command, step, log, place, *_):
        if "pip" in command:
            raise explain_failure(step, output, log, place)

    monkeypatch.setattr(peers, "run", refuse)
    monkeypatch.setattr(command, "is_ready", lambda _: True)
    monkeypatch.setattr(command.Places, "of_this_clone", lambda: places)
    assert command.run_command_line(["--peers"]) == 2
    printed = capsys.readouterr().err.strip()
    assert words in printed
    assert is_one_sentence(printed)


def test_nothing_else_of_the_set_up_makes_it(places, monkeypatch):
    monkeypatch.setattr(command, "is_ready", lambda _: True)
    monkeypatch.setattr(peers, "set_up", lambda _: pytest.fail("made"))
    command.set_up(places)


def test_torch_without_cuda_is_asked_for_where_there_are_two(monkeypatch):
    for machine, build in (("x86_64", "+cpu"), ("aarch64", "")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert peers.torch() == f"torch=={peers.TORCH}{build}"


def test_every_version_is_pinned_and_the_bench_looks_in_the_same_place():
    from benchmarks.peers import PYTHON

    lines = [line for line in peers.PINS.read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in lines)
    assert peers.Places(ROOT, ROOT).peers / "bin" / "python" == PYTHON
