"""How a command fails: one sentence on standard error, and an exit status that says of what kind.

0 all is well, 1 a comparison found a mismatch, 2 anything else, 130 interrupted.
"""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from caduceus.cli.interrupt import INTERRUPTED
from caduceus.spec.errors import VALUE_MAX, UserError, printable
from caduceus.spec.extras import missing
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder

MISMATCH = 1
"""Exit status of a failed comparison."""
FAILED = 2
"""Exit status of a command that could not do its work."""
TRACEBACK_VARIABLE = "CADUCEUS_TRACEBACK"
"""Environment variable: with any value, tracebacks are printed."""


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Run a command; whatever it raises ends the process with one sentence and an exit status.

    Args:
        name: of the command, before the sentence.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows its code.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"{name}: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        _fail(name, _sentence(error) or _bug(error))


def _sentence(error: Exception) -> str | None:
    """What went wrong, if that is the user's or the system's to mend."""
    match error:
        case UserError():
            return str(error)
        case click.ClickException():
            return str(UserError(" ".join(_of_click(error).split())))
        case ModuleNotFoundError():
            reason = missing(error.name)
            return None if reason is None else str(reason)
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                place = place or "standard output or a temporary file: "
            return f"{place}{error.strerror or error}"
        case MemoryError():
            return f"not enough memory: {error or 'expected more of it, or a smaller task'}"
    return None


def _of_click(error: click.ClickException) -> str:
    """Errors of the command line, as all others are: the option, and what is wrong with it."""
    if (
        isinstance(error, click.BadParameter)
        and error.param
        and not isinstance(error, click.MissingParameter)
    ):
        return f"{error.param.opts[0]}: {error.message}"
    if isinstance(error, click.NoSuchOption):
        # Click finds most options similar to --help, which the hint names anyway.
        error.possibilities = [each for each in error.possibilities or () if each != "--help"]
    return _with_hint(error)


def _with_hint(error: click.ClickException) -> str:
    """The message; after a word that is unknown there, the command that lists the known ones."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None or not error.message.startswith(("No such ", "Got unexpected ")):
        return message
    if isinstance(context.command, click.Group):
        early = isinstance(error, click.NoSuchOption)
        known = "commands, whose options follow them" if early else "commands"
    else:
        known = "options"
    between = " " if message.endswith("?") else "; "
    return f"{message.removesuffix('.')}{between}`{context.command_path} --help` lists the {known}"


def _bug(error: Exception) -> str:
    """An error that nobody thought of: where its traceback is, and what to do with it."""
    what = printable(f"{type(error).__name__}: {error}".split("\n")[0])[:VALUE_MAX]
    path = build_folder() / "traceback.txt"
    try:
        write_whole(path, "".join(traceback.format_exception(error)), "traceback")
    except (UserError, OSError):
        where = f"set {TRACEBACK_VARIABLE}=1 to see the traceback"
    else:
        where = f"the traceback is in {path}"
    return f"internal error ({what}): please report it as a bug; {where}"


def _fail(name: str, sentence: str) -> NoReturn:
    # Amaranth warns of components that a failure has left without a use.
    warnings.simplefilter("ignore")
    click.echo(f"{name}: {sentence}", err=True)
    with suppress(OSError):
        sys.stdout.flush()
        sys.exit(FAILED)
    # Standard output takes nothing any more: what is left for it would fail again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(FAILED)
