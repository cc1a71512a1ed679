"""Files of commands: the working folder, and the result's destination."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console

from caduceus.spec.errors import UserError
from caduceus.spec.files import followed


@contextmanager
def only_run(folder: Path, console: Console, lock_name: str = "lock") -> Iterator[None]:
    """Lock `folder`, which runs share: a second run announces its wait for the first.

    `demand_own` recognizes the folder by the file of that name.

    Raises:
        UserError: the folder cannot be made or written.
    """
    with _lock(folder / lock_name) as lock:
        with working_files(folder):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.print("waiting for another run")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def demand_own(folder: Path, what: str, *marks: str) -> None:
    """Check that files in `folder` may be replaced: an earlier run must have left them.

    Args:
        folder: may be missing or empty.
        what: the product of these runs, for the message.
        marks: patterns of names; every such run leaves at least one.

    Raises:
        UserError: the folder has files and none of these names; it is no folder, or unreadable.
    """
    with working_files(folder):
        if folder.is_dir():
            own = any(any(folder.glob(mark)) for mark in marks)
            if not own and any(folder.iterdir()):
                raise UserError(
                    f"{folder}: the folder is not empty: expected a new or empty folder, or that "
                    f"of an earlier {what}"
                )
        elif folder.is_symlink() or folder.exists():
            found = "link that leads to no folder" if folder.is_symlink() else "file"
            raise UserError(f"{folder}: is a {found}: expected a folder, or a new name")


def _lock(path: Path) -> TextIO:
    with working_files(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")


def empty(folder: Path) -> None:
    """Make a folder, and remove the files of an earlier run.

    Raises:
        OSError: the path is no folder, or cannot be removed or made.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


@contextmanager
def working_files(folder: Path) -> Iterator[None]:
    """Turn an error with a file in `folder` during the block into a `UserError`.

    Raises:
        UserError: a file cannot be made or read.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise UserError(
            f"{place}: cannot make or read a file of the run: {_reason(error)}"
        ) from None


def _reason(error: OSError) -> str:
    # Making a folder where a file lies fails with "exists", which would mislead.
    wrong = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
    return os.strerror(wrong) if wrong else str(error)


def can_be_written(output: Path) -> None:
    """Report what would make the final write fail, before a run waits or starts.

    Raises:
        UserError: `output` is no regular file, or its folder cannot be written.
    """
    target = followed(output, "result")
    with _result(output):
        if target.is_dir():
            raise UserError(f"{output}: is a folder: expected a file")
        if target.exists() and not target.is_file():
            raise UserError(f"{output}: cannot write the result: it is no regular file")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def forget(output: Path, *beside: Path) -> None:
    """Remove an old result and its side files: if this run fails, they must not pass for its own.

    A link stays and its target goes, which `write_whole` writes to.

    Raises:
        UserError: a file cannot be removed, or as `can_be_written`.
    """
    can_be_written(output)
    with _result(output):
        for file in (followed(output, "result"), *beside):
            file.unlink(missing_ok=True)


@contextmanager
def _result(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{output}: cannot write the result: {_reason(error)}") from None
