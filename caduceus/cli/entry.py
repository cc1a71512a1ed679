"""Where the process of `caduceus` begins: what the command needs is imported under guard."""

from caduceus.cli.interrupt import guarded


def main() -> None:
    """Entry point of the command `caduceus`, and of `python -m caduceus`."""

    def command() -> None:
        from caduceus.cli.main import main as start

        start()

    guarded("caduceus", command)
