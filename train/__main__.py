"""`python -m train`: train the networks."""

from caduceus.cli.interrupt import guarded


def _command() -> None:
    from train.command import main

    main()


if __name__ == "__main__":
    guarded("train", _command)
