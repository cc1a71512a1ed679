"""Types of options' values; a bad value's sentence says what was given and what is expected."""

import math
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

import click

from caduceus.devices import ages


class Name(click.ParamType):
    """A name or a path: any text but an empty one, which is no value at all."""

    name = "name"

    def __init__(self, expected: str = "a name or a path") -> None:
        self._expected = expected

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is.

        Raises:
            click.BadParameter: it is empty.
        """
        if not value.strip():
            _fail(self, value, self._expected, param, ctx)
        return value


class OutputPath(click.Path):
    """Where something is written: any path but an empty one, which would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The path.

        Raises:
            click.BadParameter: it is empty.
        """
        if value == "":
            _fail(self, value, "a path", param, ctx)
        return super().convert(value, param, ctx)


class InputPath(Name):
    """A file to read: any path but an empty one."""

    def __init__(self) -> None:
        super().__init__("a path")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, absolute: workers may run in another folder.

        Raises:
            click.BadParameter: it is empty, or holds a character that no path can.
        """
        try:
            return Path(super().convert(value, param, ctx)).absolute()
        except ValueError:
            _fail(self, value, "a path", param, ctx)


class Choice(click.Choice):
    """One of some words."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word.

        Raises:
            click.BadParameter: it is none of them; with one that is close, if there is one.
        """
        words = [str(each) for each in self.choices]
        if value not in words:
            close = get_close_matches(str(value), words, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            _fail(self, value, f"one of {', '.join(words)}{hint}", param, ctx)
        return super().convert(value, param, ctx)


class _Bounded(click.ParamType):
    """Numbers from `least` to `most`: `read` makes them of text, errors name them `expected`."""

    def __init__(
        self, read: Callable[[str], float], least: float, most: float, expected: str
    ) -> None:
        self._read, self._least, self._most = read, least, most
        self._expected = expected

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number.

        Raises:
            click.BadParameter: it is none, or out of range.
        """
        try:
            found = self._read(str(value))
        except ValueError:
            found = math.nan
        if not self._least <= found <= self._most:
            _fail(self, value, self._expected, param, ctx)
        return found


class Whole(_Bounded):
    """Whole numbers from `least` to `most`; without an upper limit if that is None."""

    name = "n"

    def __init__(self, least: int, most: int | None = None) -> None:
        expected = f"a whole number, {least} " + ("or more" if most is None else f"to {most}")
        super().__init__(int, least, math.inf if most is None else most, expected)


class Number(_Bounded):
    """Numbers from `least` to `most`."""

    name = "number"

    def __init__(self, least: float, most: float) -> None:
        super().__init__(float, least, most, f"{least:g} to {most:g}")


class Age(_Bounded):
    """Time since devices were programmed, in seconds; see `caduceus.devices.ages`."""

    name = "age"

    def __init__(self) -> None:
        expected = f"0 to {ages.OLDEST:g} seconds, or an age as in 30min, 1h, 30d"
        super().__init__(ages.seconds, 0, ages.OLDEST, expected)


def _fail(
    kind: click.ParamType, value: object, expected: str, param: click.Parameter | None,
    ctx: click.Context | None,
) -> NoReturn:  # fmt: skip
    kind.fail(f"got {value if str(value).strip() else 'nothing'}, expected {expected}", param, ctx)
