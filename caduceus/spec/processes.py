"""Programs that the library starts: none survives whoever started it, however that ended."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caduceus.spec import guard
from caduceus.spec.guard import EXPIRED, end_with_parent

__all__ = ["EXPIRED", "end_with_parent", "run", "started"]


@contextmanager
def started(
    command: Sequence[str | Path], *, limit: float = 0, **options: Any
) -> Iterator[subprocess.Popen]:
    """A program, as long as the block runs: at its end the program and all it started are gone.

    So they are if this process is killed. The program is in a session of its own, so that Ctrl-C
    in a terminal reaches this process alone, which then leaves the block. Its return code is 128
    and the signal's number if a signal ended it.

    Args:
        command: the program and its arguments.
        limit: seconds of wall-clock time after which it is ended, with return code `EXPIRED`; 0
            for none.
        options: of `subprocess.Popen`; `stdin` is empty unless given.

    Raises:
        OSError: there is no such program, or it cannot be started.
    """
    words = [str(word) for word in command]
    search = (options.get("env") or os.environ).get("PATH")
    if shutil.which(words[0], path=search) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
    options.setdefault("stdin", subprocess.DEVNULL)
    theirs, ours = os.pipe()
    process = None
    try:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(theirs), f"{limit:g}", *words],
                pass_fds=(theirs,), start_new_session=True, **options,
            )  # fmt: skip
        finally:
            os.close(theirs)
        yield process
    finally:
        os.close(ours)
        if process is not None:
            process.wait()


def run(command: Sequence[str | Path], *, limit: float = 0, **options: Any) -> int:
    """Run a program to its end, as `started` does; its return code.

    Raises:
        OSError: as `started`.
    """
    with started(command, limit=limit, **options) as process:
        return process.wait()
