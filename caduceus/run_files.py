"""Files of commands that simulate: their folders in `build/`, and where the result goes."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

from spec.errors import UserError


@contextmanager
def only_run(folder: Path, console: Console) -> Iterator[None]:
    """Runs share `folder`, so a second one says that it waits for the first, and does.

    Raises:
        UserError: the folder cannot be made or written.
    """
    with _lock(folder) as lock:
        with working_files(folder):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.print("waiting for another run")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(folder: Path) -> TextIO:
    with working_files(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("w", encoding="utf-8")


@contextmanager
def working_files(folder: Path) -> Iterator[None]:
    """Files in `folder` are made or read in the block.

    Raises:
        UserError: one of them cannot be.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        reason = error.strerror or error
        raise UserError(f"{place}: cannot make a file of the run: {reason}") from None


def forget(output: Path, *beside: Path) -> None:
    """Remove an old result and what is beside it: they must not pass for this run's if it fails.

    Raises:
        UserError: one cannot be removed, is no regular file, or a new one cannot be written.
    """
    try:
        if output.exists() and not output.is_file():
            raise UserError(f"{output}: cannot write the result: it is no regular file")
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
        for file in (output, *beside):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot write the result: {error.strerror}") from None
