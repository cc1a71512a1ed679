"""Where commands print."""

from rich.console import Console


def plain_console() -> Console:
    """A console that prints a user's text as it is: no markup, no emoji in it."""
    return Console(markup=False, emoji=False, highlight=False)
