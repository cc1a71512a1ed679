"""Golden GDPU against Berkeley SoftFloat, bit for bit, and against ONNX Runtime's LSTM."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import softfloatpy
from golden_reference import every_operand, from_softfloat
from onnx import TensorProto, helper

from caduceus.golden.reference import convert, gdpu
from caduceus.spec import formats
from caduceus.spec import gdpu as tables
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import GdpuConfig

Float16 = softfloatpy.Float16
MUL_ADD = softfloatpy.f16_mul_add
LESS_OR_EQUAL = softfloatpy.f16_le
TOOL = Path(__file__).resolve().parent.parent / "tools" / "tanh_table.py"
EVERY = np.arange(1 << formats.FP16_BITS).astype(np.uint16)


def _operands(bits: tuple[int, ...] | list[int]) -> list[Float16]:
    return [every_operand()[value] for value in bits]


ZERO, ONE = _operands([tables.ZERO, tables.ONE])


def _tanh(x: Float16) -> Float16:
    """The table, from SoftFloat's comparisons and its multiply-add."""
    number = sum(bool(LESS_OR_EQUAL(bound, x)) for bound in _operands(tables.THRESHOLDS))
    if number in (0, tables.BINS - 1) and not softfloatpy.f16_is_nan(x):
        x = ZERO
    slope, offset = _operands([tables.SLOPES[number], tables.OFFSETS[number]])
    return MUL_ADD(slope, x, offset)


def _unit(config: GdpuConfig, gates: list[int], cell: int) -> tuple[Float16, Float16]:
    """Hidden state before its rounding to INT8, and cell state, one operation after another."""
    values = []
    for gate, z in enumerate(gates):
        integer = softfloatpy.i32_to_f16(softfloatpy.Int32.from_int(max(z, -127)))
        scale, offset, gate_scale, gate_offset = _operands(
            [config.input_scale[gate], config.input_offset[gate],
             tables.GATE_SCALE[gate], tables.GATE_OFFSET[gate]]
        )  # fmt: skip
        values.append(MUL_ADD(_tanh(MUL_ADD(integer, scale, offset)), gate_scale, gate_offset))
    i, a, f, o = values
    new = MUL_ADD(f, every_operand()[cell], MUL_ADD(i, a, ZERO))
    hidden = MUL_ADD(o, _tanh(new), ZERO)
    scale, offset = _operands([config.output_scale, config.output_offset])
    return MUL_ADD(hidden, scale, offset), new


def _expect(config: GdpuConfig, gates: np.ndarray, cell: np.ndarray) -> tuple:
    """One step, checked against `_unit`."""
    hidden, new = gdpu.step(config, gates, cell)
    assert hidden.dtype == np.int8 and new.dtype == np.uint16
    by_unit = gates.reshape(*cell.shape, len(GATES)).tolist()
    pairs = [
        _unit(config, by_unit[row][unit], int(cell[row, unit]))
        for row, unit in np.ndindex(*cell.shape)
    ]
    outputs, states = (from_softfloat(side) for side in zip(*pairs, strict=True))
    assert (new.ravel() == states).all()
    assert (hidden.ravel() == convert.to_int8(outputs)).all()
    return hidden, new


def _bits(real: np.ndarray | float) -> np.ndarray:
    return np.asarray(real).astype(np.float16).view(np.uint16)


def _config(units: int, constants: np.ndarray) -> GdpuConfig:
    """Of constants as bits: four scales, four offsets, output scale and offset."""
    values = constants.tolist()
    return GdpuConfig(units, tuple(values[:4]), tuple(values[4:8]), *values[8:])


def test_the_table_is_what_the_tool_makes() -> None:
    run = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=True)
    made: dict = {}
    exec(run.stdout, made)
    for name in ("THRESHOLDS", "SLOPES", "OFFSETS", "TANH_ERROR"):
        assert made[name] == getattr(tables, name), name
    assert run.stdout.rstrip() in Path(tables.__file__).read_text(encoding="utf-8")


