"""Files read up to a size, and written whole or not at all."""

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from caduceus.spec.errors import UserError


def read_whole(path: Path | str, what: str, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes; `what` names its kind in errors.

    A FIFO or a device is refused without being opened.

    Raises:
        UserError: the file is missing, unreadable, not a regular file, or larger.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            # A FIFO that has taken the file's place since must not be waited for.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                size = os.fstat(handle).st_size
                data = b"" if size > most else file.read(size + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot read the {what}: {error.strerror}") from None
    except ValueError:
        raise UserError(
            f"{path}: cannot read the {what}: the name holds a character that no file's can"
        ) from None
    except MemoryError:
        raise UserError(f"{path}: cannot read the {what}: not enough memory") from None
    if not stat.S_ISREG(mode):
        reason = os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "not a regular file"
        raise UserError(f"{path}: cannot read the {what}: {reason}")
    if size > most:
        raise UserError(f"{path}: {what}: got {size} bytes, expected at most {most}")
    if len(data) != size:
        raise UserError(f"{path}: cannot read the {what}: its size changes")
    return data


def present(path: Path) -> bool:
    """Whether there is something at `path`; not where its name is too long for any."""
    try:
        return path.exists()
    except OSError:
        return False


def read_text(path: Path | str, what: str, most: int) -> str:
    """As `read_whole`, of UTF-8 text; a byte order mark at its start is dropped.

    Raises:
        UserError: also where the file is not UTF-8.
    """
    data = read_whole(path, what, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: line {line}: cannot read the {what}: not UTF-8 text") from None


def followed(path: Path, what: str) -> Path:
    """The path itself, or what it links to.

    Raises:
        UserError: its links lead to themselves, or the path cannot be looked up.
    """
    try:
        return path.resolve() if path.is_symlink() else path
    except RuntimeError:
        reason = "it links to itself"
    except OSError as error:  # Python 3.13 raises it for a link to itself, too
        reason = "it links to itself" if error.errno == errno.ELOOP else error.strerror
    raise UserError(f"{path}: cannot write the {what}: {reason}")


def write_whole(path: Path | str, content: bytes | str, what: str) -> None:
    """Write `content` to `path` by way of a temporary file: never half of it, and no leftovers.

    Args:
        path: replaced if it exists, or what it links to; its folder is made if it does not.
        content: text is written as UTF-8.
        what: what the file is, for the error's sentence.

    Raises:
        UserError: the file cannot be written.
    """
    path = followed(Path(path), what)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: cannot write the {what}: it is no regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # Readable as any new file would be; mkstemp keeps it to its owner.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot write the {what}: {error.strerror}") from None
    finally:
        # Gone if it is the file by now; left by a full disk or Ctrl-C if not.
        if temporary:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
