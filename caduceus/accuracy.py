"""The golden model over a test set of images."""

import hashlib
import json
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from caduceus import images as test_images
from caduceus import typical
from caduceus.sources import sources
from compiler.images import compile_images
from compiler.one_tile import compile_network
from golden import images as golden_images
from golden import network as golden_network
from pcm.settings import Devices
from sim.deploy import deployed, deployed_layers, within
from sim.paths import build_folder
from sim.workload import Workload, workload
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights

TRAINED = {"hermes": "resnet9", "caduceus": "resnet9", "tiny": "fashion_tiny"}
"""Network of each chip, when none is named; the others need one by name."""
TEST_SET = 10_000
"""Images of the Fashion-MNIST test set, and of CIFAR-10's."""


def own_network(chip: Chip) -> str:
    """Name of the network that a chip is measured with if none is named.

    Raises:
        UserError: it has none.
    """
    if chip.name not in TRAINED:
        raise UserError(f"chip {chip.name} has no network of its own: name one with --net")
    return TRAINED[chip.name]


def _key(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices,
) -> str:
    """Hash of everything that an accuracy over the whole test set depends on."""
    arrays = []
    for layer in network.layers:
        arrays += [weights[layer.name].weight, weights[layer.name].bias]
    return fingerprint(f"{network!r} {chip!r} {read_mode} {devices!r}", arrays)


def fingerprint(what: str, arrays: Iterable[NDArray]) -> str:
    """Hash of a description, of weights, and of all code that decides a result."""
    digest = hashlib.sha256(what.encode())
    for array in arrays:
        digest.update(array.tobytes())
    digest.update(_code())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1)
def _code() -> bytes:
    """Hash of all code that decides a result, as it was when this process first asked."""
    files = (path.read_bytes() for path in sources("caduceus.points"))
    return hashlib.sha256(b"".join(hashlib.sha256(file).digest() for file in files)).digest()


def _store(key: str) -> Path:
    return build_folder() / "accuracy" / f"{key}.json"


def known(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices | None = None,
) -> float | None:
    """Accuracy over the whole test set if it was measured before with the same code and files."""
    key = _key(network, weights, chip, read_mode, devices or Devices.ideal())
    try:
        return json.loads(_store(key).read_text())["golden"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def measure(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    count: int,
    console: Console,
    devices: Devices | None = None,
) -> dict:
    """Run `count` test images through the golden model.

    Returns:
        network, chip, read_mode, devices, images, golden and float accuracy (0 to 1), seconds.

    Raises:
        UserError: the images are not there or random, or the network does not fit the chip.
    """
    demand_data_set(network)
    devices = devices or Devices.ideal()
    images, labels = test_images.pictures(network, count)
    outputs, seconds = _run(network, weights, chip, read_mode, images, console, devices)
    return {
        "network": network.name,
        "chip": chip.name,
        "read_mode": str(read_mode),
        "devices": str(devices),
        "images": count,
        "golden": float(np.mean(outputs.argmax(axis=1) == labels)),
        "float": network.float_accuracy,
        "seconds": seconds,
    }


def keep(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices,
    report: dict,
) -> None:
    """Write what `measure` gave to `build/accuracy.json`; `known` tells it if it is of all images.

    Raises:
        UserError: a file cannot be written.
    """
    text = json.dumps(report, indent=2) + "\n"
    if report["images"] == TEST_SET:
        write_whole(_store(_key(network, weights, chip, read_mode, devices)), text, "accuracy")
    write_whole(build_folder() / "accuracy.json", text, "accuracy")


def demand_data_set(network: Network) -> None:
    """Raise `UserError` unless the network's images have labels."""
    if network.dataset == "random":
        raise UserError(
            f"network {network.name} takes random images: allowed is one with a data set"
        )


def _run(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    images: NDArray[np.uint8],
    console: Console,
    devices: Devices,
) -> tuple[NDArray[np.int8], float]:
    """Logits int8 [images, classes], and the seconds that the golden model took."""
    network = within(network, devices.settings)
    with Progress(console=console) as bar:
        task = bar.add_task(f"{network.name}, {read_mode}", total=len(images))

        def advance(done: int) -> None:
            bar.advance(task, done)

        if workload(network, chip) is Workload.IMAGES:
            x = test_images.vectors(network, images)
            whole = compile_images(network, weights, chip, read_mode)
            whole, state = deployed(whole, chip, devices, typical.images(network))
            started = time.monotonic()
            outputs = golden_images.run(whole, chip, state, x, progress=advance)
            return outputs.reshape(len(images), -1), time.monotonic() - started
        program = compile_network(network, weights, chip, read_mode)
        program, states = deployed_layers(program, chip, devices)
        started = time.monotonic()
        outputs = golden_network.run(program, chip, images, states, progress=advance)
        return outputs, time.monotonic() - started
