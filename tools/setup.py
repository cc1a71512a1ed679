#!/usr/bin/env python3
"""Make this clone ready to run: system packages, `.venv` with pinned versions, and Verilator.

`make` runs it before every target. When everything is in place it says nothing and takes a fraction
of a second; otherwise it does what is missing and says what it is doing. Any failure is one
sentence on stderr and exit status 1. Standard library only: it runs before anything is installed.
"""

import sys

OLDEST_PYTHON = (3, 11)
"""Oldest interpreter for the project, checked before importing what an older one cannot read."""


def main(arguments):
    """Run the set-up with these options (a list of strings); return its exit status."""
    if sys.version_info < OLDEST_PYTHON:
        sys.stderr.write(
            "caduceus set-up: Python %d.%d at %s is too old: install Python 3.11 or newer and "
            "name it, as in `make PYTHON=python3.11 sim`.\n"
            % (*sys.version_info[:2], sys.executable)
        )
        return 1
    if not sys.platform.startswith("linux"):
        sys.stderr.write(
            "caduceus set-up: %s is not supported: run it on Linux, or in a Debian 12 container.\n"
            % sys.platform
        )
        return 1
    from provision.command import run_command_line

    return run_command_line(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
