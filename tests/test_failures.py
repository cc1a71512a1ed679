"""How commands fail: exit statuses, one sentence, and Ctrl-C at any moment."""

import os
import shutil
import signal
import subprocess
import sys
import time

import click
import pytest
from command_line import REPOSITORY, caduceus

from caduceus.cli.failures import reported
from caduceus.cli.interrupt import guarded
from caduceus.spec.errors import UserError

LONG = ("accuracy", "--mvm-error", "--seeds", "100")
"""A command that imports much and takes minutes."""


def failing(error: BaseException) -> int:
    with pytest.raises(SystemExit) as end, reported("caduceus"):
        raise error
    return end.value.code


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (UserError("chip.yaml: rows: got 0"), 2, "chip.yaml: rows: got 0"),
        (click.UsageError("no such\noption"), 2, "no such option"),
        (FileNotFoundError(2, "No such file or directory", "some/file"), 2, "some/file: No such f"),
        (OSError(28, "No space left on device"), 2, "standard output or a temporary file: No sp"),
        (MemoryError("12 GB"), 2, "not enough memory: 12 GB"),
        (OSError("it is broken"), 2, "it is broken"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
    ],
)
def test_a_failure_is_one_sentence_and_a_status(capsys, error, status, sentence):
    assert failing(error) == status
    printed = capsys.readouterr().err
    assert printed.startswith(f"caduceus: {sentence}") and printed.count("\n") == 1


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep\nvery"), ImportError("y")])
def test_a_bug_is_one_sentence_and_its_traceback_is_in_a_file(capsys, tmp_path, monkeypatch, error):
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path / "build"))
    assert failing(error) == 2
    printed = capsys.readouterr().err
    left = tmp_path / "build" / "traceback.txt"
    assert printed.startswith(f"caduceus: internal error ({type(error).__name__}: ")
    assert f"please report it as a bug; the traceback is in {left}" in printed
    assert printed.count("\n") == 1 and "Traceback" not in printed
    assert left.read_text().startswith("Traceback") and "raise error" in left.read_text()


def test_a_traceback_is_printed_on_request(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", str(tmp_path))
    monkeypatch.setenv("CADUCEUS_TRACEBACK", "1")
    assert failing(KeyError("x")) == 2
    assert capsys.readouterr().err.startswith("Traceback")
    run = caduceus("--traceback", "sim", "--chip", "nope")
    assert run.returncode == 2 and run.stderr.startswith("Traceback")
    assert run.stderr.splitlines()[-1].startswith("caduceus: unknown chip 'nope'")


def test_a_bug_is_reported_where_its_traceback_cannot_be_written(capsys, monkeypatch):
    monkeypatch.setenv("CADUCEUS_BUILD", "/dev/null")
    assert failing(KeyError("x")) == 2
    assert "set CADUCEUS_TRACEBACK=1 to see the traceback" in capsys.readouterr().err


def test_output_that_takes_nothing_is_one_sentence():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        run = subprocess.run(
            [sys.executable, "-m", "caduceus", "--help"],
            cwd=REPOSITORY, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr == (
        "caduceus: standard output or a temporary file: No space left on device\n"
    )


def test_a_terminal_without_unicode_shows_codes():
    run = caduceus("sim", "--chip", "chip-λ", PYTHONIOENCODING="latin-1", PYTHONUTF8=0)
    assert run.returncode == 2 and "unknown chip 'chip-\\u03bb'" in run.stderr


@pytest.mark.parametrize("start", [("-m", "formal"), ("-m", "benchmarks"), ("-m", "train")])
def test_every_command_of_the_project_is_guarded(start):
    text = (REPOSITORY / start[1] / "__main__.py").read_text()
    assert text.count("import ") == 2, "nothing but the guard and, under it, the command"
    assert "guarded(" in text


def interrupted(*words: str, after: float, ready: bool) -> subprocess.CompletedProcess:
    """A command that gets SIGINT that many seconds after it started, or said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, *words], cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        if ready:
            assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


UNDER_GUARD = f"""
import sys
from caduceus.cli.interrupt import guarded
sys.argv[1:] = {LONG!r}

def command():
    print("ready", flush=True)
    from caduceus.cli.main import main
    main()

guarded("caduceus", command)
"""
"""As `caduceus.cli.entry`, saying when it is past what no program can guard: Python's own start."""


def moments(first: tuple[float, ...], more: tuple[float, ...]) -> list:
    """Seconds: those of every run of the tests, and more of `make regress`."""
    return [*first, *(pytest.param(each, marks=pytest.mark.regress) for each in more)]


@pytest.mark.parametrize("after", moments((0, 0.05, 0.3, 2), (0.01, 0.03, 0.1, 0.15, 0.6, 1)))
def test_ctrl_c_at_any_moment_is_one_line_and_a_status(after):
    run = interrupted("-c", UNDER_GUARD, after=after, ready=True)
    assert run.returncode == 130, run.stderr
    assert run.stderr.strip() == "caduceus: interrupted"


@pytest.mark.parametrize("after", moments((0.05, 0.3), (0.01, 0.02, 0.1, 0.2)))
def test_ctrl_c_of_a_process_that_starts_comes_out_of_nothing_of_this_project(after):
    run = interrupted("-m", "caduceus", *LONG, after=after, ready=False)
    assert "caduceus/cli" not in run.stderr
    if "Traceback" in run.stderr:
        # Of Python's own start: `site`, and the finder of an editable installation.
        assert "site" in run.stderr or "runpy" in run.stderr
    elif run.returncode != -signal.SIGINT:  # Python had not yet set its own handler up
        assert (run.returncode, run.stderr.strip()) == (130, "caduceus: interrupted")


def test_an_interrupt_that_python_would_lose_is_raised_again():
    script = """
import os, signal, time
from caduceus.cli.interrupt import guarded

class Lost:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def command():
    Lost()
    time.sleep(60)

guarded("test", command)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (130, "test: interrupted\n")


def test_a_process_that_is_to_ignore_ctrl_c_does():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        guarded("test", lambda: os.kill(os.getpid(), signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


ODD = "it's é dir"
"""A path with an apostrophe, spaces, and a letter beyond ASCII."""


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": 0}])
def test_odd_paths_in_a_plain_locale(tmp_path, locale):
    place = tmp_path / ODD
    network = REPOSITORY / "networks" / "conv_32x16"
    shutil.copytree(network, place / "nét")
    made = caduceus(
        "run", "--chip", "tiny", "--net", place / "nét" / "network.yaml",
        "--output", place / "ä" / "result.json", CADUCEUS_BUILD=place / "build", **locale,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert (place / "ä" / "result.json").is_file()
    made = caduceus("compile", "--chip", "tiny", "--net", "conv_32x16",
                    CADUCEUS_BUILD=place / "build", **locale)  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert [file.suffix for file in (place / "build" / "programs").iterdir()] == [".program"]
