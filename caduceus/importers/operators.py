"""Which ONNX operators the importer knows, and a node's attributes, of which none is ignored."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from caduceus.spec.errors import UserError, named, shown

if TYPE_CHECKING:
    import onnx

CHIP = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Div", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "LSTM", "MatMul", "MaxPool", "Mul", "Pad", "ReduceMean",
    "Relu", "Sub", "Sum",
})  # fmt: skip
"""Operators that the chip runs: as they are, or lowered to others."""
RENAMED = frozenset({
    "Cast", "Constant", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose",
    "Unsqueeze",
})  # fmt: skip
"""Operators that change no value."""
QUANTIZED = frozenset({"DequantizeLinear", "QuantizeLinear"})
HOST = frozenset({
    "ArgMax", "Gather", "LogSoftmax", "LpNormalization", "ReduceL2", "Slice", "Softmax",
})  # fmt: skip
"""Operators that the host runs: Gather as an embedding in front, the others at the end."""
SUPPORTED = CHIP | RENAMED | QUANTIZED | HOST
FOLDED = frozenset({"ConstantOfShape", "Equal", "Expand", "Range", "Shape", "Where"})
"""Operators of shapes: constants by the time that a model is read, or else refused."""


class Node:
    """A node of the model; each of its attributes has to be taken.

    Args:
        file: of the model, for errors.
        proto: the node.
    """

    def __init__(self, file: object, proto: "onnx.NodeProto") -> None:
        from onnx import helper

        self._file, self._proto = file, proto
        self._attributes: Mapping[str, Any] = {
            each.name: helper.get_attribute_value(each) for each in proto.attribute
        }
        self._left = set(self._attributes)
        self.operator = proto.op_type
        self.name = proto.name or next(iter(proto.output), "")
        self.inputs: Sequence[str] = proto.input
        self.outputs: Sequence[str] = proto.output

    @property
    def where(self) -> str:
        """File, node and operator, as errors begin."""
        return f"{self._file}: node {named(self.name)}: {self.operator}"

    def refused(self, what: str, got: object, expected: str) -> UserError:
        """The error that `what` of the node is not supported."""
        return UserError(f"{self.where}: {what}: got {shown(got)}, expected {expected}")

    def take(self, name: str, default: Any = None) -> Any:
        """An attribute's value, text decoded; `default` where the node has none."""
        self._left.discard(name)
        value = self._attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def demand(self, name: str, wanted: object, why: str = "") -> None:
        """Demand that an attribute is absent or as `wanted`.

        Raises:
            UserError: it has another value.
        """
        value = self.take(name, wanted)
        if value != wanted:
            raise self.refused(name, value, f"{shown(wanted)}{why}")

    def done(self) -> None:
        """Demand that every attribute was taken.

        Raises:
            UserError: one was not: it is not supported.
        """
        for name in sorted(self._left):
            raise self.refused(name, self._attributes[name], "none: not supported")

    def optional(self, place: int) -> str | None:
        """Name of an optional input; None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) and self.inputs[place] else None

    def demand_inputs(self, most: int, names: Sequence[str] = ()) -> None:
        """Demand that no input from number `most` on is given; `names` are what these are.

        Raises:
            UserError: one is.
        """
        for place in range(most, len(self.inputs)):
            if self.inputs[place]:
                name = names[place - most] if place - most < len(names) else f"input {place}"
                raise self.refused(name, self.inputs[place], "none: not supported")

    def demand_one_output(self) -> None:
        """Demand that no output but the first is used or named.

        Raises:
            UserError: another is.
        """
        extra = [name for name in self.outputs[1:] if name]
        if extra:
            raise self.refused("outputs", [*self.outputs], "one")
