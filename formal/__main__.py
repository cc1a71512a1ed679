"""`python -m formal`: prove everything, refute every seeded bug, print a table."""

from caduceus.cli.interrupt import guarded


def _command() -> None:
    from formal.command import main

    main()


if __name__ == "__main__":
    guarded("formal", _command)
