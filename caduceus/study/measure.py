"""The golden model over a network's test set: one way for images and texts.

A text is cut into streams that run side by side (`data.streams`), each from an empty state through
the characters just before its own, which are not counted. So every character of the text
except its first is predicted exactly once, as in one long stream, except that the state forgets
what is older than those characters.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from caduceus.data import own_inputs, pictures, text
from caduceus.data.inputs import unit_of
from caduceus.data.streams import IGNORED, STREAMS, WARM_UP, Streams, streams
from caduceus.devices.settings import Devices
from caduceus.host.real_values import Ends
from caduceus.sim.compile import compile
from caduceus.sim.golden import Golden
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import LstmState
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.shipped import build_folder
from caduceus.spec.sources import sources
from caduceus.study import metrics

TEST_SET = 10_000
"""Images of the Fashion-MNIST test set, and of CIFAR-10's."""
_STEPS = 32
"""Steps between two looks at how far a text is; a divisor of `WARM_UP`."""


def fingerprint(what: str, arrays: Iterable[NDArray]) -> str:
    """Hash of a description, of weights, and of all code that decides a result."""
    digest = hashlib.sha256(what.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    digest.update(_code())
    return digest.hexdigest()[:32]


def network_fingerprint(network: Network) -> str:
    """Hash of a network, its weights and its text, and of all code that decides a result."""
    return fingerprint(f"{network.graph!r} {network.text!r} {_data(network)}", _arrays(network))


def _arrays(network: Network) -> list[NDArray]:
    found = [
        getattr(weights, each.name)
        for weights in network.weights.values()
        for each in fields(weights)
        if getattr(weights, each.name) is not None
    ]
    found += [] if network.data is None else network.data.arrays.values()
    return [each for each in (*found, network.embedding) if each is not None]


def _data(network: Network) -> list[str]:
    """Names, types and shapes of a network's own data."""
    arrays = {} if network.data is None else network.data.arrays
    return [f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()]


@lru_cache(maxsize=1)
def _code() -> bytes:
    """Hash of all code that decides a result, as at its first use in this process."""
    files = (path.read_bytes() for path in sources("caduceus.study.points"))
    return hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files)).digest()


def _stored(network: Network, chip: Chip, read_mode: ReadMode, devices: Devices) -> Path:
    """File of what was measured over the whole test set; its name hashes all that it depends on.

    Raises:
        UserError: the network's text is not there.
    """
    arrays = _arrays(network)
    if metrics.metric_of(network) == "bpc":
        arrays.append(text.whole_numbers(network))
    what = f"{network.graph!r} {chip!r} {read_mode} {devices!r} {_data(network)}"
    key = fingerprint(what, arrays)
    return build_folder() / "accuracy" / f"{key}.json"


