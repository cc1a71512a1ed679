"""Speed of the golden model with whole networks: images per second on one thread.

`python -m benchmarks.images` prints the table. Times are processor time, as in
`benchmarks.golden`; what the model prepares with the first images of a program is there already.
"""

import dataclasses
import json
import sys
from functools import partial
from itertools import product

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.one_thread import measured
from benchmarks.rate import rate
from caduceus.compiler.network import compile_network
from caduceus.golden.machine import IMAGES_PER_BLOCK, Machine
from caduceus.spec import chip, formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program_codes import computing, device_codes

NETWORK = "resnet9"
ROUNDS = 3
"""Measurements a figure, each of a block of images or more; the median counts."""


def run(name: str = NETWORK, chip_name: str = "hermes") -> list[dict]:
    """Figures of both read modes, without and with read noise.

    Args:
        name: network.
        chip_name: chip description.

    Returns:
        Rows with `network`, `chip`, `mode`, `noise`, and `images` a second.

    Raises:
        UserError: the network or chip description does not exist.
    """
    Network.find(name)  # a bad name fails here, not in the other process
    Chip.find(chip_name)
    return measured("benchmarks.images", name, chip_name)


def measure(network: Network, description: chip.Chip, seconds: float = 1.0) -> list[dict]:
    """The figures of `run`, in this process with as many threads as it has."""
    rng = np.random.default_rng(0)
    size = network.graph.input
    shape = (IMAGES_PER_BLOCK, size.height * size.width, size.channels)
    x = rng.integers(0, formats.INT8_MAX + 1, shape).astype(np.int8)
    figures = []
    for mode, noisy in product(ReadMode, (False, True)):
        program = compile_network(network, description, mode)
        state = pcm_state.ideal(description, device_codes(program, description))
        if noisy:
            noise = np.full_like(state.noise, 1 << formats.NOISE_FRACTION)
            state = dataclasses.replace(state, noise=noise)
        machine = Machine(program, description, state)
        figures.append(
            {
                "network": network.name,
                "chip": description.name,
                "tiles": len(computing(program)),
                "mode": mode.value,
                "noise": noisy,
                "images": round(len(x) * rate(partial(machine.run, x), seconds, ROUNDS), 1),
            }
        )
    return figures


@click.command()
@click.argument("name", default=NETWORK)
@click.argument("chip_name", default="hermes")
@click.option("--json", "as_json", is_flag=True, help="Measure in this process, print JSON.")
def main(name: str, chip_name: str, as_json: bool) -> None:
    """Measure the golden model's speed with network NAME on chip description CHIP_NAME."""
    try:
        if as_json:
            print(json.dumps(measure(Network.find(name), Chip.find(chip_name))))
            return
        with Console(stderr=True).status("measuring"):
            figures = run(name, chip_name)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    table = Table(title=f"golden model, {name} on chip {chip_name}, images/s on one thread")
    for heading in ("read mode", "read noise", "images/s"):
        table.add_column(heading, justify="right")
    for row in figures:
        table.add_row(row["mode"], "yes" if row["noise"] else "no", f"{row['images']:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
