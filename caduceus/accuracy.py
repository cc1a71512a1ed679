"""`caduceus accuracy`: the golden model over the test set, with ideal devices."""

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from caduceus import images as test_images
from caduceus.paths import BUILD, REPOSITORY
from caduceus.workload import Workload, workload
from compiler.images import compile_images
from compiler.one_tile import compile_network
from golden import images as golden_images
from golden import network as golden_network
from spec import pcm_state
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights
from spec.program_codes import device_codes

TRAINED = {"hermes": "resnet9", "caduceus": "resnet9", "tiny": "fashion_tiny"}
"""Network of each chip, when none is named; the others need one by name."""
TEST_SET = 10_000
"""Images of the Fashion-MNIST test set, and of CIFAR-10's."""
_ARITHMETIC = ("spec", "compiler", "golden", "caduceus", "train")
"""Folders whose code decides the result."""


def _key(network: Network, weights: dict[str, Weights], chip: Chip, read_mode: ReadMode) -> str:
    """Hash of everything that an accuracy over the whole test set depends on."""
    arrays = []
    for layer in network.layers:
        arrays += [weights[layer.name].weight, weights[layer.name].bias]
    return fingerprint(f"{network!r} {chip!r} {read_mode}", arrays)


def fingerprint(what: str, arrays: Iterable[NDArray]) -> str:
    """Hash of a description, of weights, and of all code that decides a result."""
    digest = hashlib.sha256(what.encode())
    for array in arrays:
        digest.update(array.tobytes())
    for folder in _ARITHMETIC:
        for path in sorted((REPOSITORY / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _store(key: str) -> Path:
    return BUILD / "accuracy" / f"{key}.json"


def known(
    network: Network, weights: dict[str, Weights], chip: Chip, read_mode: ReadMode
) -> float | None:
    """Accuracy over the whole test set if it was measured before with the same code and files."""
    try:
        return json.loads(_store(_key(network, weights, chip, read_mode)).read_text())["golden"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def measure(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    count: int,
    console: Console,
) -> dict:
    """Run `count` test images through the golden model; a run of all of them is remembered.

    Returns:
        network, chip, read_mode, images, golden and float accuracy (0 to 1), seconds.

    Raises:
        UserError: the images are not there or random, or the network does not fit the chip.
    """
    if network.dataset == "random":
        raise UserError(
            f"network {network.name} takes random images: allowed is one with a data set"
        )
    images, labels = test_images.pictures(network, count)
    outputs, seconds = _run(network, weights, chip, read_mode, images, console)
    report = {
        "network": network.name,
        "chip": chip.name,
        "read_mode": str(read_mode),
        "images": count,
        "golden": float(np.mean(outputs.argmax(axis=1) == labels)),
        "float": network.float_accuracy,
        "seconds": seconds,
    }
    text = json.dumps(report, indent=2) + "\n"
    if count == TEST_SET:
        write_whole(_store(_key(network, weights, chip, read_mode)), text, "accuracy")
    write_whole(BUILD / "accuracy.json", text, "accuracy")
    return report


def _run(
    network: Network,
    weights: dict[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    images: NDArray[np.uint8],
    console: Console,
) -> tuple[NDArray[np.int8], float]:
    """Logits int8 [images, classes], and the seconds that the golden model took."""
    with Progress(console=console) as bar:
        task = bar.add_task(f"{network.name}, {read_mode}", total=len(images))

        def advance(done: int) -> None:
            bar.advance(task, done)

        if workload(network, chip) is Workload.IMAGES:
            x = test_images.vectors(network, images)
            whole = compile_images(network, weights, chip, read_mode)
            state = pcm_state.ideal(chip, device_codes(whole, chip))
            started = time.monotonic()
            outputs = golden_images.run(whole, chip, state, x, progress=advance)
            return outputs.reshape(len(images), -1), time.monotonic() - started
        program = compile_network(network, weights, chip, read_mode)
        states = [pcm_state.ideal(chip, layer.codes[np.newaxis]) for layer in program.layers]
        started = time.monotonic()
        outputs = golden_network.run(program, chip, images, states, progress=advance)
        return outputs, time.monotonic() - started
