"""Memory of a whole chip in the golden model: all its devices, and every tile ready to compute.

`python -m benchmarks.memory` prints the table. Each figure is of a process of its own: the most
that it had in use, less what it had before there was a chip. numba and what it compiles are counted
in.
"""

import json
import sys
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.golden import BATCHES, plain_config, random_inputs
from benchmarks.one_thread import measured
from caduceus.golden.fast.tile import Tile
from caduceus.spec import chip, formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode


def run(name: str = "hermes") -> list[dict]:
    """Figures of both read modes.

    Args:
        name: chip description.

    Returns:
        Rows with `chip`, `tiles`, `mode`, and `mib`: growth of the process up to its largest.

    Raises:
        UserError: the chip description does not exist.
    """
    Chip.find(name)  # a bad name fails here, not in the other processes
    return [measured("benchmarks.memory", name, "--mode", mode.value)[0] for mode in ReadMode]


def measure(description: chip.Chip, mode: ReadMode) -> dict:
    """One figure of `run`, in this process."""
    before = _mib("VmRSS")
    rng = np.random.default_rng(0)
    array = description.array
    shape = description.tiles, array.rows, array.columns, len(formats.DEVICES)
    codes = rng.integers(0, formats.DEVICE_MAX, shape, dtype=np.uint8, endpoint=True)
    state = pcm_state.ideal(description, codes)
    state.noise[...] = 1 << formats.NOISE_FRACTION
    config, x = plain_config(description, mode), random_inputs(description, max(BATCHES))
    tiles = [Tile(description, state, tile) for tile in range(description.tiles)]
    for tile in tiles:
        tile.run(config, x)
    return {
        "chip": description.name,
        "tiles": len(tiles),
        "mode": mode.value,
        "mib": round(_mib("VmHWM") - before, 1),
    }


def _mib(line: str) -> float:
    """A line of the kernel's own count for this process, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (value,) = (each.split()[1] for each in status if each.startswith(f"{line}:"))
    return int(value) / 1024


@click.command()
@click.argument("name", default="hermes")
@click.option("--mode", default=ReadMode.FOUR_PHASE.value, help="Read mode, with --json.")
@click.option("--json", "as_json", is_flag=True, help="Measure in this process, print JSON.")
def main(name: str, mode: str, as_json: bool) -> None:
    """Measure the golden model's memory with a whole chip of description NAME."""
    try:
        description = Chip.find(name)
        if as_json:
            print(json.dumps([measure(description, ReadMode(mode))]))
            return
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    table = Table(title=f"{description.tiles} tiles of {name}")
    for heading in ("read mode", "MiB"):
        table.add_column(heading, justify="right")
    for row in run(name):
        table.add_row(row["mode"], f"{row['mib']:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
