"""The model itself in onnxruntime: what its tensors are for given inputs."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.simplify import Simplified
from caduceus.spec.errors import UserError

if TYPE_CHECKING:
    import onnx


class Original:
    """A simplified model, run one input at a time.

    Args:
        found: the model.
        tensors: names of those that `run` gives.

    Of a quantized model the activations are not rounded: its float form counts.
    """

    def __init__(self, found: Simplified, tensors: Sequence[str]) -> None:
        self._found, self.tensors, self.file = found, tuple(tensors), found.file
        graph = found.model.graph
        values = {each.name for each in graph.initializer}
        self._input = next(each for each in graph.input if each.name not in values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without its batch axis."""
        dims = [dim.dim_value for dim in self._input.type.tensor_type.shape.dim]
        del dims[self._found.batch]
        return tuple(dims)

    @property
    def dtype(self) -> np.dtype:
        """Type of the input's numbers."""
        from onnx import helper

        return helper.tensor_dtype_to_np_dtype(self._input.type.tensor_type.elem_type)

    @cached_property
    def _session(self):  # noqa: ANN202 (onnxruntime has no types)
        import onnx
        import onnxruntime

        model = unquantized(self._found.model)
        have = {each.name for each in model.graph.output}
        for name in self.tensors:
            if name not in have:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common class
            reason = " ".join(str(error).split())[:240]
            raise UserError(f"{self._found.file}: onnxruntime does not run it: {reason}") from None

    def run(self, x: NDArray) -> dict[str, NDArray[np.float32]]:
        """The tensors for inputs `x` [n, ...], each [n, ...] without its own batch axis.

        Raises:
            UserError: onnxruntime cannot run the model.
        """
        found: dict[str, list[NDArray]] = {name: [] for name in self.tensors}
        for each in x.astype(self.dtype):
            one = np.expand_dims(each, self._found.batch)
            try:
                values = self._session.run(list(self.tensors), {self._input.name: one})
            except UserError:
                raise
            except Exception as error:  # as above
                reason = " ".join(str(error).split())[:240]
                raise UserError(
                    f"{self._found.file}: onnxruntime does not run it: {reason}"
                ) from None
            for name, value in zip(self.tensors, values, strict=True):
                found[name].append(value)
        return {name: np.stack(values) for name, values in found.items()}


def unquantized(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model without rounding of activations: what it was before it was quantized.

    A quantization from 0 on stands for a ReLU as well, except of the model's input, which is taken
    to have no value below 0; those of constants stay.
    """
    import onnx
    from onnx import helper, numpy_helper

    found = onnx.ModelProto()
    found.CopyFrom(model)
    values = {each.name: each for each in model.graph.initializer}
    sources = {each.name for each in model.graph.input}
    rounded = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in values
    }
    del found.graph.node[:]
    for node in model.graph.node:
        if node.output[0] in rounded:
            zero = (
                numpy_helper.to_array(values[node.input[2]])
                if len(node.input) > 2 and node.input[2]
                else None
            )
            least = zero is None or zero.reshape(-1)[0] == np.iinfo(zero.dtype).min
            op = "Relu" if least and node.input[0] not in sources else "Identity"
            node = helper.make_node(op, node.input[:1], node.output, node.name)
        elif node.op_type == "DequantizeLinear" and node.input[0] in rounded:
            node = helper.make_node("Identity", node.input[:1], node.output, node.name)
        found.graph.node.append(node)
    del found.graph.value_info[:]
    return found
