"""A model file, checked and simplified: shapes inferred, constants folded, the batch axis at 1.

Whatever the file holds is read by a process of its own, with bounds on its time and memory: the
readers of protocol buffers, of shapes and of graphs are written in C++, and a damaged file can end
them. The model that it gives back has gone through onnxruntime's basic optimization, and every
tensor has a shape. Batch normalization stays: `importers.rewrite` folds it in binary64 (onnxruntime
does it in binary32, and after a convolution only).
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caduceus.importers.operators import FOLDED, SUPPORTED, Node
from caduceus.spec.errors import UserError, named, shown
from caduceus.spec.files import read_whole
from caduceus.spec.weights import NUMBERS_MAX

if TYPE_CHECKING:
    import onnx

SECONDS = 120
"""Processor time that a model may take."""
BYTES_MAX = 1 << 31
"""Size of the largest file: protocol buffers hold no more."""
NODES_MAX = 20_000
STEPS = 7
"""Length that an open axis of steps is given while shapes are inferred."""
_MEMORY = 12 << 30
_OUTPUT = "simplified.onnx"
_MINE = ("", "ai.onnx")
"""Names of the standard operators' domain."""
_KEPT = (
    "ConvBNFusion",
    "MatMulBNFusion",
    "ConvMulFusion",
    "ConvAddFusion",
    "MatMulAddFusion",
    "ReluClipFusion",
)
"""Optimizations that would calculate with weights in binary32, or hide a node."""


@dataclass(frozen=True)
class Simplified:
    """A model that is ready to be read.

    Attributes:
        file: it came from.
        model: with the batch axis at 1, every shape inferred, constants folded.
        batch: axis of the batch in the model's input.
        opset: of the file's standard operators.
        exporter: what wrote the file, as it says.
    """

    file: Path
    model: "onnx.ModelProto"
    batch: int
    opset: int
    exporter: str


def simplified(file: Path, replaced: Path | None = None) -> Simplified:
    """Read and simplify a model file.

    Args:
        file: `.onnx`; its external data, if it has any, beside it.
        replaced: arrays that take the place of initializers, as `importers.replacements` writes
            them.

    Raises:
        UserError: the file is no sound model, has an operator that is not supported or an input
            of open size, or takes more time or memory than a network would.
    """
    read_whole(file, "model", BYTES_MAX)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-P", "-m", __name__, str(file.resolve()), folder,
            *([str(replaced)] if replaced else []),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=4 * SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{file}: takes longer to read than a network should") from None
        answer = _answer(done.stdout)
        if answer is None:
            raise UserError(
                f"{file}: not an ONNX model, or damaged: reading it ended with status "
                f"{done.returncode}"
            )
        if "refused" in answer:
            raise UserError(f"{file}: {answer['refused']}")
        return _result(file, Path(folder), answer)


def simplified_here(file: Path, replaced: Path | None = None) -> Simplified:
    """As `simplified`, in this process and without bounds: for models that are known to be sound.

    Raises:
        UserError: as `simplified`.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = _read(file, Path(folder), str(replaced) if replaced else None)
        except UserError as error:
            raise UserError(f"{file}: {str(error).removeprefix(': ')}") from None
        return _result(file, Path(folder), answer)


def _result(file: Path, folder: Path, answer: Mapping[str, Any]) -> Simplified:
    import onnx

    model = onnx.load(folder / _OUTPUT)
    return Simplified(file, model, answer["batch"], answer["opset"], answer["exporter"])


def _answer(text: str) -> dict | None:
    """The last line that the process wrote; None where it did not get there."""
    try:
        found = json.loads(text.strip().rpartition("\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _main(file: str, folder: str, replaced: str | None = None) -> None:
    """The process: reads `file`, writes the simplified model to `folder`, prints one JSON line."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _read(Path(file), Path(folder), replaced)
    except UserError as error:
        answer = {"refused": str(error).removeprefix(": ")}
    except MemoryError:
        answer = {"refused": "takes more memory to read than a network should"}
    print("\n" + json.dumps(answer))


