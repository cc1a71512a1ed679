"""What people call a network, a chip or a kind of devices in tables and plots: never its path."""

from collections.abc import Iterable
from pathlib import Path

_DESCRIPTION = ("network.yaml", "network.yml")


def label(name: str) -> str:
    """A name as it is; of a file the name without its ending, of `X/network.yaml` X."""
    path = Path(name)
    if path.name in _DESCRIPTION and path.parent.name:
        return path.parent.name
    return path.stem if path.suffix in (".yaml", ".yml") else name


def labels(names: Iterable[str]) -> dict[str, str]:
    """The label of each of `names`; two that would share one keep their paths."""
    found = {name: label(name) for name in names}
    shared = list(found.values())
    return {name: name if shared.count(short) > 1 else short for name, short in found.items()}
