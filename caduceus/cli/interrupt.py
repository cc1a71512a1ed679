"""Ctrl-C at any moment of a command: no traceback, exit status 130.

A KeyboardInterrupt is lost, or comes out as a traceback, where Python itself cannot pass it on: in
the locks of an import, in a callback of the garbage collector, in the C code of a package that is
being imported. There it is put off by a moment, again and again, until it is raised in code that
can end. This module imports next to nothing, so that it is in force early; what the interpreter
does before it runs a program's first line (`site`, `.pth` files) nothing can guard.
"""

import _thread
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130
"""Exit status, as of a shell: 128 and the signal's number."""
_MOMENT = 0.02
"""Seconds that an interrupt is put off by."""


def guarded(name: str, command: Callable[[], None]) -> None:
    """Run a command, its imports included, as the whole of this process.

    Args:
        name: stands before the sentence on standard error.
        command: ends, or raises SystemExit; it must not have been imported with anything large.

    Raises:
        SystemExit: of the command; with status 130 if it was interrupted.
    """
    main = _thread.get_ident()

    def again() -> None:
        time.sleep(_MOMENT)
        signal.pthread_kill(main, signal.SIGINT)

    def interrupt(_number: int, frame: FrameType | None) -> None:
        if _importing(frame):
            _thread.start_new_thread(again, ())
        else:
            raise KeyboardInterrupt

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(again, ())
        else:
            sys.__unraisablehook__(unraisable)

    # Not in a process whose starter has it ignore Ctrl-C.
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if listens:
            sys.unraisablehook = lost
            signal.signal(signal.SIGINT, interrupt)
        command()
    except KeyboardInterrupt:
        _leave(listens)
        sys.stderr.write(f"{name}: interrupted\n")
        sys.exit(INTERRUPTED)
    finally:
        _leave(listens)


def _importing(frame: FrameType | None) -> bool:
    """Whether an import is under way in a frame or in one that it was called from."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(listens: bool) -> None:
    """From here on a Ctrl-C ends the process at once, without Python."""
    if listens:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
