"""The exception that a user's mistake raises, and how values are shown in its sentence."""

import reprlib

SENTENCE_MAX = 499
"""Characters of the longest sentence."""
VALUE_MAX = 80
"""Characters of the longest value within a sentence."""
_TAIL = 190
_LONG_INTEGER = 256


class _Short(reprlib.Repr):
    """A tuple of a document is the list that stands in its file."""

    def repr_tuple(self, value: tuple, level: int) -> str:
        """As a list."""
        return self.repr_list(list(value), level)


_short = _Short()
_short.maxstring = _short.maxother = VALUE_MAX
_short.maxlist = _short.maxdict = _short.maxset = 16


def shown(value: object) -> str:
    """`value` as Python writes it: printable, one line, at most `VALUE_MAX` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, int) and value.bit_length() > _LONG_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = printable(_short.repr(value))
    except ValueError:  # of an integer within it that has too many digits to be written
        text = f"a {type(value).__name__}"
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def named(text: str) -> str:
    """A key or a name that a user wrote: as it is if short and printable, else as `shown`."""
    return text if text and text.isprintable() and len(text) <= VALUE_MAX else shown(text)


def printable(text: str) -> str:
    """`text` in one line: a character that cannot be printed stands as its escape sequence."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class UserError(Exception):
    """Bad input or a bad environment, in one printable line of at most `SENTENCE_MAX` characters.

    `<file or option>: <key>: <what is wrong>: got <value>, expected <range>`. The command line
    prints it and exits with status 2.

    Args:
        sentence: control characters in it are escaped; the middle of a longer one is left out.
    """

    def __init__(self, sentence: str) -> None:
        line = printable(sentence)
        if len(line) > SENTENCE_MAX:
            line = f"{line[: SENTENCE_MAX - _TAIL - 3]} … {line[-_TAIL:]}"
        super().__init__(line)


def demand_range(least: int, value: int, most: int, where: str, key: str) -> None:
    """Raise `UserError` unless `value`, called `key` in `where`, is `least` to `most`."""
    if not least <= value <= most:
        raise UserError(f"{where}: {key}: got {shown(value)}, expected {least} to {most}")
