"""The error of a data set that is not installed."""

from caduceus.spec.errors import UserError


class Missing(UserError):
    """A data set, or the part of it that is needed, is not installed."""
