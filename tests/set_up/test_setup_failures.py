"""How failures are reported, and what stops a step."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
import setup
from provision import command, process
from provision.report import DiskFullError, SetupError
from setup_fakes import is_one_sentence

FAILURES = {
    "network did not answer": [
        "Failed to establish a new connection: [Errno 111] Connection refused\nERROR: none found",
        "E: Failed to fetch http://m.example/x  Could not resolve 'm.example'",
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "ReadTimeoutError: Read timed out.",
    ],
    "disk became full": [
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "tar: x: Cannot write: Disk quota exceeded",
    ],
    "not the one that was pinned": [
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
        "E: Failed to fetch x  Hash Sum mismatch",
    ],
    "'E: Unable to locate package nosuch'": ["Reading lists\nE: Unable to locate package nosuch\n"],
    "'cc1plus: fatal error: odd'": [
        "g++ -Werror -c V3Error.cpp\ncc1plus: fatal error: odd\nmake: *** [x.mk:2: opt] Error 1\n"
    ],
    "'x.c:1: error: odd'": [
        "fatal: not a git repository\nx.c:1: error: odd\nx.c:2: error: even\nmake: *** Error 1\n"
    ],
    "'make: *** odd'": ["fatal: not a git repository\nmake: *** odd\nmake: leaving\n"],
    "'fatal: odd'": ["Cloning\nfatal: odd\nwarning: more\n"],
    "'odd words'": ["some\nodd words\n"],
    "saying 'nothing'": [""],
}


@pytest.mark.parametrize(
    ("output", "reason"),
    [(output, reason) for reason, outputs in FAILURES.items() for output in outputs],
)
def test_failure_of_a_program_becomes_one_sentence(output, reason):
    error = process.explain_failure("doing it", output, Path("/log"), Path("/place"))
    assert reason in str(error)
    assert is_one_sentence(str(error))
    assert isinstance(error, DiskFullError) == (reason == "disk became full")


def test_run_keeps_the_output_and_returns_it(places):
    seen = []
    output = process.run(
        ["sh", "-c", "echo one; sleep 0.5; echo two >&2"],
        "it",
        places.log,
        places.root,
        look=seen.append,
    )
    assert output == "one\ntwo\n"
    assert "one\n" in seen
    assert "one\ntwo\n" in places.log.read_text()


def test_run_reports_the_failed_program_only(places):
    process.run(["echo", "No space left on device"], "it", places.log, places.root)
    with pytest.raises(SetupError, match="saying 'an odd error: x'"):
        process.run(["sh", "-c", "echo an odd error: x; exit 3"], "it", places.log, places.root)
    with pytest.raises(SetupError, match="program no-such-program is needed for it"):
        process.run(["no-such-program"], "it", places.log, places.root)


def test_too_full_a_disk_stops_a_step_before_it_starts(tmp_path):
    process.require_space(tmp_path, 0, "it")
    with pytest.raises(DiskFullError, match=r"too full for it.* MB are needed") as caught:
        process.require_space(tmp_path, 1 << 40, "it")
    assert is_one_sentence(str(caught.value))


def test_second_set_up_waits_for_the_first(tmp_path, capsys):
    entered = threading.Event()

    def second():
        with process.only_one(tmp_path / "lock"):
            entered.set()

    thread = threading.Thread(target=second)
    with process.only_one(tmp_path / "lock"):
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    thread.join()
    assert "waiting for it to finish" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (SetupError("It is so."), 2, "It is so."),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 2, "disk is full at /x"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "/x cannot be written"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 2, "/x cannot be written"),
        (OSError(errno.EIO, "Input/output error", "/x"), 2, "Input/output error at /x"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (KeyError("x"), 2, "Internal error (KeyError: 'x'): please report it as a bug; the trace"),
    ],
)
def test_every_failure_is_one_line_and_a_status(monkeypatch, capsys, error, status, words):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(command, "set_up", refuse)
    assert setup.main([]) == status
    printed = capsys.readouterr()
    assert words in printed.err
    assert len(printed.err.splitlines()) == 1
    assert is_one_sentence(printed.err.strip())
