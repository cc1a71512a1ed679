"""ONNX's own conformance cases through the importer: equal within a bound, or refused by name.

Each case of one node has its weights as graph inputs: all but the first become initializers. The
bounds are against floating point, which INT8 only comes near to.
"""

import warnings
from collections import Counter
from functools import cache
from importlib.resources import files

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from caduceus import Chip, Golden, compile
from caduceus.importers.load import from_onnx, network_of
from caduceus.importers.simplify import simplified_here
from caduceus.spec.errors import UserError

pytestmark = pytest.mark.xdist_group("conformance")
"""Collecting the cases takes seconds: once is enough."""
SNR = 25.0
"""dB of a layer's outputs against the case's, at least."""
STEPS = 6
"""INT8 steps between any output and the case's, at most."""
COUNTS = {
    "Add": (0, 8),
    "AveragePool": (6, 14),
    "BatchNormalization": (2, 2),
    "Clip": (2, 10),
    "Concat": (0, 12),
    "Conv": (5, 1),
    "Flatten": (0, 9),
    "Gemm": (8, 3),
    "GlobalAveragePool": (2, 0),
    "GlobalMaxPool": (2, 0),
    "LSTM": (2, 4),
    "MatMul": (1, 6),
    "MaxPool": (1, 18),
    "Relu": (1, 0),
    "Softmax": (0, 7),
    "Sub": (0, 9),
}
"""By operator, cases that are accepted and refused."""


@cache
def cases():
    """Cases of one node by its operator."""
    found = {operator: [] for operator in COUNTS}
    for case in collect_testcases(None):
        if case.model is None or not case.data_sets:
            continue
        nodes = [node.op_type for node in case.model.graph.node]
        if len(nodes) == 1 and nodes[0] in found:
            found[nodes[0]].append(case)
    return found


def bound(case):
    """The model with the values of all inputs but the first, that input, and the outputs."""
    inputs, outputs = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value, array in list(zip(model.graph.input, inputs, strict=False))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
    del model.graph.input[1:]
    return model, np.asarray(inputs[0]), outputs


@pytest.mark.parametrize("operator", COUNTS)
def test_cases_are_equal_or_refused_by_name(operator, tmp_path):
    chip, outcome = Chip.find("hermes"), Counter()
    for case in cases()[operator]:
        model, x, outputs = bound(case)
        file = tmp_path / f"{case.name}.onnx"
        onnx.save(model, file)
        recurrent = operator == "LSTM"
        given = np.moveaxis(x, 1, 0) if recurrent else x  # sequences first
        wanted = np.asarray(outputs[-1] if recurrent else outputs[0], np.float64)
        wanted = np.moveaxis(wanted, 1, 0) if recurrent else wanted
        try:
            network = network_of(simplified_here(file), given if x.ndim else None, chip=chip)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = compile(network, chip)
        except UserError as error:
            sentence = str(error).removeprefix(str(file))
            named = operator in sentence or "shape" in sentence
            assert named or "without a layer" in sentence, sentence
            outcome["refused"] += 1
            continue
        found = Golden(program, chip=chip).run(given.astype(np.float32)).real
        error = found - wanted.reshape(found.shape)
        power = np.square(wanted).sum() / max(np.square(error).sum(), 1e-30)
        assert 10 * np.log10(power) > SNR, f"{case.name}: {10 * np.log10(power):.1f} dB"
        assert np.abs(error).max() < STEPS * network.graph.nodes[-1].output_scale, case.name
        outcome["accepted"] += 1
    print(f"{operator}: {outcome['accepted']} accepted, {outcome['refused']} refused")
    assert (outcome["accepted"], outcome["refused"]) == COUNTS[operator]


REASONS = {
    "test_lstm_with_peepholes": "sequence_lens",
    "test_lstm_batchwise": "layout",
    "test_lstm_reverse": "direction: got 'reverse'",
    "test_lstm_bidirectional": "direction: got 'bidirectional'",
}


@pytest.mark.parametrize("name", REASONS)
def test_what_an_lstm_is_refused_for(name, tmp_path):
    (case,) = (each for each in cases()["LSTM"] if each.name == name)
    model, x, _ = bound(case)
    onnx.save(model, tmp_path / "lstm.onnx")
    with pytest.raises(UserError, match=REASONS[name]):
        network_of(simplified_here(tmp_path / "lstm.onnx"), np.moveaxis(x, 1, 0))


LIGHT = sorted(
    (path for path in (files("onnx") / "backend/test/data/light").iterdir()
     if path.name.endswith(".onnx")),
    key=lambda path: path.name,
)  # fmt: skip


def test_there_are_whole_graphs():
    assert len(LIGHT) >= 8


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.name)
def test_whole_graphs_are_refused_in_one_sentence(path):
    with pytest.raises(UserError) as refusal:
        from_onnx(str(path))
    sentence = str(refusal.value)
    assert path.name in sentence
    assert "\n" not in sentence
