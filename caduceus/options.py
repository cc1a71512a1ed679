"""Options of commands: types that several have, and which belong to what."""

import math
from pathlib import Path

import click
from click.core import ParameterSource


class FiniteRange(click.FloatRange):
    """Numbers from `min` to `max`; what is not a number is refused, too."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that was given.

        Raises:
            click.BadParameter: it is none, or out of range.
        """
        found = super().convert(value, param, ctx)
        # Not a number is neither below the least nor above the most.
        if not math.isfinite(found):
            self.fail(f"{found}: allowed is {self.min:g} to {self.max:g}.", param, ctx)
        return found


class OutputPath(click.Path):
    """Where something is written: any path but an empty one, which would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The path that was given.

        Raises:
            click.BadParameter: it is empty.
        """
        if value == "":
            self.fail("it is empty: allowed is a path.", param, ctx)
        return super().convert(value, param, ctx)


def only(what: str, asked: bool, context: click.Context, *names: str) -> None:
    """Refuse options that were given although `what` they belong to was not asked for.

    Raises:
        click.UsageError: one was.
    """
    for name in names:
        if not asked and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in context.command.params if each.name == name)
            raise click.UsageError(f"{option.opts[0]}: allowed with {what}")
