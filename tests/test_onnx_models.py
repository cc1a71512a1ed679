"""The models that tests of the importer take are sound: ONNX's checker and onnxruntime say so."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from onnx_models import REFUSED, SUPPORTED
from onnx_random import MANY, TINY, graphs, random_graph

NOT_RUN = {"lstm_batch_first"}
"""What onnxruntime does not have on CPUs."""


def outputs(model, samples):
    """All outputs, after the checker's and the shape inference's tests."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    return session.run(None, {source.name: samples})


@pytest.mark.parametrize("name", SUPPORTED)
def test_supported_models_run(name):
    model, samples = SUPPORTED[name]()
    (found,) = outputs(model, samples)
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0


@pytest.mark.parametrize("name", REFUSED)
def test_refused_models_are_sound(name):
    build, words = REFUSED[name]
    model, samples = build()
    assert words
    if name in NOT_RUN:
        onnx.checker.check_model(model, full_check=True)
    else:
        assert all(np.isfinite(found).all() for found in outputs(model, samples))


def test_a_map_of_ones():
    from onnx_models import ones_stride_2

    (found,) = outputs(*ones_stride_2())
    assert found.ravel().tolist() == [27, 18, 18, 12]


@given(graphs(TINY))
@settings(max_examples=25, deadline=None)
def test_random_graphs_are_sound(case):
    (found,) = outputs(*case)
    assert np.isfinite(found).all()


def test_random_graphs_have_all_forms():
    """Two hundred seeds: each form is in several graphs, every node is used."""
    found: dict[str, int] = {}
    for seed in range(200):
        model, samples = random_graph(seed, MANY)
        outputs(model, samples)
        taken: dict[str, int] = {}
        for node in model.graph.node:
            for name in node.input:
                taken[name] = taken.get(name, 0) + 1
        made = {name for node in model.graph.node for name in node.output}
        assert made - taken.keys() == {model.graph.output[0].name}
        forms = {node.op_type for node in model.graph.node}
        forms |= {"three consumers"} if max(taken.values()) > 2 else set()
        for node in model.graph.node:
            for attribute in node.attribute:
                value = onnx.helper.get_attribute_value(attribute)
                if attribute.name == "group" and value > 1:
                    forms.add("group")
                if attribute.name == "pads" and len(set(value)) > 1:
                    forms.add("uneven pads")
                if attribute.name in ("dilations", "strides") and value[0] > 1:
                    forms.add(attribute.name)
                if attribute.name == "kernel_shape" and value[0] != value[1]:
                    forms.add("uneven kernel")
        for form in forms:
            found[form] = found.get(form, 0) + 1
    wanted = {"Add", "AveragePool", "Concat", "Conv", "Gemm", "GlobalAveragePool", "MaxPool",
              "Relu", "dilations", "group", "strides", "three consumers", "uneven kernel",
              "uneven pads"}  # fmt: skip
    assert {form for form in wanted if found.get(form, 0) < 10} == set()
