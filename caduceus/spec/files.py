"""Writing whole files or none."""

import os
import tempfile
from pathlib import Path

from caduceus.spec.errors import UserError


def followed(path: Path, what: str) -> Path:
    """The path itself, or what it links to.

    Raises:
        UserError: its links lead to themselves.
    """
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError):  # which of them differs between versions of Python
        raise UserError(f"{path}: cannot write the {what}: it links to itself") from None


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
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: cannot write the {what}: it is no regular file")
    try:
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
        if temporary:
            temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot write the {what}: {error.strerror}") from None
