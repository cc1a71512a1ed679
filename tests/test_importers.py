"""ONNX models of many exporters' forms become networks with the same results, or are refused."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_models import REFUSED, SUPPORTED, in_opset, ones_stride_2
from safetensors.numpy import save_file

from caduceus import Chip, Golden, Network, compile
from caduceus.importers.load import from_onnx, network_of
from caduceus.importers.replacements import with_weights
from caduceus.importers.simplify import simplified_here
from caduceus.spec import program_file
from caduceus.spec.errors import UserError

DIFFERENCE = 1e-5
"""Of a network's float form from the model, as a share of the largest output."""
SNR = 15.0
"""dB of the outputs on ideal devices against onnxruntime; averages of INT8 maps have the least."""


@pytest.fixture(scope="module")
def chip():
    return Chip.find("hermes")


def network(model, x, chip, tmp_path):
    file = tmp_path / "model.onnx"
    onnx.save(model, file)
    return network_of(simplified_here(file), x, chip=chip)


def compiled(found, chip):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(found, chip)


def expected(model, x):
    """The model's outputs in onnxruntime for inputs [n, ...], one after another."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    recurrent = [node for node in model.graph.node if node.op_type == "LSTM"]
    axis = 1 if recurrent and source.shape[1] in (1, "N", "batch") else 0
    outputs = [session.run(None, {source.name: np.expand_dims(each, axis)})[0] for each in x]
    return np.stack(outputs).astype(np.float64)


def sequences(model, x):
    """Samples with their inputs first: a model may have its batch second."""
    recurrent = any(node.op_type == "LSTM" for node in model.graph.node)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    if recurrent and x.shape[1] == 1 and (len(shape) < 2 or shape[1] in (0, 1)):
        return np.moveaxis(x, 1, 0)
    return x


@pytest.mark.parametrize("name", SUPPORTED)
def test_models_give_what_onnxruntime_gives(name, chip, tmp_path):
    model, samples = SUPPORTED[name]()
    x = sequences(model, samples)
    found = network(model, x, chip, tmp_path)
    assert found.graph.imported.difference < DIFFERENCE
    golden = Golden(compiled(found, chip), chip=chip).run(
        x if x.dtype.kind in "iu" else x.astype(np.float32)
    )
    wanted = expected(model, x).reshape(golden.real.shape)
    if "argmax" in [each.op for each in found.graph.host.after]:
        assert (golden.real == wanted).mean() > 0.8
        return
    power = np.square(wanted).sum() / max(np.square(golden.real - wanted).sum(), 1e-30)
    assert 10 * np.log10(power) > SNR


@pytest.mark.parametrize("name", REFUSED)
def test_models_are_refused_by_name(name, chip, tmp_path):
    build, words = REFUSED[name]
    model, x = build()
    with pytest.raises(UserError) as refusal:
        network(model, x, chip, tmp_path)
    sentence = str(refusal.value)
    assert all(word in sentence for word in words), sentence
    assert "model.onnx" in sentence


def test_opsets_give_the_same_program(chip, tmp_path):
    found = set()
    for opset in (11, 13, 17, 18, 21, onnx.defs.onnx_opset_version()):
        model, x = in_opset(opset)
        assert model.opset_import[0].version == opset
        model.graph.name = "same"
        file = tmp_path / f"{opset}.program"
        program_file.save(compiled(network(model, x, chip, tmp_path), chip), file)
        found.add(file.read_bytes())
    assert len(found) == 1


def test_a_map_of_ones_in_exact_steps(tmp_path):
    """SAME padding of stride 2 is below and on the right: the classic wrong answer is 12 first."""
    model, x = ones_stride_2()
    chip = Chip.find("tiny")
    found = network(model, np.repeat(x, 2, axis=0), chip, tmp_path)
    (node,) = found.graph.nodes
    assert (node.kernel, node.stride, node.padding) == (4, 2, 1)
    real = Golden(compiled(found, chip)).run(x.astype(np.float32)).real
    step = node.output_scale
    assert np.abs(real.reshape(-1) - [27, 18, 18, 12]).max() < 3 * step


def test_a_saved_import_is_the_same_network(chip, tmp_path):
    model, x = SUPPORTED["residual"]()
    found = network(model, x, chip, tmp_path)
    found.save(tmp_path / "saved")
    again = Network.load(tmp_path / "saved" / "network.yaml")
    files = [tmp_path / "a.program", tmp_path / "b.program"]
    for each, file in zip((found, again), files, strict=True):
        program_file.save(compiled(each, chip), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert again.graph == found.graph


def test_weights_of_a_state_dict_take_the_initializers_place(tmp_path):
    model, x = SUPPORTED["shape_chain"]()
    onnx.save(model, tmp_path / "model.onnx")
    weights = {
        each.name: 2 * onnx.numpy_helper.to_array(each)
        for each in model.graph.initializer
        if each.data_type == onnx.TensorProto.FLOAT
    }
    save_file(weights, tmp_path / "w.safetensors")
    before = from_onnx(tmp_path / "model.onnx", x)
    after = from_onnx(tmp_path / "model.onnx", x, weights=tmp_path / "w.safetensors")
    last = before.graph.nodes[-1].name
    assert after.graph.nodes[-1].output_scale > before.graph.nodes[-1].output_scale
    assert not np.array_equal(after.weights[last].weight, before.weights[last].weight)
    save_file({"nobody": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="nobody: got a name that is no initializer's"):
        from_onnx(tmp_path / "model.onnx", x, weights=tmp_path / "w.safetensors")


def test_weights_of_a_state_dict_take_a_networks_place(tmp_path):
    found = Network.find("resnet_tiny")
    random, tensors = np.random.default_rng(1), {}
    for node in found.graph.nodes:
        weight = found.weights[node.name].weight
        shape = (node.outputs, len(weight)) if node.op == "dense" else (
            node.outputs, len(weight) // node.kernel**2, node.kernel, node.kernel,
        )  # fmt: skip
        tensors[f"{node.name}.weight"] = random.normal(size=shape).astype(np.float32)
        tensors[f"{node.name}.bias"] = random.normal(size=node.outputs).astype(np.float32)
    save_file(tensors, tmp_path / "w.safetensors")
    after = with_weights(found, tmp_path / "w.safetensors")
    first = found.graph.nodes[0]
    wanted = tensors[f"{first.name}.weight"].transpose(2, 3, 1, 0).reshape(-1, first.outputs)
    assert np.array_equal(after.weights[first.name].weight, wanted)
    assert np.array_equal(after.weights[first.name].bias, tensors[f"{first.name}.bias"])
    tensors[f"{first.name}.weight"] = tensors[f"{first.name}.weight"][:1]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=f"{first.name}.weight: shape: got"):
        with_weights(found, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a weights file"):
        with_weights(found, tmp_path / "w.safetensors")
