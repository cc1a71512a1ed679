"""Types of options that several commands have."""

import math

import click


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
