"""A PyTorch module as ONNX files: by both of PyTorch's exporters, and by a quantizer."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

OPSET = 13
"""Of the older exporter: what `dynamo=False` has long written."""
DYNAMO_OPSET = 18
"""Of the newer one: its lowest."""
INPUT, OUTPUT = "x", "logits"
EXPORTERS = ("torchscript", "dynamo")
FORMS = ("qdq", "qdq_uint8")
"""Of a quantized model; see `quantized`."""
_TRACES = "pkg.torch.onnx.stack_trace"
"""Where the newer exporter notes the lines of source that a node came from, paths included."""

Files = Mapping[str, bytes]
"""Contents by file name; the model is the first."""


def exported(
    name: str, module: nn.Module, x: np.ndarray, exporter: str, external: bool = False
) -> Files:
    """A module in evaluation mode as ONNX, its first axis open.

    Args:
        name: of the files: `name.onnx`, and `name.onnx.data` with `external`.
        module: the module.
        x: inputs [n, ...] with n > 1.
        exporter: one of `EXPORTERS`.
        external: weights in a file of their own (`dynamo` only).
    """
    sample = (torch.from_numpy(x),)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.onnx"
        if exporter == "dynamo":
            torch.onnx.export(
                module, sample, file, dynamo=True, opset_version=DYNAMO_OPSET,
                external_data=external, input_names=[INPUT], output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False,
            )  # fmt: skip
            _without_traces(file)
        else:
            torch.onnx.export(
                module, sample, file, dynamo=False, opset_version=OPSET,
                input_names=[INPUT], output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
            )  # fmt: skip
        found = sorted(Path(folder).iterdir(), key=lambda each: len(each.name))
        return {each.name: each.read_bytes() for each in found}


def _without_traces(file: Path) -> None:
    """Take the paths of this machine's files out of a model; nothing else changes."""
    model = onnx.load(file, load_external_data=False)
    for node in model.graph.node:
        kept = [each for each in node.metadata_props if each.key != _TRACES]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(model, file)


class _Batches:
    """Inputs for a quantizer, 64 at a time."""

    def __init__(self, x: np.ndarray) -> None:
        self._rest: Iterator[np.ndarray] = iter(np.array_split(x, max(1, len(x) // 64)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next ones; None at the end."""
        piece = next(self._rest, None)
        return None if piece is None else {INPUT: piece}


def quantized(files: Files, x: np.ndarray, form: str) -> bytes:
    """A float model after ONNX Runtime's static quantization, symmetric, weights per channel.

    The model's own scaling of its input stays in binary32.

    Args:
        files: of the float model.
        x: typical inputs.
        form: `qdq`: all activations INT8; `qdq_uint8`: those behind a ReLU UINT8, from 0 on.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        prepared, result = folder / "prepared.onnx", folder / "quantized.onnx"
        quant_pre_process(folder / next(iter(files)), prepared)
        nodes = onnx.load(prepared).graph.node
        relus = [node.output[0] for node in nodes if node.op_type == "Relu"]
        unsigned = {"quant_type": QuantType.QUInt8, "symmetric": False}
        options = {"ActivationSymmetric": True, "WeightSymmetric": True}
        if form == "qdq_uint8":
            options["TensorQuantOverrides"] = {name: [unsigned] for name in relus}
        quantize_static(
            prepared, result, _Batches(x), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in nodes if node.op_type in ("Sub", "Div")],
            extra_options=options,
        )  # fmt: skip
        return result.read_bytes()


def accuracy(files: Files, x: np.ndarray, labels: np.ndarray) -> float:
    """Share of images that a model classifies correctly in onnxruntime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        session = onnxruntime.InferenceSession(
            Path(folder) / next(iter(files)), providers=["CPUExecutionProvider"]
        )
        pieces = np.array_split(x, max(1, len(x) // 100))
        outputs = [session.run(None, {INPUT: piece})[0] for piece in pieces]
    return float((np.concatenate(outputs).argmax(axis=1) == labels).mean())
