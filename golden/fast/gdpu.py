"""A GDPU slice in a compiled loop: the bits of `gdpu.step`, many times sooner."""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.fast.tile import ready
from caduceus.golden.reference import fp16, gdpu
from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import GdpuConfig


class FastGdpu:
    """LSTM units with this configuration.

    An INT8 pre-activation has 256 values and a cell state 65,536. Two tables, filled by `gdpu`
    itself, give the gate's value of the first and tanh of the second.

    Raises:
        UserError: of the configuration.
    """

    def __init__(self, config: GdpuConfig) -> None:
        from caduceus.golden.fast import kernels

        self._lstm = kernels.lstm
        gdpu.check(config)
        every = np.arange(1 << formats.ACTIVATION_BITS, dtype=np.uint8).view(np.int8)
        gates = np.repeat(every[:, np.newaxis], len(GATES), axis=1)
        activations = fp16.values(gdpu.activations(config, gates))
        self._arguments = (
            np.ascontiguousarray(activations.T, dtype=np.float64),
            fp16.values(gdpu.tanh(np.arange(1 << formats.FP16_BITS, dtype=np.uint16))),
            float(fp16.values(config.output_scale)),
            float(fp16.values(config.output_offset)),
            formats.INT8_MAX,
        )

    def step(
        self, gates: NDArray[np.int8], cell: NDArray[np.uint16]
    ) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
        """One step, for a batch; arguments and result as for `gdpu.step`."""
        hidden, after = np.empty(cell.shape, np.int8), np.empty(cell.shape, np.uint16)
        self._lstm(ready(gates), ready(cell), *self._arguments, hidden, after)
        return hidden, after
