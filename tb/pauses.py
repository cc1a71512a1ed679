"""Random pauses on a chip's streams, in a harness with PAUSES."""

from pathlib import Path

import numpy as np

from caduceus.spec.chip import Chip

PAUSES = ((0, 0), (16, 7), (64, 0), (200, 0), (16, 63), (40, 15), (8, 1023))
"""Per stream: probability of a pause per clock in 1/256, and the mask of its random length."""


def write_pauses(random: np.random.Generator, chip: Chip, folder: Path) -> None:
    """Draw pauses for a harness: some streams never pause, some often, some rarely and long."""
    for side in ("inputs", "outputs"):
        for port in range(len(getattr(chip.host, side))):
            share, longest = PAUSES[int(random.integers(len(PAUSES)))]
            seed = int(random.integers(1, 1 << 32))
            path = folder / f"{side[:-1]}_{port}.pauses"
            path.write_text(f"{share:x} {longest:x} {seed:x}\n", encoding="ascii")