def known(
    network: Network, chip: Chip, read_mode: ReadMode, devices: Devices | None = None
) -> dict | None:
    """The stored report over the whole test set, of the same code and files.

    Returns:
        what `measure` gave; None if it was not measured, or the data set is not here.
    """
    try:
        found = json.loads(
            _stored(network, chip, read_mode, devices or Devices.ideal()).read_text()
        )
        return found if isinstance(found["value"], float) else None
    except (UserError, FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def keep(network: Network, chip: Chip, read_mode: ReadMode, devices: Devices, report: dict) -> None:
    """Write what `measure` gave to `build/accuracy.json`; `known` tells it if it is of all inputs.

    Raises:
        UserError: a file cannot be written.
    """
    # Layers are of dataclasses.
    content = json.dumps(report, indent=2, default=asdict) + "\n"
    if report["count"] == whole(network):
        write_whole(_stored(network, chip, read_mode, devices), content, "accuracy")
    write_whole(build_folder() / "accuracy.json", content, "accuracy")


def whole(network: Network) -> int:
    """How many inputs the whole test set has: images, characters that are predicted, own inputs.

    Raises:
        UserError: there is none, or its text is not here.
    """
    metric = metrics.metric_of(network)
    if own_inputs.is_own(network):
        data = own_inputs.demanded(network)
        if metric is None:
            raise UserError(
                f"data of network {network.name}: got inputs alone, expected labels or targets too"
            )
        return len(data.inputs)
    if metric is None:
        raise UserError(
            f"network {network.name} takes random {unit_of(network)}: expected one with a data set"
        )
    return TEST_SET if metric == "accuracy" else len(text.whole_numbers(network)) - 1


def check(network: Network, count: int | None) -> None:
    """Demand that the inputs exist, before anything is compiled.

    Raises:
        UserError: there is no data set, it is not here, or it has fewer inputs.
    """
    size = whole(network)
    if network.data is not None:
        own_inputs.first(network.data, count or size, metrics.unit(network))
    elif metrics.metric_of(network) == "accuracy":
        pictures.pictures(network.graph, count or size)
    else:
        text.beginning(network, text.whole_numbers(network), count)


def compiled(network: Network, chip: Chip, read_mode: ReadMode, devices: Devices) -> Program:
    """The program of a network for these devices.

    Raises:
        UserError: the network does not fit the chip.
    """
    return compile(network, chip, read_mode, devices=devices)


def measure(
    network: Network,
    golden: Golden,
    count: int | None,
    console: Console,
) -> dict:
    """Run the first `count` inputs of the test set, or all, through the golden model.

    Args:
        network: gives the test set.
        golden: its program on devices that it was compiled for.
        count: images, characters to predict, or inputs or sequences of own data.
        console: shows the progress.

    Returns:
        network, chip, read_mode, scaling, devices, metric, value, float (in floating point on the
        whole test set, None if not known), count, unit (what was counted), seconds,
        replaced_drift_factors (as in `caduceus.sim.result.Figures`).

    Raises:
        UserError: there is no data set, it is not here or smaller, or a correction for the devices
            does not fit.
    """
    metric, size = metrics.metric_of(network), whole(network)
    of = _bpc if metric == "bpc" else _accuracy
    if network.data is not None:
        of = _own
    with Progress(console=console) as bar:
        task = bar.add_task(f"{network.name}, {golden.program.read_mode}", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, advance=done, total=total)

        started = time.monotonic()
        value, counted = of(network, golden, count or size, advance)
    return {
        "network": network.name,
        "chip": golden.chip.name,
        "read_mode": str(golden.program.read_mode),
        "scaling": network.graph.scaling,
        "devices": str(golden.devices),
        "metric": metric,
        "value": value,
        "float": metrics.float_metric(network),
        "count": counted,
        "unit": metrics.unit(network),
        "seconds": time.monotonic() - started,
        "replaced_drift_factors": golden.replaced and [asdict(each) for each in golden.replaced],
    }


Advance = Callable[[int, int], None]
"""Takes what was done since the last call, and the total."""


def _accuracy(network: Network, golden: Golden, count: int, advance: Advance) -> tuple[float, int]:
    images, labels = pictures.pictures(network.graph, count)
    x = golden.program.vectors(pictures.vectors(network.graph, images))
    found = golden.run(x, progress=lambda done: advance(done, count))
    return metrics.accuracy(found.outputs, labels), count


def _own(network: Network, golden: Golden, count: int, advance: Advance) -> tuple[float, int]:
    data = own_inputs.first(network.data, count, metrics.unit(network))
    x = golden.program.vectors(Ends.of(network).to_int8(data.inputs))
    total = x.shape[0] * x.shape[1] if golden.program.sequences else count
    found = golden.run(x, progress=lambda done: advance(done, total))
    return metrics.of_own(golden.program, data, found.outputs), count


def _bpc(network: Network, golden: Golden, count: int, advance: Advance) -> tuple[float, int]:
    numbers = text.beginning(network, text.whole_numbers(network), count)
    cut: Streams = streams(numbers, STREAMS, WARM_UP)
    total, now = 0.0, None
    for start in range(0, len(cut.numbers), _STEPS):
        here = slice(start, start + _STEPS)
        if now is not None and start == cut.warm_up:
            # There is nothing before the text's first character.
            now.hidden[0], now.cell[0] = 0, 0
        # Reads are numbered on from chunk to chunk, so that each has noise of its own.
        first = start * cut.numbers.shape[1]
        found = golden.run(network.embedding[cut.numbers[here].T], initial=now, first=first)
        now = LstmState(found.state.hidden.copy(), found.state.cell.copy())
        targets = cut.targets[here].T
        counted = targets != IGNORED
        costs = metrics.bits(found.outputs[counted], golden.program.output.scale, targets[counted])
        total += float(costs.sum())
        advance(found.outputs.shape[1], len(cut.numbers))
    return total / cut.counted, cut.counted
