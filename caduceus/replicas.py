"""Which layers of a convolutional network to replicate: those the user names, or those it helps."""

from collections.abc import Mapping
from typing import Literal

from rich.console import Console

from compiler.replicas import best_replicas
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Network, Weights

Replicas = Mapping[str, int] | Literal["auto"] | None
"""What the user asks for: by layer how many, `auto` as many as help, or none."""


def refused(network: str) -> UserError:
    """What to raise where there can be no replicas."""
    return UserError(f"replicas of network {network}: allowed is one that takes images end to end")


def chosen(
    wanted: Replicas,
    network: Network,
    weights: Mapping[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    console: Console,
) -> Mapping[str, int]:
    """Replicas by layer; says on `console` which, where the choice was left to the compiler."""
    if wanted != "auto":
        return wanted or {}
    found = best_replicas(network, weights, chip, read_mode)
    told = ",".join(f"{layer}={count}" for layer, count in found.items())
    console.print(f"replicas: {told or 'none help'}", highlight=False, soft_wrap=True)
    return found
