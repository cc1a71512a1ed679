"""Speed of the golden model: matrix-vector multiplications a second on one thread.

`python -m benchmarks.golden` prints the table. Times are processor time of a process of its own
with one thread for linear algebra, so that neither other jobs nor other cores change the figures
much.
"""

import dataclasses
import json
import sys
from functools import partial
from itertools import product

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.one_thread import measured
from benchmarks.rate import rate
from caduceus.golden.fast.tile import Tile
from caduceus.spec import chip, formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig

BATCHES = (1, 1024)


def run(name: str = "hermes", seconds: float = 0.1) -> list[dict]:
    """Figures of all combinations of read mode, noise and batch size.

    Args:
        name: chip description.
        seconds: processor time of one measurement.

    Returns:
        Rows with `mode`, `noise`, `batch`, and `counts` and `run`: MVM/s up to the converters'
        counts, and of the whole tile.

    Raises:
        UserError: the chip description does not exist.
    """
    Chip.find(name)  # a bad name fails here, not in the other process
    return measured("benchmarks.golden", name, "--seconds", str(seconds))


def measure(description: chip.Chip, seconds: float) -> list[dict]:
    """The figures of `run`, in this process with as many threads as it has."""
    rng = np.random.default_rng(0)
    rows, columns = description.array.rows, description.array.columns
    codes = rng.integers(0, formats.DEVICE_MAX + 1, (1, rows, columns, len(formats.DEVICES)))
    quiet = pcm_state.ideal(description, codes.astype(np.uint8))
    noise = np.full_like(quiet.noise, 1 << formats.NOISE_FRACTION)
    tiles = {
        False: Tile(description, quiet),
        True: Tile(description, dataclasses.replace(quiet, noise=noise)),
    }
    x = random_inputs(description, max(BATCHES))
    figures = []
    for mode, noisy, batch in product(ReadMode, tiles, BATCHES):
        config = plain_config(description, mode)
        row = {"mode": mode.value, "noise": noisy, "batch": batch}
        for part in ("counts", "run"):
            call = partial(getattr(tiles[noisy], part), config, x[:batch])
            row[part] = round(batch * rate(call, seconds))
        figures.append(row)
    return figures


def plain_config(description: chip.Chip, mode: ReadMode) -> TileConfig:
    """A whole tile, its column constants as after a reset."""
    rows, columns = description.array.rows, description.array.columns
    constants = np.array([[c.reset for c in formats.COLUMN_CONSTANTS]] * columns, dtype=np.uint16)
    return TileConfig(mode, rows, columns, constants)


def random_inputs(description: chip.Chip, vectors: int) -> NDArray[np.int8]:
    """Input vectors of a whole tile, every value as likely: int8 [vectors, rows]."""
    shape = vectors, description.array.rows
    rng = np.random.default_rng(1)
    return rng.integers(-formats.INT8_MAX, formats.INT8_MAX, shape, dtype=np.int8, endpoint=True)


@click.command()
@click.argument("name", default="hermes")
@click.option("--seconds", default=0.1, show_default=True, help="Length of one measurement.")
@click.option("--json", "as_json", is_flag=True, help="Measure in this process, print JSON.")
def main(name: str, seconds: float, as_json: bool) -> None:
    """Measure the golden model's speed on chip description NAME."""
    try:
        description = Chip.find(name)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if as_json:
        print(json.dumps(measure(description, seconds)))
        return
    array = description.array
    table = Table(title=f"golden model, {array.rows}x{array.columns}, MVM/s on one thread")
    for heading in ("read mode", "read noise", "batch", "counts", "whole tile"):
        table.add_column(heading, justify="right")
    with Console(stderr=True).status("measuring"):
        figures = run(name, seconds)
    for row in figures:
        rates = (f"{row[part]:,}" for part in ("counts", "run"))
        table.add_row(row["mode"], "yes" if row["noise"] else "no", f"{row['batch']:,}", *rates)
    Console().print(table)


if __name__ == "__main__":
    main()
