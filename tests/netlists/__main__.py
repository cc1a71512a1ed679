"""`make netlist-test`: simulate the board's netlist, cell by cell, and compare it with golden."""

from caduceus.cli.interrupt import guarded


def _command() -> None:
    from netlists.command import main

    main()


if __name__ == "__main__":
    guarded("netlist-test", _command)
