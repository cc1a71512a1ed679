"""The one exception a user's mistake may raise."""


class UserError(Exception):
    """Bad input or a bad environment, told in one sentence: what is wrong, where, what is allowed.

    The command line prints the sentence and exits with status 2; nothing else catches it.
    """
