"""`make speed`: speed of the golden model and of the RTL."""

from caduceus.cli.interrupt import guarded


def _command() -> None:
    from benchmarks.command import main

    main()


if __name__ == "__main__":
    guarded("speed", _command)
