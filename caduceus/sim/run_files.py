"""Files of commands: the folder that one works in, and where its result goes."""

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
    """Runs share `folder`, so a second one says that it waits for the first, and does.

    The file of that name is what `demand_own` can know the folder by.

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
    """Demand that files in `folder` may be replaced, by what an earlier run left there.

    Args:
        folder: may be missing or empty.
        what: what such a run makes.
        marks: patterns of names, one of which any such run leaves.

    Raises:
        UserError: there is something, and no such name; or it is no folder, or cannot be read.
    """
    with working_files(folder):
        if folder.is_dir():
            own = any(any(folder.glob(mark)) for mark in marks)
            if not own and any(folder.iterdir()):
                raise UserError(
                    f"{folder}: there is something else: expected a new or empty folder, or that "
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
    """Make a folder, and remove what an earlier run left in it.

    Raises:
        OSError: there is something else, or it cannot be removed or made.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


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
        raise UserError(
            f"{place}: cannot make or read a file of the run: {_reason(error)}"
        ) from None


def _reason(error: OSError) -> str:
    # A folder that is to be made where there is a file "exists": that is not what is wrong.
    wrong = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
    return os.strerror(wrong) if wrong else str(error)


def can_be_written(output: Path) -> None:
    """Tell before a run, and before it waits for another one, what would spoil its end.

    Raises:
        UserError: the result would be no regular file, or its folder cannot be written.
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
    """Remove an old result and what is beside it: they must not pass for this run's if it fails.

    A link stays, and what it leads to goes: there `write_whole` will write.

    Raises:
        UserError: one cannot be removed, or as `can_be_written`.
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
