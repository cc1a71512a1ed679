"""What `caduceus run` has a chip do: a compiled network, inputs, and what golden makes of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus import images as test_images
from caduceus import text, typical
from compiler.images import compile_images
from compiler.recurrent import compile_recurrent
from compiler.whole_chip import compile_layer
from golden import chip as golden_chip
from golden import images as golden_images
from sim.deploy import DeviceRequest, deployed, within
from sim.workload import Workload, workload
from spec import network as network_description
from spec import recurrent
from spec.chip import Chip
from spec.formats import ReadMode
from spec.gdpu import LstmState
from spec.pcm_state import PcmState
from spec.program import ChipProgram

IMAGES, VECTORS, STEPS = 2, 10, 20
"""When their number is not given."""


@dataclass(frozen=True)
class Work:
    """A program on devices, its inputs, and what ought to come of them.

    Attributes:
        what: what an input is called.
        count: how many of those.
        x: int8 [n, program.input_length].
        expected: int8 [m, program.output_length].
        state_after: of the GDPU's slices, for a sequence.
        labels: of images that have any; `following`: symbols that ought to follow, of a text that
            has any; `scale`: value of a step of its logits.
    """

    program: ChipProgram
    state: PcmState
    what: str
    count: int
    x: NDArray[np.int8]
    expected: NDArray[np.int8]
    state_after: LstmState | None = None
    labels: NDArray[np.uint8] | None = None
    following: NDArray[np.uint8] | None = None
    scale: float = 1.0

    def quality(self, outputs: NDArray[np.int8]) -> dict[str, float]:
        """How well outputs do, where there is something to recognise or to predict."""
        if self.labels is not None:
            answers = outputs.reshape(self.count, -1).argmax(axis=1)
            return {"accuracy": float(np.mean(answers == self.labels))}
        if self.following is not None:
            return {"bpc": float(np.mean(text.bits(outputs, self.scale, self.following)))}
        return {}


def prepared(
    name: str, chip: Chip, mode: ReadMode, inputs: int | None, devices: DeviceRequest
) -> Work:
    """Compile network `name` for `chip`, and have the golden model run it.

    Raises:
        UserError: there is no such network, it does not fit, or there are not so many inputs.
    """
    found = recurrent.find(name)
    if found is not None:
        network, weights = found
        x, following = text.inputs(network, weights, inputs or STEPS)
        program = compile_recurrent(within(network, devices.settings), weights, chip, mode)
        program, state = deployed(program, chip, devices, typical.steps(network, weights))
        golden = golden_chip.run_sequences(program, chip, state, x[np.newaxis])
        scale = network.dense.output_scale if network.dense else 1.0
        return Work(
            program, state, "steps", len(x), x, golden.outputs[0], golden.state,
            following=following, scale=scale,
        )  # fmt: skip
    network, weights = network_description.find(name)
    asked = within(network, devices.settings)
    if workload(network, chip) is Workload.LAYER:
        x, _ = test_images.inputs(network, inputs or VECTORS)
        x = x.reshape(len(x), -1)
        program = compile_layer(asked, weights, chip, mode)
        program, state = deployed(program, chip, devices, typical.vectors(network))
        return Work(program, state, "vectors", len(x), x, golden_chip.run(program, chip, state, x))
    x, labels = test_images.inputs(network, inputs or IMAGES)
    program = compile_images(asked, weights, chip, mode)
    program, state = deployed(program, chip, devices, typical.images(network))
    expected = golden_images.run(program, chip, state, x).reshape(-1, program.output_length)
    vectors = x.reshape(-1, x.shape[-1])
    return Work(program, state, "images", len(x), vectors, expected, labels=labels)
