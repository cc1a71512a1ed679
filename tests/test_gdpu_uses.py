"""What else than an LSTM a GDPU slice can run, as docs/recurrent.md says, against binary64."""

import numpy as np
import pytest

from caduceus.golden.reference import gdpu
from caduceus.spec.gdpu import GATES, TANH_ERROR, THRESHOLDS
from caduceus.spec.program import GdpuConfig

UNITS = 16
OPEN = 127
"""A pre-activation that is beyond the table's last threshold with the scales below."""


def _bits(values) -> tuple[int, ...]:
    return tuple(np.array(values, np.float16).view(np.uint16).tolist())


def _config(scales, output_scale: float = 127.0, output_offset: float = 0.0) -> GdpuConfig:
    return GdpuConfig(
        UNITS, _bits(scales), (0,) * 4, _bits([output_scale])[0], _bits([output_offset])[0]
    )


def _gates(**gates: np.ndarray | int) -> np.ndarray:
    """Pre-activations of one vector, int8 [1, 4 * UNITS], from those of each gate."""
    columns = [np.broadcast_to(np.asarray(gates[gate], np.int8), UNITS) for gate in GATES]
    return np.stack(columns, axis=1).reshape(1, -1)


def _state(value: float) -> np.ndarray:
    return np.full((1, UNITS), _bits([value])[0], np.uint16)


def test_a_gate_is_held_open_or_closed_exactly() -> None:
    last = np.array(THRESHOLDS[-1], np.uint16).view(np.float16)
    assert OPEN * np.float16(0.03) > last
    cell = _state(1.25)
    for keep, expected in ((OPEN, 1.25), (-OPEN, 0.0)):
        gates = _gates(i=-OPEN, a=55, f=keep, o=OPEN)
        _, after = gdpu.step(_config([0.03] * 4), gates, cell)
        assert (after.view(np.float16) == expected).all()


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_a_dense_layer_may_end_in_a_sigmoid_or_a_tanh(function: str) -> None:
    z = np.linspace(-120, 120, UNITS).astype(np.int8)
    step = 0.03
    if function == "sigmoid":
        config = _config([step, step, step, step / 2])
        expected = 127 / (1 + np.exp(-z * step))
    else:
        config = _config([step] * 4, output_scale=254, output_offset=-127)
        expected = 127 * np.tanh(z * step)
    cell = _state(4.0)
    for _ in range(3):  # the state stays
        got, cell = gdpu.step(config, _gates(i=-OPEN, a=0, f=OPEN, o=z), cell)
        # The table's error, and a rounding of the output.
        assert np.abs(got[0] - expected).max() < 127 * TANH_ERROR + 0.6
        assert (cell.view(np.float16) == 4.0).all()


def test_a_gru_without_reset_gate_needs_no_other_unit() -> None:
    random = np.random.default_rng(3)
    steps = np.array([0.02, 0.02, 0.02, 0.03])
    state, cell = np.zeros(UNITS), _state(0.0)
    for _ in range(40):
        update, candidate = random.integers(-127, 128, (2, UNITS))
        keep = 1 / (1 + np.exp(-2 * steps[2] * update))
        state = keep * state + (1 - keep) * np.tanh(steps[1] * candidate)
        got, cell = gdpu.step(
            _config(steps), _gates(i=-update, a=candidate, f=update, o=OPEN), cell
        )
        assert np.abs(cell.view(np.float16)[0] - state).max() < 0.02
        assert np.abs(got[0] - 127 * np.tanh(state)).max() < 127 * 0.02 + 0.6