def test_the_table_is_as_near_to_tanh_as_it_says() -> None:
    values = EVERY.view(np.float16)
    finite = EVERY[np.isfinite(values)]
    real = finite.view(np.float16).astype(np.float64)
    error = np.abs(gdpu.tanh(finite).view(np.float16) - np.tanh(real)).max()
    assert tables.TANH_ERROR - 1e-7 <= error <= tables.TANH_ERROR


def test_the_table_is_odd_and_has_limits() -> None:
    sign = np.uint16(1 << formats.FP16_BITS - 1)
    positive = np.arange(1, formats.FP16_INFINITY + 1).astype(np.uint16)
    assert (gdpu.tanh(positive | sign) == gdpu.tanh(positive) | sign).all()
    assert gdpu.tanh(formats.FP16_INFINITY) == formats.FP16_ONE
    nans = EVERY[np.isnan(EVERY.view(np.float16))]
    assert (gdpu.tanh(nans) == formats.FP16_NAN).all()
    assert gdpu.tanh(sign) == gdpu.tanh(0) == tables.OFFSETS[tables.BINS // 2]


def test_tanh_of_every_value() -> None:
    expected = from_softfloat(_tanh(x) for x in every_operand())
    assert (gdpu.tanh(EVERY) == expected).all()


def test_useful_constants_over_several_steps() -> None:
    rng = np.random.default_rng(1)
    units, batch = 20, 3
    cell = np.zeros((batch, units), dtype=np.uint16)
    for _ in range(5):
        constants = [rng.uniform(0.005, 0.04, 4), rng.uniform(-0.5, 0.5, 4), [127.0, 0.0]]
        config = _config(units, _bits(np.concatenate(constants)))
        gates = rng.integers(-128, 128, (batch, 4 * units)).astype(np.int8)
        hidden, cell = _expect(config, gates, cell)
        assert len(np.unique(hidden)) > 20


def test_any_bits_as_constants() -> None:
    """NaN, infinities and subnormals included: nothing the host may write is undefined."""
    rng = np.random.default_rng(2)
    numbers = 0
    for _ in range(60):
        strange = rng.integers(0, 1 << 16, 10)
        useful = _bits(rng.uniform(-1, 1, 10) * [0.05] * 10)
        config = _config(16, np.where(rng.random(10) < 0.3, strange, useful))
        gates = rng.integers(-128, 128, (2, 64)).astype(np.int8)
        cell = rng.integers(0, 1 << 16, (2, 16)).astype(np.uint16)
        _, new = _expect(config, gates, cell)
        numbers += int(np.isfinite(new.view(np.float16)).sum())
    assert numbers > 500


@pytest.mark.parametrize("gate", range(len(GATES)), ids=GATES)
def test_each_gate_does_what_its_name_says(gate: int) -> None:
    """With scales that open a gate fully or close it: I and A fill the cell, F keeps, O shows."""
    config = _config(1, np.array([*[formats.FP16_ONE] * 4, *[0] * 4, int(_bits(127)), 0]))
    cell = np.array([[_bits(0.5)]])
    wide = [100, 100, 100, 100]
    wide[gate] = -100
    hidden, new = gdpu.step(config, np.array([wide], dtype=np.int8), cell)
    expected = {"i": 0.5, "a": -0.5, "f": 1.0, "o": 1.5}[GATES[gate]]
    assert new.view(np.float16) == expected
    assert hidden == (0 if GATES[gate] == "o" else np.rint(127 * float(_value(gdpu.tanh(new)))))


def _value(bits: np.ndarray) -> np.ndarray:
    return bits.view(np.float16)[0, 0]


def _lstm(x: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ONNX Runtime's LSTM of pre-activations [steps, batch, 4, units] in ONNX's order, IOFC.

    Its input weights are the identity and its recurrent ones 0: the gates see the input
    itself. Returns the hidden state of every step, and the last cell state.
    """
    steps, batch, gates, units = x.shape
    size = gates * units
    inputs = {
        "X": x.reshape(steps, batch, size).astype(np.float32),
        "W": np.eye(size, dtype=np.float32)[np.newaxis],
        "R": np.zeros((1, size, units), np.float32),
        "B": np.zeros((1, 2 * size), np.float32),
        "L": np.full(batch, steps, np.int32),
        "H": np.zeros((1, batch, units), np.float32),
        "C": cell[np.newaxis].astype(np.float32),
    }
    node = helper.make_node("LSTM", list(inputs), ["Y", "", "Y_c"], hidden_size=units)
    graph = helper.make_graph(
        [node], "lstm",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_c")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    hidden, last = session.run(None, inputs)
    return hidden[:, 0], last[0]


def test_a_sequence_against_onnx_runtime() -> None:
    """A gate errs by what the table does, and the cell state by what that makes of it.

    A sigmoid errs by half of the table's error, and each rounding of a value below 1 by 2**-12.
    So a step adds to a cell state's error at most: A's error and I's, times 1 each; F's, times the
    cell state; and a rounding of its own.
    """
    rng = np.random.default_rng(3)
    steps, batch, units = 12, 4, 32
    scale = np.array([0.01, 0.02, 0.01, 0.01]).astype(np.float16).astype(np.float64)
    offset = np.array([0.0, 0.1, 0.5, -0.1]).astype(np.float16).astype(np.float64)
    config = _config(units, np.concatenate([_bits(scale), _bits(offset), _bits([127.0, 0.0])]))
    gates = rng.integers(-127, 128, (steps, batch, 4 * units)).astype(np.int8)
    cell = rng.uniform(-1, 1, (batch, units)).astype(np.float16)
    x = gates.reshape(steps, batch, units, len(GATES)) * scale + offset
    x[..., [0, 2, 3]] *= 2  # the table's argument is half of the sigmoid's
    order = [GATES.index(gate) for gate in "iofa"]  # ONNX's C is the candidate, A
    reference, last = _lstm(np.moveaxis(x[..., order], -1, 2), cell)

    rounding = 2.0**-12
    # An argument of at most 4 is rounded by 2**-10, and tanh is nowhere steeper than 1.
    tanh_error = tables.TANH_ERROR + 2.0**-10
    gate_error = tanh_error / 2 + rounding
    bits = cell.view(np.uint16)
    error = np.zeros(cell.shape)
    for step in range(steps):
        before = np.abs(bits.view(np.float16).astype(np.float64))
        hidden, bits = gdpu.step(config, gates[step], bits)
        size = np.abs(bits.view(np.float16)).astype(np.float64)
        error = error + tanh_error + gate_error + gate_error * before
        error += rounding * (1 + np.maximum(1, 2 * size))
        hidden_error = 127 * (gate_error + error + tables.TANH_ERROR + 2 * rounding) + 0.5
        assert (np.abs(hidden - 127 * reference[step]) <= hidden_error).all(), step
        # Errors hardly ever add up: nearly all results are within two INT8 steps.
        assert np.mean(np.abs(hidden - 127 * reference[step]) <= 2) > 0.99
    assert (np.abs(bits.view(np.float16) - last) <= error).all()


@pytest.mark.parametrize(
    ("gates", "cell", "sentence"),
    [
        (np.zeros((2, 11), np.int8), np.zeros((2, 3), np.uint16), r"gate vectors: int8 \[2, 11\]"),
        (np.zeros((2, 12)), np.zeros((2, 3), np.uint16), r"float64 .* expected int8 \[2, 12\]"),
        (np.zeros((2, 12), np.int8), np.zeros((1, 3), np.uint16), r"cell state: uint16 \[1, 3\]"),
        (np.zeros((2, 12), np.int8), np.zeros((2, 3)), r"cell .* expected uint16 \[2, 3\]"),
    ],
)
def test_arrays_that_do_not_fit(gates: np.ndarray, cell: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        gdpu.step(_config(3, np.zeros(10, dtype=int)), gates, cell)


def test_configurations_that_do_not_fit() -> None:
    gates, cell = np.zeros((1, 4), np.int8), np.zeros((1, 1), np.uint16)
    with pytest.raises(UserError, match="units: got 0, expected 1 or more"):
        gdpu.step(_config(0, np.zeros(10, dtype=int)), gates, cell)
    with pytest.raises(UserError, match="input_scale: got 3 values, expected 4"):
        gdpu.step(GdpuConfig(1, (0, 0, 0), (0, 0, 0, 0), 0, 0), gates, cell)
