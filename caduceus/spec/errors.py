"""The one exception a user's mistake may raise, and the commonest reason for it."""


class UserError(Exception):
    """Bad input or a bad environment, told in one sentence: what is wrong, where, what is allowed.

    The command line prints the sentence and exits with status 2; nothing else catches it.
    """


def demand_range(least: int, value: int, most: int, where: str, key: str) -> None:
    """Raise `UserError` unless `value`, called `key` in `where`, is `least` to `most`."""
    if not least <= value <= most:
        raise UserError(f"{where}: {key}: got {value}, expected {least} to {most}")