def _read(file: Path, folder: Path, replaced: str | None) -> dict:
    import onnx

    model = _loaded(file)
    opset = _opset(model)
    if replaced:
        _replace(model, replaced)
    _check_operators(model)
    with _sound("the model breaks ONNX's rules"):
        onnx.checker.check_model(model)
    source = _only_input(model)
    for batch in _batches(model, source):
        candidate = onnx.ModelProto()
        candidate.CopyFrom(model)
        _fix_shape(candidate, source, batch)
        try:
            done = _optimized(candidate, folder)
        except UserError as error:
            refusal = error
            continue
        if _batch_fits(done):
            onnx.save(done, folder / _OUTPUT)
            exporter = f"{model.producer_name} {model.producer_version}".strip()
            return {"batch": batch, "opset": opset, "exporter": named(exporter or "unknown")}
        refusal = UserError("LSTM: its batch is no axis of the model's input")
    raise refusal


def _loaded(file: Path) -> "onnx.ModelProto":
    """The model with its external data."""
    import onnx

    with _sound("not an ONNX model, or damaged"):
        model = onnx.load(file, load_external_data=False)
    if not model.graph.node:
        raise UserError("not an ONNX model, or damaged: expected a graph with nodes")
    if len(model.graph.node) > NODES_MAX:
        raise UserError(f"nodes: got {len(model.graph.node)}, expected at most {NODES_MAX}")
    with _sound("external data: missing, cut short, or outside the model's folder"):
        onnx.load_external_data_for_model(model, str(file.parent))
    return model


def _opset(model: "onnx.ModelProto") -> int:
    found = [each.version for each in model.opset_import if each.domain in _MINE]
    if not found:
        raise UserError("opset_import: got no version of the standard operators, expected one")
    return found[0]


def _replace(model: "onnx.ModelProto", arrays: str) -> None:
    """Put other values into initializers."""
    import numpy as np
    from onnx import numpy_helper

    tensors = {each.name: each for each in model.graph.initializer}
    with np.load(arrays) as found:
        for number, name in enumerate(map(str, found["names"])):
            value = found[f"t{number}"]
            if name not in tensors:
                raise UserError(
                    f"tensor {named(name)}: got a name that is no initializer's of the model, "
                    f"expected one of {', '.join(map(named, tensors))}"
                )
            old = tensors[name]
            if list(value.shape) != list(old.dims):
                raise UserError(
                    f"tensor {named(name)}: shape: got {list(value.shape)}, expected "
                    f"{list(old.dims)}"
                )
            kind = numpy_helper.to_array(old).dtype
            old.CopyFrom(numpy_helper.from_array(value.astype(kind), name))


def _check_operators(model: "onnx.ModelProto") -> None:
    """Demand operators that the importer knows: nothing else is ever run.

    Raises:
        UserError: naming the first node that has another.
    """
    if model.functions:
        raise UserError(
            f"function {named(model.functions[0].name)}: model-local functions: expected a model "
            "without (inline them before export)"
        )
    from onnx import helper

    numbers = sum(_count(each.dims) for each in model.graph.initializer)
    for node in model.graph.node:
        if node.domain not in _MINE or node.op_type not in SUPPORTED | FOLDED:
            where = f"node {named(node.name or ', '.join(node.output))}"
            full = f"{node.domain}.{node.op_type}" if node.domain not in _MINE else node.op_type
            raise UserError(
                f"{where}: operator: got {named(full)}, expected one of "
                f"{', '.join(sorted(SUPPORTED))}"
            )
        if node.op_type == "LSTM":  # onnxruntime refuses it without the node's name
            Node("", node).demand("layout", 0, ": steps, batch, features")
        for attribute in node.attribute:
            if attribute.type in (helper.AttributeProto.GRAPH, helper.AttributeProto.GRAPHS):
                raise UserError(f"node {named(node.name)}: {attribute.name}: got a graph")
            if attribute.HasField("t"):
                numbers += _count(attribute.t.dims)
    if numbers > NUMBERS_MAX:
        raise UserError(f"weights: got {numbers} numbers, expected at most {NUMBERS_MAX}")


def _count(dims: Iterator[int]) -> int:
    total = 1
    for size in dims:
        total *= max(0, size)
    return total


