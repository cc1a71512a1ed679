"""The global digital processing unit: pre-activations to the next state of LSTM units.

Every line of `step` is one floating-point unit and rounds once. The order of the operations is
published (Le Gallo et al. 2023), their roundings and the table of tanh are our choice.
"""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from caduceus.golden.reference import convert, fp16
from caduceus.spec import formats, gdpu
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import GdpuConfig

_THRESHOLDS = np.array(gdpu.THRESHOLDS, dtype=np.uint16).view(np.float16)
_SLOPES = np.array(gdpu.SLOPES, dtype=np.uint16)
_OFFSETS = np.array(gdpu.OFFSETS, dtype=np.uint16)


def tanh(bits: ArrayLike) -> NDArray[np.uint16]:
    """Table value for binary16 `bits` (uint16): one line per bin, `spec.gdpu`; NaN for NaN."""
    bits = np.asarray(bits, dtype=np.uint16)
    values = bits.view(np.float16)
    number = np.searchsorted(_THRESHOLDS, values, side="right")
    unused = ((number == 0) | (number == gdpu.BINS - 1)) & ~np.isnan(values)
    return fp16.fma(_SLOPES[number], np.where(unused, 0, bits), _OFFSETS[number])


def step(
    config: GdpuConfig, gates: NDArray[np.int8], cell: NDArray[np.uint16]
) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    """One step of LSTM units, for a batch.

    Args:
        config: configuration of the slice.
        gates: int8 [n, 4 * config.units], pre-activations: those of a unit side by side, in the
            order of `gdpu.GATES`. -128 is read as -127.
        cell: uint16 [n, config.units], cell state before the step, binary16 bits.

    Returns:
        int8 [n, config.units], hidden state, and uint16 [n, config.units], cell state after it.

    Raises:
        UserError: an array or the configuration does not fit.
    """
    check(config)
    _demand("gate vectors", gates, np.int8, (len(gates), len(GATES) * config.units))
    _demand("cell state", cell, np.uint16, (len(gates), config.units))
    y = activations(config, gates.reshape(*cell.shape, len(GATES)))
    i, a, f, o = (y[..., gate] for gate in range(len(GATES)))
    new = fp16.fma(i, a, gdpu.ZERO)
    new = fp16.fma(f, cell, new)
    h = fp16.fma(o, tanh(new), gdpu.ZERO)
    h = fp16.fma(h, config.output_scale, config.output_offset)
    return convert.to_int8(h), new


def activations(config: GdpuConfig, gates: NDArray[np.int8]) -> NDArray[np.uint16]:
    """binary16 bits of the gates' values, for pre-activations int8 [..., gate]."""
    z = convert.from_int8(np.maximum(gates, -formats.INT8_MAX))
    x = fp16.fma(z, np.array(config.input_scale), np.array(config.input_offset))
    return fp16.fma(tanh(x), np.array(gdpu.GATE_SCALE), np.array(gdpu.GATE_OFFSET))


def check(config: GdpuConfig) -> None:
    """Demand that a slice can have this configuration.

    Raises:
        UserError: no units, or constants that are not one per gate.
    """
    if config.units < 1:
        raise UserError(f"GDPU configuration: units: got {config.units}, expected 1 or more")
    for name in ("input_scale", "input_offset"):
        given = len(getattr(config, name))
        if given != len(GATES):
            raise UserError(
                f"GDPU configuration: {name}: got {given} values, expected {len(GATES)}"
            )


def _demand(what: str, array: NDArray, kind: DTypeLike, shape: tuple[int, int]) -> None:
    if array.dtype != kind or array.shape != shape:
        raise UserError(
            f"{what}: {array.dtype} {list(array.shape)}: expected {np.dtype(kind)} {list(shape)}"
        )
