"""From weights to codes and constants."""

import numpy as np
import pytest

from caduceus.compiler import quantise
from caduceus.spec.errors import UserError
from caduceus.spec.formats import CELL_MAX, DEVICE_MAX


def test_device_codes_give_the_cells_back_and_fill_one_device_first():
    cells = np.arange(-CELL_MAX, CELL_MAX + 1, dtype=np.int16).reshape(1, -1)
    codes = quantise.device_codes(cells).astype(int)
    assert np.array_equal(
        codes[..., 0] + codes[..., 1] - codes[..., 2] - codes[..., 3], cells.astype(int)
    )
    assert codes.min() == 0 and codes.max() == DEVICE_MAX
    for first, second in ((0, 1), (2, 3)):
        # A second device is used only once the first is full.
        assert ((codes[..., second] == 0) | (codes[..., first] == DEVICE_MAX)).all()


def test_the_largest_weight_gets_gmax():
    weight = np.array([[0.5, -2.0], [0.0, 1.0]], dtype=np.float32)
    largest = quantise.largest_weights(weight, per_core=True)
    assert quantise.cell_codes(weight, 300, largest).tolist() == [[75, -300], [0, 150]]
    largest = quantise.largest_weights(weight, per_core=False)
    assert quantise.cell_codes(weight, 300, largest).tolist() == [[300, -300], [0, 150]]
    codes = np.array([510, 20], np.uint16)
    assert quantise.cell_codes(weight, codes, largest).tolist() == [[510, -20], [0, 10]]
    zeros = np.zeros((2, 2), np.float32)
    for per_core in (True, False):
        largest = quantise.largest_weights(zeros, per_core=per_core)
        assert not quantise.cell_codes(zeros, 300, largest).any()


def test_constants_beyond_binary16_are_refused():
    with pytest.raises(UserError, match=r"layer a: bias: got 7e\+04, expected"):
        quantise.binary16(np.array([1.0, 7e4]), "layer a: bias")
    with pytest.raises(UserError, match=r"layer a: scale: got 1e-06, expected"):
        quantise.binary16(np.array([1e-6]), "layer a: scale")
