"""Run a command, and leave nothing of it behind: see `caduceus.spec.processes`, which starts this.

    python -I -S guard.py PIPE SECONDS COMMAND...

It ends, with everything that COMMAND started, when COMMAND ends, when the other end of PIPE is
closed (as it is when whoever held it dies, however), on a signal, and after SECONDS unless these
are 0. Processes that leave their group or session do not escape: they become its children when
their parents end. Its status is COMMAND's, 128 and the signal that ended COMMAND, or `EXPIRED`.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

EXPIRED, NOT_STARTED = 124, 127
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl."""


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent, the process `parent`, ends.

    A thread of `parent` itself, as in a pool of threads, goes on as it is.
    """
    if os.getpid() == parent:
        return
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run the command of the arguments; its status."""
    pipe, seconds, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(pipe, False)
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Signals, a child's end among them, wake the wait for the pipe.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    handled = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ended: list[int] = []
    for number in handled:
        signal.signal(number, lambda number, _frame: ended.append(number))
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        # Python ignores the latter two.
        for number in (*handled, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        end_with_parent(guard)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_STARTED)
    deadline = time.monotonic() + seconds if seconds else None
    status = EXPIRED
    while deadline is None or time.monotonic() < deadline:
        left = None if deadline is None else max(0, deadline - time.monotonic())
        ready = select.select([pipe, woken], [], [], left)[0]
        if woken in ready:
            # Before the look at `ended`: a signal after that look wakes the next wait.
            os.read(woken, 1024)
        if pipe in ready or set(ended) - {signal.SIGCHLD}:
            break
        if woken in ready:
            found = _reap(child)
            if found is not None:
                status = found
                break
    _end_all()
    return status


def _reap(child: int) -> int | None:
    """Collect what ended; the child's status if it did."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                break
            if number == child:
                code = os.waitstatus_to_exitcode(status)
                found = code if code >= 0 else 128 - code
    return found


def _end_all() -> None:
    """Kill all children, and their children as they become this process's, until none is left."""
    while children := _children():
        for number in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for number in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(number, 0)


def _children() -> list[int]:
    mine, found = os.getpid(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name before the last bracket may have any characters.
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[1]) == mine:
                    found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
