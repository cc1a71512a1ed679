"""The models of `examples/`: they load, their data fit, and they classify as their page says."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(file.stem for file in EXAMPLES.glob("*.onnx"))


def run(file: Path, x):
    """Outputs of a model for inputs of any type; the batch is as large as there are inputs."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return session.run(None, {source.name: x.astype(np.float32)})[0]


def table() -> dict[str, list[str]]:
    """By model the cells of its row of the page."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.* %) \|$", text, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def test_every_model_is_on_the_page() -> None:
    assert sorted(table()) == NAMES
    assert len(NAMES) == 12


@pytest.mark.parametrize("name", NAMES)
def test_example_is_sound(name: str) -> None:
    file = EXAMPLES / f"{name}.onnx"
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert not re.search(rb"/(home|root|tmp|usr|work)/", file.read_bytes())
    with np.load(EXAMPLES / f"{name}.npz") as data:
        assert set(data.files) == {"inputs", "labels"}
        inputs, labels = data["inputs"], data["labels"]
    assert inputs.dtype in (np.uint8, np.float32)
    assert labels.dtype == np.uint8
    assert inputs.shape[1:] == tuple(
        dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]
    )
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    found = run(file, inputs)
    assert found.shape == (len(inputs), 10)
    cells = table()[name]
    assert f"{np.mean(found.argmax(axis=1) == labels):.2%}" == cells[-1].replace(" %", "%")
    assert str(len(labels)) == cells[-2]


def test_data_of_a_quantized_model_are_those_of_its_float_one() -> None:
    for name in NAMES:
        base = re.sub(r"_qdq(_uint8)?$", "", name)
        same = [(EXAMPLES / f"{each}.npz").read_bytes() for each in (base, name)]
        assert same[0] == same[1]


def test_forms_are_there() -> None:
    """Both exporters, external data, padding on two sides, and both forms of quantized models."""
    nodes = {name: onnx.load(EXAMPLES / f"{name}.onnx").graph.node for name in NAMES}
    kinds = {name: [node.op_type for node in each] for name, each in nodes.items()}
    assert (EXAMPLES / "separable.onnx.data").stat().st_size > 1000
    assert kinds["resnet8"].count("Pad") == 2
    assert kinds["resnet8"][0] == "Constant" or kinds["resnet8"][0] == "Sub"
    assert kinds["lstm"].count("LSTM") == kinds["tiny_lstm"].count("LSTM") == 1
    assert kinds["mlp"].count("BatchNormalization") == 2
    groups = [
        attribute.i
        for node in nodes["separable"]
        for attribute in node.attribute
        if attribute.name == "group"
    ]
    assert max(groups) > 1
    first = next(node for node in nodes["tiny_conv"] if node.op_type == "Conv")
    pads = next(attribute.ints for attribute in first.attribute if attribute.name == "pads")
    assert list(pads) == [0, 0, 1, 1]


def zero_points(name: str) -> set[str]:
    """Types and values of the zero points of a model's activations."""
    graph = onnx.load(EXAMPLES / f"{name}.onnx").graph
    values = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    found = set()
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            zero = values[node.input[2]]
            found |= {f"{zero.dtype} {value}" for value in np.unique(zero)}
    return found


def test_quantized_models_are_symmetric() -> None:
    for name in NAMES:
        if name.endswith("_qdq"):
            assert zero_points(name) == {"int8 0"}
    assert zero_points("tiny_conv_qdq_uint8") == {"int8 0", "uint8 0"}
