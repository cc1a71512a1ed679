"""Caduceus: the digital side of a 64-core phase-change-memory compute chip, bit for bit.

import caduceus

network = caduceus.Network.find("resnet9")
program = caduceus.compile(network, caduceus.Chip.find("hermes"))
golden = caduceus.Golden(program).run(program.sample[:2])
rtl = caduceus.Simulation(program).run(program.sample[:2])
assert rtl.compare(golden).equal
"""

from importlib import import_module

TYPE_CHECKING = False
"""As in `typing`, which takes its time to import."""

if TYPE_CHECKING:
    from caduceus.devices.settings import Devices
    from caduceus.sim.board import Board
    from caduceus.sim.compile import compile
    from caduceus.sim.golden import Golden
    from caduceus.sim.simulation import Simulation
    from caduceus.spec.chip import Chip
    from caduceus.spec.network import Network

__all__ = [
    "Board", "Chip", "Devices", "Golden", "Network", "Simulation", "__version__", "compile",
]  # fmt: skip

_PLACES = {
    "Board": "caduceus.sim.board",
    "Chip": "caduceus.spec.chip",
    "Devices": "caduceus.devices.settings",
    "Golden": "caduceus.sim.golden",
    "Network": "caduceus.spec.network",
    "Simulation": "caduceus.sim.simulation",
    "compile": "caduceus.sim.compile",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use: most programs need a few of them."""
    if name == "__version__":
        return import_module("importlib.metadata").version("caduceus")
    if name not in _PLACES:
        raise AttributeError(f"module 'caduceus' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
