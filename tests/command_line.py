"""The `caduceus` command for tests: as a process, or without one where nothing depends on that."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from caduceus.cli.main import main

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 1800
"""Far more than anything takes: so that a hang is reported."""


def caduceus(*arguments: object, **environment: object) -> subprocess.CompletedProcess:
    """The command as a user runs it, with more variables in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "caduceus", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=SECONDS,
        env=os.environ | {key: str(value) for key, value in environment.items()},
    )  # fmt: skip


def here(*arguments: object, start: Callable[[], None] = main) -> subprocess.CompletedProcess:
    """The same in this process, where everything is imported: what it does not catch is raised.

    Of another command with `start`.
    """
    words = ["caduceus", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(REPOSITORY), mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
    ):  # fmt: skip
        try:
            start()
            status = 0
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())
