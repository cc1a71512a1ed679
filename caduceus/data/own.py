"""Default networks of each chip."""

from collections.abc import Mapping
from dataclasses import dataclass

from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.network import Network


@dataclass(frozen=True)
class Own:
    """Default networks of a chip.

    Attributes:
        run: networks that `sim` and `run` take.
        measured: network that `accuracy` and `sweep` take; None if there is none.
    """

    run: tuple[str, ...]
    measured: str | None


OWN: Mapping[str, Own] = {
    "hermes": Own(("resnet9", "lstm_ptb"), "resnet9"),
    "hermes_wide": Own(("resnet9", "lstm_ptb"), "resnet9"),
    "tiny": Own(("resnet_tiny", "lstm_tiny"), "fashion_tiny"),
    "ulx3s": Own(("conv_32x16", "lstm_tiny"), None),
}
"""By chip; another chip has no default network."""


def networks_of(chip: Chip, name: str | None) -> tuple[str, ...]:
    """The network `name`, or the chip's default networks if None.

    Raises:
        UserError: the chip has none.
    """
    if name is not None:
        return (name,)
    if chip.name not in OWN:
        raise UserError(
            f"chip {chip.name} has no network of its own: name one of "
            f"{', '.join(Network.available())}"
        )
    return OWN[chip.name].run


def measured_network(chip: Chip) -> str:
    """Name of the network that a chip is measured with by default.

    Raises:
        UserError: the chip has none.
    """
    own = OWN.get(chip.name)
    if own is None or own.measured is None:
        raise UserError(f"chip {chip.name} has no network of its own: name one with --net")
    return own.measured
