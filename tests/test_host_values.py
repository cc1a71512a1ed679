"""What the host does around the chip, against onnxruntime, and on the golden model."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import caduceus
from caduceus.golden.register_chip import RegisterChip
from caduceus.host.real_values import Ends, after, from_int8, to_int8
from caduceus.sim.inputs import shaped
from caduceus.spec.errors import UserError
from caduceus.spec.host_ends import HostEnds, HostOperator
from caduceus.spec.program import ProgramTensor

RANDOM = np.random.default_rng(7)
TINY = caduceus.Chip.find("tiny")


def ends(
    shape=(2, 3, 4), output=(5,), *, layout="hwc", before=(), after=(), pixels=False,
    embedding=None, sequences=False, scale=0.25,
) -> Ends:  # fmt: skip
    host = HostEnds(layout, tuple(before), tuple(after), pixels)
    return Ends(
        "net", ProgramTensor(shape, scale), ProgramTensor(output, 0.5), host, embedding, sequences
    )


def reference(operator: str, values: np.ndarray, **attributes) -> np.ndarray:
    """The operator in onnxruntime, along the last axis."""
    kind = TensorProto.INT64 if operator == "ArgMax" else TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], axis=-1, **attributes)], "one",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, values.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": values})[0]


OPERATORS = {
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
    "l2_norm": ("LpNormalization", {"p": 2}),
    "argmax": ("ArgMax", {"keepdims": 0}),
}


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("op", OPERATORS)
def test_operators_are_those_of_onnxruntime(op, data):
    shape = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    seed = data.draw(st.integers(0, 99))
    # Steps of INT8: ties are common, and a vector of zeros is possible.
    most = data.draw(st.sampled_from([0, 1, 127]))
    values = np.random.default_rng(seed).integers(-most, most, shape, endpoint=True)
    values = values * data.draw(st.sampled_from([1e-4, 0.1, 50.0]))
    name, attributes = OPERATORS[op]
    found = after(HostOperator(op), values)
    np.testing.assert_allclose(found, reference(name, values, **attributes), rtol=1e-12, atol=1e-13)


def test_the_last_step_counts() -> None:
    values = RANDOM.normal(size=(2, 5, 3))
    np.testing.assert_array_equal(after(HostOperator("last_step"), values), values[:, -1])


def test_layouts_are_the_same_image() -> None:
    hwc = RANDOM.normal(size=(6, 2, 3, 4))
    found = ends().to_int8(hwc)
    assert found.shape == (6, 6, 4) and found.dtype == np.int8
    np.testing.assert_array_equal(ends(layout="chw").to_int8(hwc.transpose(0, 3, 1, 2)), found)
    np.testing.assert_array_equal(ends(layout="vector").to_int8(hwc.reshape(6, 24)), found)
    expected = np.clip(np.rint(hwc / 0.25), -127, 127).reshape(6, 6, 4)
    np.testing.assert_array_equal(found, expected)


def test_rounding_is_to_even_and_clips_at_127() -> None:
    x = np.array([[0.125, 0.375, -0.125, -0.375, 1e30, -1e30]])
    found = ends((6,)).to_int8(x)
    assert found.tolist() == [[[0, 2, 0, -2, 127, -127]]]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "i4", "u2"])
def test_any_type_of_numbers_is_a_number(kind) -> None:
    x = RANDOM.integers(0, 9, (3, 2, 3, 4))
    np.testing.assert_array_equal(ends().to_int8(x.astype(kind)), ends().to_int8(x.astype("f8")))


def test_uint8_are_pixels_where_the_program_says_so() -> None:
    x = RANDOM.integers(0, 256, (3, 2, 3, 4), dtype=np.uint8)
    pixels = ends(pixels=True, scale=1 / 127).to_int8(x)
    np.testing.assert_array_equal(pixels, ends(scale=1 / 127).to_int8(x / 255))
    np.testing.assert_array_equal(ends(scale=2.5).to_int8(x), ends(scale=2.5).to_int8(x * 1.0))


@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_normalization_is_per_channel(layout) -> None:
    factor, shift = (0.5, 2.0, 1.0, 4.0), (1.0, 0.0, -1.0, 0.25)
    x = RANDOM.normal(size=(3, 2, 3, 4))
    given = x if layout == "hwc" else x.transpose(0, 3, 1, 2)
    found = ends(layout=layout, before=[HostOperator("normalize", None, factor, shift)])
    np.testing.assert_array_equal(found.to_int8(given), ends().to_int8(x * factor + shift))


def test_normalization_of_flat_vectors_is_per_value() -> None:
    factor, shift = RANDOM.normal(size=(2, 24))
    operator = HostOperator("normalize", None, tuple(factor), tuple(shift))
    x = RANDOM.normal(size=(3, 24))
    found = ends(layout="vector", before=[operator]).to_int8(x)
    np.testing.assert_array_equal(found, ends(layout="vector").to_int8(x * factor + shift))


EMBEDDING = RANDOM.integers(-127, 128, (300, 4), dtype=np.int8)
TOKENS = ends((4,), embedding=EMBEDDING, sequences=True, before=[HostOperator("embedding")])


@pytest.mark.parametrize("kind", ["i1", "u1", "i4", "i8", "u8"])
def test_numbers_of_an_embedding(kind) -> None:
    tokens = RANDOM.integers(0, 100, (2, 9)).astype(kind)
    np.testing.assert_array_equal(TOKENS.to_int8(tokens), EMBEDDING[tokens])


MISTAKES = [
    (ends(), np.zeros((3, 4, 2, 3)), r"\[3, 4, 2, 3\], expected \[n, 2, 3, 4\] \(hwc\)$"),
    (ends(layout="chw"), np.zeros((3, 2, 3, 4)), r"expected \[n, 4, 2, 3\] \(chw\)$"),
    (ends(layout="vector"), np.zeros((3, 23)), r"shape: got \[3, 23\], expected \[n, 24\]$"),
    (ends(), np.zeros((0, 2, 3, 4)), r"shape: got \[0, 2, 3, 4\], expected \[n, 2, 3, 4\]"),
    (ends(), np.full((1, 2, 3, 4), np.nan), r"got nan, expected finite values$"),
    (ends(), np.full((1, 2, 3, 4), -np.inf), r"got -inf, expected finite values$"),
    (ends(), np.zeros((1, 2, 3, 4), complex), r"type: got complex128, expected numbers$"),
    (ends(), [["a"]], r"type: got <U1, expected numbers$"),
    (ends((4,), sequences=True), np.zeros((3, 4)), r"\[3, 4\], expected \[n, steps, 4\]$"),
    (TOKENS, np.zeros((1, 2), float), r"got float64 \[1, 2\], expected integers \[n, steps\], 0 t"),
    (TOKENS, np.array([[0, 300]]), r"got 300, expected 0 to 299$"),
    (TOKENS, np.array([[0, -1]]), r"got -1, expected 0 to 299$"),
    (TOKENS, np.zeros(3, int), r"shape: got \[3\], expected \[n, steps\]"),
]


@pytest.mark.parametrize(("known", "x", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(known, x, sentence) -> None:
    with pytest.raises(UserError, match=f"^inputs of net: .*{sentence}"):
        known.to_int8(x)


def test_outputs_come_in_the_users_layout() -> None:
    outputs = RANDOM.integers(-127, 128, (2, 6, 5), dtype=np.int8)
    hwc = outputs.reshape(2, 2, 3, 5) * 0.5
    for layout, expected in (("hwc", hwc), ("chw", hwc.transpose(0, 3, 1, 2)), ("vector", hwc)):
        known = ends(output=(2, 3, 5), layout=layout)
        np.testing.assert_array_equal(known.in_layout(known.real(outputs)), expected)
    one = ends(output=(1, 1, 5), layout="chw").real(outputs[:, :1])
    assert one.shape == (2, 5)
    labels = ends(output=(2, 3, 5), layout="chw", after=[HostOperator("argmax")])
    found = labels.in_layout(labels.real(outputs))
    np.testing.assert_array_equal(found, hwc.argmax(axis=-1))


def test_golden_takes_the_users_images() -> None:
    network = caduceus.Network.find("resnet_tiny")
    program = caduceus.compile(network, TINY, read_mode="1-phase")
    golden = caduceus.Golden(program)
    images = RANDOM.integers(0, 256, (3, *network.graph.input.shape), dtype=np.uint8)
    steps = to_int8(program, images)
    expected = golden.run(steps)
    for x in (images, images / 255, (images / 255).astype(np.float32)):
        np.testing.assert_array_equal(golden.run(x).outputs, expected.outputs)
    scale = network.graph.nodes[-1].output_scale
    np.testing.assert_array_equal(expected.real, expected.outputs[:, 0] * scale)
    assert expected.figures.host == []


def test_a_board_takes_the_users_images() -> None:
    network = caduceus.Network.find("conv_32x16")
    program = caduceus.compile(network, TINY, read_mode="1-phase")
    x = RANDOM.uniform(-1, 1, (2, 32)).astype(np.float32)
    driven = caduceus.Board(program, RegisterChip(TINY), name="registers").run(x)
    golden = caduceus.Golden(program).run(x)
    assert driven.compare(golden).equal
    np.testing.assert_array_equal(shaped(program, x), to_int8(program, x))
    np.testing.assert_array_equal(driven.real, golden.real)


def test_golden_takes_numbers_of_symbols() -> None:
    network = caduceus.Network.find("lstm_tiny")
    program = caduceus.compile(network, TINY, read_mode="1-phase")
    golden = caduceus.Golden(program)
    tokens = RANDOM.integers(0, len(network.embedding), (2, 5))
    expected = golden.run(network.embedding[tokens])
    for x in (tokens, tokens.astype(np.uint8), tokens.tolist()):
        np.testing.assert_array_equal(golden.run(x).outputs, expected.outputs)
    assert expected.real.shape == (2, 5, network.graph.outputs)
    np.testing.assert_array_equal(from_int8(program, expected.outputs), expected.real)
