#!/usr/bin/env python3
"""Make this clone ready to run: system packages, `.venv` with pinned versions, and Verilator.

`make` runs it before every target. When everything is in place it says nothing and takes a fraction
of a second; otherwise it does what is missing and says what it is doing. Any failure is one
sentence on stderr and exit status 2, an interrupt status 130. Standard library only: it runs before
anything is installed.
"""

import os
import sys
import traceback
from pathlib import Path

OLDEST_PYTHON = (3, 11)
"""Oldest interpreter for the project, checked before importing what an older one cannot read."""


def main(arguments):
    """Run the set-up with these options (a list of strings); return its exit status."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("caduceus set-up: Interrupted: run make again to go on.\n")
        return 130
    except Exception as error:
        sys.stderr.write("caduceus set-up: %s.\n" % bug(error))
        return 2


def bug(error):
    """Return the sentence of an error that nobody thought of; its traceback goes to a file."""
    if os.environ.get("CADUCEUS_TRACEBACK"):
        traceback.print_exc()
    what = "%s: %s" % (type(error).__name__, error)
    path = Path(__file__).resolve().parents[1] / "build" / "traceback.txt"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
        where = "the traceback is in %s" % path
    except OSError:
        where = "set CADUCEUS_TRACEBACK=1 to see the traceback"
    return "Internal error (%s): please report it as a bug; %s" % (what.split("\n")[0][:80], where)


def run(arguments):
    """Check interpreter and system, and run the set-up; return its exit status."""
    if sys.version_info < OLDEST_PYTHON:
        sys.stderr.write(
            "caduceus set-up: Python %d.%d at %s is too old: install Python 3.11 or newer and "
            "name it, as in `make PYTHON=python3.11 sim`.\n"
            % (*sys.version_info[:2], sys.executable)
        )
        return 2
    if not sys.platform.startswith("linux"):
        sys.stderr.write(
            "caduceus set-up: %s is not supported: run it on Linux, or in a Debian 12 container.\n"
            % sys.platform
        )
        return 2
    from provision.command import run_command_line

    return run_command_line(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