def _only_input(model: "onnx.ModelProto") -> str:
    """Name of the network's input: the one graph input without a value of its own."""
    values = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in values]
    if len(inputs) != 1:
        names = ", ".join(named(each.name) for each in inputs) or "none"
        raise UserError(
            f"graph inputs: got {names}, expected one: a state or a second input is not supported"
        )
    found = inputs[0]
    if not found.type.HasField("tensor_type") or not found.type.tensor_type.HasField("shape"):
        raise UserError(f"input {named(found.name)}: shape: got none, expected a tensor's")
    return found.name


def _dims(model: "onnx.ModelProto", source: str) -> "list[onnx.TensorShapeProto.Dimension]":
    value = next(each for each in model.graph.input if each.name == source)
    return list(value.type.tensor_type.shape.dim)


def _batches(model: "onnx.ModelProto", source: str) -> tuple[int, ...]:
    """Axes that may be the batch's: an LSTM's input has it first or second."""
    recurrent = any(node.op_type == "LSTM" for node in model.graph.node)
    rank = len(_dims(model, source))
    if rank < 1 + recurrent:
        raise UserError(
            f"input {named(source)}: shape: got {rank} axes, expected a batch and the values"
        )
    return (0, 1) if recurrent else (0,)


def _fix_shape(model: "onnx.ModelProto", source: str, batch: int) -> None:
    """Set the batch to 1; with an LSTM an open axis of steps to `STEPS`."""
    recurrent = any(node.op_type == "LSTM" for node in model.graph.node)
    for axis, dim in enumerate(_dims(model, source)):
        if axis == batch:
            dim.dim_value = 1
        elif not dim.HasField("dim_value") or dim.dim_value < 1:
            if not recurrent or axis > 1:
                raise UserError(
                    f"input {named(source)}: axis {axis}: got an open size, expected a fixed one: "
                    "only the batch may be open"
                )
            dim.dim_value = STEPS
        if dim.dim_value > NUMBERS_MAX:
            raise UserError(f"input {named(source)}: axis {axis}: got {shown(dim.dim_value)}")
    for each in model.graph.output:
        each.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]


def _optimized(model: "onnx.ModelProto", folder: Path) -> "onnx.ModelProto":
    """The model after shape inference and onnxruntime's basic optimization."""
    import onnx
    import onnxruntime

    with _sound("shapes do not fit each other"):
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    for value in inferred.graph.value_info:
        size = _count([dim.dim_value for dim in value.type.tensor_type.shape.dim])
        if size > NUMBERS_MAX:
            raise UserError(
                f"tensor {named(value.name)}: got {shown(size)} numbers, expected at most "
                f"{NUMBERS_MAX}"
            )
    path = folder / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    with _sound("onnxruntime does not read it"):
        onnxruntime.InferenceSession(
            model.SerializeToString(), options,
            providers=["CPUExecutionProvider"], disabled_optimizers=list(_KEPT),
        )  # fmt: skip
        found = onnx.load(path)
        return onnx.shape_inference.infer_shapes(found, strict_mode=True, data_prop=True)


def _batch_fits(model: "onnx.ModelProto") -> bool:
    """Whether the second axis of an LSTM's input, its batch, is 1 long."""
    shapes = shapes_of(model)
    return all(
        len(shape := shapes.get(node.input[0], ())) == 3 and shape[1] == 1
        for node in model.graph.node
        if node.op_type == "LSTM"
        and not any(each.name == "layout" and each.i for each in node.attribute)
    )


def shapes_of(model: "onnx.ModelProto") -> Mapping[str, tuple[int, ...]]:
    """Shapes of all tensors that have one, initializers included."""
    graph = model.graph
    found = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    return found | {each.name: tuple(each.dims) for each in graph.initializer}


@contextmanager
def _sound(what: str) -> Iterator[None]:
    """Whatever the libraries raise within the block becomes one sentence."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # the libraries' errors have no common class
        reason = " ".join(str(error).split())
        raise UserError(f"{what}: {reason[:240]}" if reason else what) from None


if __name__ == "__main__":
    _main(*sys.argv[1:])
