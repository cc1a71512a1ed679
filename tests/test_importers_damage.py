"""Any bytes as a model give a network or one sentence, within bounded time and memory."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from caduceus import Network
from caduceus.importers import simplify
from caduceus.spec.errors import SENTENCE_MAX, UserError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPORTS = ("tiny_conv.onnx", "tiny_mlp_qdq.onnx", "tiny_lstm.onnx")
SECONDS = 20
"""A model of some kilobytes takes about one; the machine may be busy."""


def outcome(file):
    """A network's name, or the sentence."""
    started = time.monotonic()
    try:
        found = Network.from_onnx(file, "random").name
    except UserError as error:
        found = str(error)
        assert "\n" not in found
        assert len(found) <= SENTENCE_MAX
    assert time.monotonic() - started < SECONDS
    return found


def mutated(data, random):
    """Bytes with a flip, another byte, a cut, or a piece in another place."""
    found = bytearray(data)
    kind = random.integers(5)
    place = int(random.integers(len(found)))
    if kind == 0:
        found[place] ^= 1 << int(random.integers(8))
    elif kind == 1:
        found[place] = int(random.integers(256))
    elif kind == 2:
        del found[place:]
    elif kind == 3:
        length = int(random.integers(1, 64))
        found[place : place + length] = bytes(random.integers(0, 256, length, dtype=np.uint8))
    else:
        length = int(random.integers(1, 64))
        piece = found[place : place + length]
        del found[place : place + length]
        at = int(random.integers(len(found) + 1))
        found[at:at] = piece
    return bytes(found)


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize(
    "count", [6, pytest.param(400, marks=pytest.mark.regress)], ids=["some", "many"]
)
def test_mutated_exports(name, count, tmp_path):
    data, random = (EXAMPLES / name).read_bytes(), np.random.default_rng(count)
    for number in range(count):
        file = tmp_path / f"m{number}.onnx"
        file.write_bytes(mutated(data, random))
        outcome(file)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"hello\n", b"\x08\x08" * 9, bytes(range(256)), b"\xff" * 1000],
    ids=["empty", "zero", "text", "fields", "all", "ones"],
)  # fmt: skip
def test_bytes_that_are_no_model(data, tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(data)
    assert "not an ONNX model" in outcome(file)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "not a regular file" in outcome(tmp_path / "pipe.onnx")
    assert "directory" in outcome(tmp_path / "folder.onnx")
    assert "No such file" in outcome(tmp_path / "missing.onnx")
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(simplify.BYTES_MAX + 1)
    assert "expected at most" in outcome(tmp_path / "large.onnx")


def model(*nodes, shape=("N", 4), output=("N", 4), arrays=None, name="x"):
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, key) for key, value in (arrays or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(found, path):
    path.write_bytes(found.SerializeToString())
    return path


def test_sizes_that_no_network_has(tmp_path):
    relu = helper.make_node("Relu", ["x"], ["y"], "relu")
    huge = saved(model(relu, shape=("N", 10**12), output=("N", "M")), tmp_path / "huge.onnx")
    assert "axis 1: got 1000000000000" in outcome(huge)
    bomb = model(
        helper.make_node("ConstantOfShape", ["s"], ["c"], "bomb"),
        helper.make_node("Add", ["x", "c"], ["y"], "add"),
        output=("N", "M"), arrays={"s": np.array([10**6, 10**6])},
    )  # fmt: skip
    assert str(tmp_path) in outcome(saved(bomb, tmp_path / "bomb.onnx"))


def test_graphs_that_are_none(tmp_path):
    one, other = (helper.make_node("Relu", [a], [b], a) for a, b in (("y", "z"), ("z", "y")))
    assert "ONNX's rules" in outcome(saved(model(one, other), tmp_path / "ring.onnx"))
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], "gemm")
    assert "ONNX's rules" in outcome(saved(model(gemm), tmp_path / "missing.onnx"))
    softmax = helper.make_node("Softmax", ["x"], ["y"], "soft", axis=1)
    softmax.attribute[0].type = onnx.AttributeProto.FLOAT
    outcome(saved(model(softmax), tmp_path / "attribute.onnx"))


@pytest.mark.parametrize("name", ["a/b.c", "with space", "ünïcode", "x" * 5000, "../up", "input"])
def test_names(name, tmp_path):
    weight = np.eye(4, dtype=np.float32)
    gemm = helper.make_node("Gemm", [name, "w"], ["y"], name)
    file = saved(model(gemm, arrays={"w": weight}, name=name), tmp_path / "names.onnx")
    network = Network.from_onnx(file, "random")
    assert network.graph.nodes[0].origin.node == name


def external(folder, location, data):
    """A model whose one weight lies in the file `location`."""
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], "gemm")
    found = model(gemm, arrays={"w": np.eye(4, dtype=np.float32)})
    tensor = found.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "64")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    if data is not None:
        (folder / "w.data").write_bytes(data)
    return saved(found, folder / "m.onnx")


def test_external_data(tmp_path):
    whole = np.eye(4, dtype=np.float32).tobytes()
    assert outcome(external(tmp_path, "w.data", whole)) == "m"
    assert "external data" in outcome(external(tmp_path, "w.data", whole[:20]))
    (tmp_path / "w.data").unlink()
    assert "external data" in outcome(external(tmp_path, "w.data", None))
    (tmp_path / "in").mkdir()
    for location in ("../w.data", str(tmp_path / "w.data")):
        file = external(tmp_path / "in", location, None)
        (tmp_path / "w.data").write_bytes(whole)
        assert "external data" in outcome(file)


def test_the_readers_process_is_bounded(tmp_path):
    """What ends it gives a sentence: here its memory."""
    code = (
        "import resource, sys\n"
        "from caduceus.importers import simplify\n"
        "simplify._MEMORY = 1 << 27\n"
        f"simplify._main({str(EXAMPLES / 'tiny_conv.onnx')!r}, {str(tmp_path)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    answer = simplify._answer(done.stdout)
    assert answer is None or "refused" in answer
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 1 << 27


QDQ = {"scale": np.array(0.1, np.float32), "w": np.eye(4, dtype=np.float32)}


def quantized(zero, scale=None, **attributes):
    arrays = QDQ | {"zero": zero} | ({} if scale is None else {"scale": scale})
    return model(
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantize", **attributes),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "dequantize"),
        helper.make_node("Gemm", ["d", "w"], ["y"], "gemm"),
        arrays=arrays,
    )


@pytest.mark.parametrize(
    ("zero", "scale", "words"),
    [
        (np.array(3, np.int8), None, "zero point: got 3, expected 0"),
        (np.array(7, np.uint8), None, "zero point: got 7, expected 128"),
        (np.zeros(4, np.int8), np.full(4, 0.1, np.float32), "scale"),
    ],
)
def test_quantizations_that_are_not_symmetric(zero, scale, words, tmp_path):
    sentence = outcome(saved(quantized(zero, scale), tmp_path / "q.onnx"))
    assert "node quantize: QuantizeLinear" in sentence
    assert words in sentence


def test_quantizations_that_are(tmp_path):
    for zero in (np.array(0, np.int8), np.array(128, np.uint8)):
        network = Network.from_onnx(saved(quantized(zero), tmp_path / "q.onnx"), "random")
        assert network.graph.input.scale == pytest.approx(0.1)
    unsigned = saved(quantized(np.array(0, np.uint8)), tmp_path / "u.onnx")
    network = Network.from_onnx(unsigned, "random")
    assert network.graph.input.scale == pytest.approx(0.2)
    assert any("doubled" in note for note in network.graph.imported.notes)
