"""What `caduceus run` has a chip do: a compiled network, inputs, and what golden makes of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.deploy import DeviceRequest, deployed
from compiler.network import compile_network
from data import Inputs, inputs, sample
from golden.machine import Machine
from spec.chip import Chip
from spec.formats import ReadMode
from spec.gdpu import LstmState
from spec.network import Network
from spec.pcm_state import PcmState
from spec.program import Program
from study import metrics


@dataclass(frozen=True)
class Work:
    """A program on devices, its inputs, and what ought to come of them.

    Attributes:
        given: the inputs.
        x: int8 [n, program.input_length].
        expected: int8 [m, program.output_length].
        metric: of the network; None where nothing is expected of the inputs.
        state_after: of the GDPU's slices, for a sequence.
    """

    program: Program
    state: PcmState
    given: Inputs
    x: NDArray[np.int8]
    expected: NDArray[np.int8]
    metric: str | None
    state_after: LstmState | None = None

    @property
    def what(self) -> str:
        """What an input is called."""
        return self.given.unit

    @property
    def count(self) -> int:
        """How many of those there are."""
        return self.given.count

    def quality(self, outputs: NDArray[np.int8]) -> dict[str, float]:
        """How well outputs do, where there is something to recognise or to predict."""
        shaped = outputs.reshape(1 if self.what == "steps" else self.count, -1, outputs.shape[-1])
        value = metrics.value(self.program, self.given, shaped)
        return {} if value is None or self.metric is None else {self.metric: value}


def prepared(
    name: str, chip: Chip, mode: ReadMode, count: int | None, devices: DeviceRequest
) -> Work:
    """Compile network `name` for `chip`, and have the golden model run it.

    Raises:
        UserError: there is no such network, it does not fit, or there are not so many inputs.
    """
    network = Network.find(name)
    given = inputs(network, count)
    program = compile_network(
        network, chip, mode, largest_code=devices.settings.largest_code, sample=sample(network)
    )
    program, state = deployed(program, chip, devices)
    x = program.vectors(given.x)
    golden = Machine(program, chip, state).run(x)
    return Work(
        program, state, given, x.reshape(-1, program.input_length),
        golden.outputs.reshape(-1, program.output_length), metrics.metric_of(network), golden.state,
    )  # fmt: skip
