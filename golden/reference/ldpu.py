"""The local digital processing unit: counters of a column to one INT8 result, in binary16.

Every line of `process` is one floating-point unit and rounds once. The order of the operations is
published (Le Gallo et al. 2023; Khaddam-Aljameh et al. 2022), their roundings are our choice, and
so are RX values and results in binary16.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import convert, fp16
from caduceus.spec import formats

_INDEX = {constant.name: constant.index for constant in formats.COLUMN_CONSTANTS}


def process(
    p: NDArray[np.uint16],
    n: NDArray[np.uint16],
    constants: NDArray[np.uint16],
    relu_1: bool,
    relu_2: bool,
    rx: NDArray[np.int8] | NDArray[np.uint16] | None = None,
    rx_scale: int = 0,
    tx_binary16: bool = False,
) -> NDArray[np.int8] | NDArray[np.uint16]:
    """Results of a batch.

    Args:
        p: uint16 [n, columns], P counters.
        n: uint16 [n, columns], N counters.
        constants: uint16 [columns, 5], binary16 in the order of `formats.COLUMN_CONSTANTS`.
        relu_1: whether there is a ReLU before the RX addition.
        relu_2: whether there is a ReLU after it.
        rx: int8, or binary16 bits as uint16, [n, columns], added after scaling; None if there is
            no RX stream.
        rx_scale: binary16 bits.
        tx_binary16: whether results stay binary16.

    Returns:
        int8 [n, columns], or binary16 bits as uint16.
    """
    value = before_rx(p, n, constants, relu_1)
    # Without RX the unit adds 0 * 0, which turns -0 into +0 and nothing else.
    addend, factor = 0, 0
    if rx is not None:
        addend = rx if rx.dtype == np.uint16 else convert.from_int8(rx)
        factor = rx_scale
    value = fp16.fma(addend, factor, value)
    if relu_2:
        value = fp16.relu(value)
    return value if tx_binary16 else convert.to_int8(value)


def before_rx(
    p: NDArray[np.uint16], n: NDArray[np.uint16], constants: NDArray[np.uint16], relu_1: bool
) -> NDArray[np.uint16]:
    """What the RX value is added to, binary16 bits; arguments as for `process`."""

    def constant(name: str) -> NDArray[np.uint16]:
        return constants[:, _INDEX[name]]

    value = fp16.fma(convert.from_uint12(p), constant("gain_p"), constant("offset"))
    value = fp16.fma(convert.from_uint12(n), constant("gain_n"), value, negate_product=True)
    value = fp16.fma(value, constant("scale"), constant("bias"))
    return fp16.relu(value) if relu_1 else value
