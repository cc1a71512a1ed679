"""The mistake that is none of the network's: a data set that is not installed."""

from caduceus.spec.errors import UserError


class Missing(UserError):
    """A data set, or as much of it as is needed, is not here."""
