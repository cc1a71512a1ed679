"""References and stimulus for the golden model's tests: Berkeley SoftFloat and ONNX Runtime."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnxruntime
import softfloatpy
from onnx import TensorProto, helper

from caduceus.spec import formats, program
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState

SIGN = 1 << formats.FP16_BITS - 1


@cache
def every_operand() -> list[softfloatpy.Float16]:
    """SoftFloat's object for each of the 65,536 bit patterns."""
    return [softfloatpy.Float16.from_bytes(bits.to_bytes(2, "big")) for bits in range(1 << 16)]


def softfloat(operation, *operands: np.ndarray) -> np.ndarray:
    """Apply a SoftFloat function to arrays of binary16 bits; every NaN result becomes 0x7E00."""
    objects = (map(every_operand().__getitem__, bits.tolist()) for bits in operands)
    return from_softfloat(map(operation, *objects))


def from_softfloat(results) -> np.ndarray:
    """Bits of SoftFloat's Float16 objects; every NaN becomes 0x7E00."""
    packed = b"".join(map(softfloatpy.Float16.to_bytes, results))
    bits = np.frombuffer(packed, dtype=">u2").astype(np.uint16)
    bits[bits & ~np.uint16(SIGN) > formats.FP16_INFINITY] = formats.FP16_NAN
    return bits


def onnx(operator: str, inputs: Sequence[np.ndarray], output: int, **attributes) -> np.ndarray:
    """Result of one ONNX operator, computed by ONNX Runtime on the CPU."""
    names = [f"input{index}" for index in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["output"], **attributes)],
        operator,
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("output", output, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def onnx_integer(operator: str, x: np.ndarray, codes: np.ndarray, **attributes) -> np.ndarray:
    """`MatMulInteger` or `ConvInteger` of INT8 `x` with uint8 `codes`: int32.

    The activations travel as uint8 with a zero point: ONNX Runtime's mixed-sign products saturate
    on processors without dot-product instructions, those of uint8 with uint8 never do.
    """
    zero = np.uint8(128)
    shifted = (x.astype(np.int16) + zero).astype(np.uint8)
    inputs = [shifted, codes, np.array(zero), np.array(0, np.uint8)]
    return onnx(operator, inputs, TensorProto.INT32, **attributes)


def random_state(chip: Chip, seed: int, tiles: int = 1, noise: bool = True) -> PcmState:
    """Random devices; converters with spread gains, offsets of both signs and read noise."""
    rng = np.random.default_rng(seed)
    columns = (tiles, chip.array.columns)
    codes = rng.integers(0, 256, (tiles, chip.array.rows, chip.array.columns, 4))
    gain = rng.uniform(0.5, 2, (2, *columns)) * chip.nominal_gain
    offset = rng.integers(-5000, 5000, (2, *columns))
    return PcmState(
        chip=chip.name,
        seed=int(rng.integers(0, 1 << 64, dtype=np.uint64)),
        codes=codes.astype(np.uint8),
        gain_p=gain[0].astype(np.uint32),
        gain_n=gain[1].astype(np.uint32),
        offset_p=offset[0].astype(np.int16),
        offset_n=offset[1].astype(np.int16),
        noise=rng.integers(0, 2000 if noise else 1, columns).astype(np.uint16),
    )


def random_int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """INT8 of the whole range, -128 included."""
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_config(
    rng: np.random.Generator, mode: ReadMode, rows: int, columns: int, **options
) -> program.TileConfig:
    """A configuration whose results spread over the INT8 range."""
    gain_p, gain_n = rng.uniform(0.8, 1.25, (2, columns))
    offset = rng.uniform(-20, 20, columns)
    scale, bias = rng.uniform(0.1, 0.5, columns), rng.uniform(-30, 30, columns)
    constants = np.stack([gain_p, gain_n, offset, scale, bias], axis=1)
    bits = constants.astype(np.float16).view(np.uint16)
    return program.TileConfig(mode, rows, columns, bits, **options)


def tiny() -> Chip:
    """The small chip description."""
    return Chip.find("tiny")


def onnx_lstm(
    x: np.ndarray, input_weight: np.ndarray, hidden_weight: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Hidden states of ONNX Runtime's LSTM: float32 [sequences, steps, hidden].

    Args:
        x: float32 [sequences, steps, size].
        input_weight: [size, 4 * hidden], gates in blocks in the GDPU's order I, A, F, O; ONNX has
            I, O, F, A.
        hidden_weight: [hidden, 4 * hidden], the same.
        bias: [4 * hidden].
    """
    order = (0, 3, 2, 1)

    def arranged(matrix: np.ndarray) -> np.ndarray:
        blocks = np.split(matrix.T.astype(np.float32), 4)
        return np.concatenate([blocks[gate] for gate in order])[np.newaxis]

    hidden = len(hidden_weight)
    both = np.concatenate([arranged(bias), np.zeros((1, 4 * hidden), np.float32)], axis=1)
    inputs = [
        x.transpose(1, 0, 2).astype(np.float32), arranged(input_weight), arranged(hidden_weight),
        both,
    ]  # fmt: skip
    result = onnx("LSTM", inputs, TensorProto.FLOAT, hidden_size=hidden)
    return result[:, 0].transpose(1, 0, 2)
