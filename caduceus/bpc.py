"""`caduceus accuracy` for a recurrent network: bits per character of the golden model on a text.

The text is cut into streams that run side by side (`train.streams`), each from an empty state
through the characters just before its own, which are not counted. So every character of the text
but its first is predicted exactly once, as if the text had been one, but for what is forgotten in
so many steps.
"""

import json
import time

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from caduceus import text, typical
from caduceus.accuracy import fingerprint
from compiler.recurrent import compile_recurrent
from golden.chip import Machine
from pcm.settings import Devices
from sim.deploy import deployed, within
from sim.paths import build_folder
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.gdpu import LstmState
from spec.recurrent import RecurrentNetwork, RecurrentWeights
from train import characters
from train.streams import IGNORED, STREAMS, WARM_UP, streams

_STEPS = 32
"""Steps between two looks at how far it is; a divisor of `WARM_UP`."""


def whole_text(network: RecurrentNetwork, weights: RecurrentWeights) -> NDArray[np.uint8]:
    """The network's test text, as numbers of its symbols.

    Raises:
        UserError: there is none, or it is not installed.
    """
    if network.dataset == "penn_treebank":
        found = characters.penn_treebank("test")
    elif network.dataset == "text":
        found = text.own(network, weights)
    else:
        raise UserError(
            f"network {network.name} has dataset {network.dataset}: allowed is one with a text"
        )
    return characters.encode(found, network.input.symbols)


def beginning(
    network: RecurrentNetwork, numbers: NDArray[np.uint8], count: int | None
) -> NDArray[np.uint8]:
    """Of a text the first `count` characters that are predicted, and the one before; or all.

    Raises:
        UserError: there are not so many.
    """
    if count is not None and not 1 <= count < len(numbers):
        raise UserError(
            f"characters = {count}: the text of network {network.name} allows 1 to "
            f"{len(numbers) - 1}"
        )
    return numbers if count is None else numbers[: count + 1]


def known(
    network: RecurrentNetwork,
    weights: RecurrentWeights,
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices | None = None,
) -> float | None:
    """Bits per character of the whole text, if that is here and was measured with the same code."""
    try:
        numbers = whole_text(network, weights)
        key = _key(network, weights, chip, read_mode, numbers, devices or Devices.ideal())
        return json.loads((build_folder() / "accuracy" / f"{key}.json").read_text())["golden_bpc"]
    except (UserError, FileNotFoundError, ValueError, KeyError):
        return None


def _key(
    network: RecurrentNetwork,
    weights: RecurrentWeights,
    chip: Chip,
    read_mode: ReadMode,
    numbers: NDArray[np.uint8],
    devices: Devices,
) -> str:
    arrays = [array for array in vars(weights).values() if isinstance(array, np.ndarray)]
    arrays.append(numbers)
    return fingerprint(f"{network!r} {chip!r} {read_mode} {devices!r}", arrays)


def measure(
    network: RecurrentNetwork,
    weights: RecurrentWeights,
    chip: Chip,
    read_mode: ReadMode,
    count: int | None,
    console: Console,
    devices: Devices | None = None,
) -> dict:
    """Run the text's first `count` characters, or all, through the golden model.

    Returns:
        network, chip, read_mode, devices, characters (predicted), golden_bpc, float_bpc, seconds.

    Raises:
        UserError: the text is not there or shorter, or the network does not fit the chip.
    """
    devices = devices or Devices.ideal()
    numbers = beginning(network, whole_text(network, weights), count)
    program = compile_recurrent(within(network, devices.settings), weights, chip, read_mode)
    program, state = deployed(program, chip, devices, typical.steps(network, weights))
    machine = Machine(program, chip, state)
    cut = streams(numbers, STREAMS, WARM_UP)
    started = time.monotonic()
    total, now = 0.0, None
    with Progress(console=console) as bar:
        task = bar.add_task(f"{network.name}, {read_mode}", total=len(cut.numbers))
        for start in range(0, len(cut.numbers), _STEPS):
            here = slice(start, start + _STEPS)
            if now is not None and start == cut.warm_up:
                # There is nothing before the text's first character.
                now.hidden[0], now.cell[0] = 0, 0
            # Reads are numbered on from chunk to chunk, so that each has noise of its own.
            read = start * cut.numbers.shape[1]
            run = machine.run_sequences(weights.embedding[cut.numbers[here].T], now, read)
            now = LstmState(run.state.hidden.copy(), run.state.cell.copy())
            targets = cut.targets[here].T
            counted = targets != IGNORED
            logits = run.outputs[counted]
            total += float(text.bits(logits, network.dense.output_scale, targets[counted]).sum())
            bar.advance(task, run.outputs.shape[1])
    return {
        "network": network.name,
        "chip": chip.name,
        "read_mode": str(read_mode),
        "devices": str(devices),
        "characters": cut.counted,
        "golden_bpc": total / cut.counted,
        "float_bpc": network.float_bpc,
        "seconds": time.monotonic() - started,
    }


def keep(
    network: RecurrentNetwork,
    weights: RecurrentWeights,
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices,
    report: dict,
) -> None:
    """Write what `measure` gave to `build/accuracy.json`; `known` tells it if it is of all text.

    Raises:
        UserError: a file cannot be written.
    """
    content = json.dumps(report, indent=2) + "\n"
    numbers = whole_text(network, weights)
    if report["characters"] == len(numbers) - 1:
        key = _key(network, weights, chip, read_mode, numbers, devices)
        write_whole(build_folder() / "accuracy" / f"{key}.json", content, "accuracy")
    write_whole(build_folder() / "accuracy.json", content, "accuracy")
