"""The host's arithmetic around a chip: the user's inputs to INT8, and INT8 outputs to real units.

In binary64. A value x becomes the step rint(x / scale), ties to even, from -127 to 127; a step
becomes step * scale.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.spec import formats
from caduceus.spec.errors import UserError, named
from caduceus.spec.graph import output_shape
from caduceus.spec.host_ends import HostEnds, HostOperator, ends_of
from caduceus.spec.network import Network
from caduceus.spec.program import Program, ProgramTensor, as_array

_PIXEL_MAX = np.iinfo(np.uint8).max
_SLICE = 1 << 22
"""Values converted at once, so that binary64 needs little memory."""
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Ends:
    """Both ends of a network or of its program.

    Attributes:
        network: name.
        input, output: the tensors.
        host: what the host does.
        embedding: int8 [entries, size]; None without.
        sequences: whether inputs are sequences.
    """

    network: str
    input: ProgramTensor
    output: ProgramTensor
    host: HostEnds
    embedding: NDArray[np.int8] | None
    sequences: bool

    @classmethod
    def of(cls, known: Program | Network) -> "Ends":
        """Those of a program, or of the network that it is to be made of.

        Raises:
            UserError: the program was made by hand, or read back from a chip's registers.
        """
        if isinstance(known, Network):
            graph = known.graph
            shape, scale = output_shape(graph), graph.nodes[-1].output_scale
            return cls(
                known.name, ProgramTensor(graph.input.shape, graph.input.scale),
                ProgramTensor(shape, scale), ends_of(graph), known.embedding,
                known.recurrent,
            )  # fmt: skip
        if known.input is None or known.output is None:
            raise UserError(
                f"inputs of {known.network}: the program has no scales: expected int8 inputs"
            )
        return cls(
            known.network, known.input, known.output, known.host, known.embedding, known.sequences
        )

    @property
    def _map(self) -> tuple[int, ...]:
        """Height, width, channels of the input; a vector is one pixel."""
        shape = self.input.shape
        return shape if len(shape) == 3 else (1, 1, prod(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an input in the user's layout; of sequences that of a step."""
        if len(self.input.shape) != 3 or self.sequences:
            return (prod(self.input.shape),)
        height, width, channels = self._map
        if self.host.layout == "chw":
            return channels, height, width
        if self.host.layout == "vector":
            return (height * width * channels,)
        return height, width, channels

    def to_int8(self, x: ArrayLike) -> NDArray[np.int8]:
        """As the function `to_int8`, whatever the type of `x`.

        Returns:
            int8 [n, pixels, channels]; of sequences [n, steps, size].
        """
        where = f"inputs of {self.network}"
        x = as_array(x, where)
        if x.dtype.kind not in "iuf":
            raise UserError(f"{where}: type: got {x.dtype}, expected numbers")
        if self.embedding is not None and x.dtype.kind in "iu" and x.ndim <= 2:
            return self._embedded(x, where)
        if self.embedding is not None and "embedding" in (each.op for each in self.host.before):
            raise UserError(
                f"{where}: got {x.dtype} {list(x.shape)}, expected integers [n, steps], 0 to "
                f"{len(self.embedding) - 1}"
            )
        x = self._shaped(x, where)
        found = np.empty(x.shape, np.int8)
        each = max(1, _SLICE * len(x) // x.size)
        for start in range(0, len(x), each):
            found[start : start + each] = self._steps(x[start : start + each], where)
        return found if self.sequences else found.reshape(len(x), -1, self._map[-1])

    def _embedded(self, x: NDArray, where: str) -> NDArray[np.int8]:
        """Vectors of numbers of an embedding."""
        entries = len(self.embedding)
        if x.ndim != 2 or not x.size:
            raise UserError(
                f"{where}: shape: got {list(x.shape)}, expected [n, steps] for numbers of an "
                "embedding"
            )
        wrong = (x < 0) | (x >= entries)
        if wrong.any():
            raise UserError(f"{where}: got {x[wrong][0]}, expected 0 to {entries - 1}")
        return self.embedding[x]

    def _shaped(self, x: NDArray, where: str) -> NDArray:
        """Inputs with their channels last, [n, height, width, channels]; sequences as they are.

        Axes of length 1 may be missing or added; of the layout `vector` all that counts is the
        number of values.
        """
        wanted = self.shape
        if self.sequences:
            fits = x.ndim == 3 and x.shape[2:] == wanted and x.size > 0
            if not fits:
                raise UserError(
                    f"{where}: shape: got {list(x.shape)}, expected [n, steps, {wanted[0]}]"
                )
            return x
        given = x.shape[1:]
        fits = [size for size in given if size != 1] == [size for size in wanted if size != 1]
        if self.host.layout == "vector":
            fits = x.ndim > 1 and prod(given) == prod(wanted)
        if not fits or x.ndim < 2 or not len(x):
            shape = ", ".join(map(str, wanted))
            of = f" ({self.host.layout})" if len(wanted) == 3 else ""
            raise UserError(f"{where}: shape: got {list(x.shape)}, expected [n, {shape}]{of}")
        x = x.reshape(len(x), *wanted)
        if self.host.layout == "chw" and len(wanted) == 3:
            return x.transpose(0, 2, 3, 1)
        return x.reshape(len(x), *self._map)

    def _steps(self, x: NDArray, where: str) -> NDArray[np.int8]:
        """Inputs, channels last, in INT8 steps."""
        values = x.astype(np.float64)
        if not np.isfinite(values).all():
            bad = values[~np.isfinite(values)][0]
            raise UserError(f"{where}: got {bad}, expected finite values")
        if x.dtype == np.uint8 and self.host.pixels:
            values /= _PIXEL_MAX
        flat = self.host.layout == "vector" and not self.sequences
        for each in self.host.before:
            factor, shift = np.array(each.factor), np.array(each.shift)
            rows = values.reshape(len(values), -1) if flat else values
            values = (rows * factor + shift).reshape(values.shape)
        # A subnormal scale gives infinity, which is clipped as well.
        with np.errstate(over="ignore"):
            steps = np.rint(values / self.input.scale)
        return np.clip(steps, -formats.INT8_MAX, formats.INT8_MAX).astype(np.int8)

    def real(self, outputs: NDArray[np.int8]) -> Real:
        """Outputs in real units after the host's operators, channels last.

        Args:
            outputs: int8 [n, vectors, output_length].

        Returns:
            float64 [n, height, width, channels] or [n, size]; of sequences [n, steps, size]. An
            `argmax` takes the last axis away, a `last_step` the steps.
        """
        shape = self.output.shape
        if len(shape) == 3 and shape[:2] == (1, 1):
            shape = shape[2:]
        if self.sequences:
            shape = (outputs.shape[1], prod(shape))
        values = outputs.reshape(len(outputs), *shape) * np.float64(self.output.scale)
        for each in self.host.after:
            values = after(each, values)
        return values

    def in_layout(self, values: Real) -> Real:
        """Outputs of `real` in the user's layout: maps as `chw` have their channels first."""
        if self.host.layout == "chw" and values.ndim == 4 and not self.sequences:
            return np.moveaxis(values, -1, 1)
        return values


def after(operator: HostOperator, values: Real) -> Real:
    """An operator on outputs in real units, along the last axis; `last_step` along the second."""
    if operator.op == "last_step":
        return values[:, -1]
    if operator.op == "argmax":
        return values.argmax(axis=-1).astype(np.float64)
    if operator.op == "l2_norm":
        norm = np.sqrt((values * values).sum(axis=-1, keepdims=True))
        return np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)
    # The largest is subtracted, so that no exponential overflows.
    values = values - values.max(axis=-1, keepdims=True)
    total = np.exp(values).sum(axis=-1, keepdims=True)
    return values - np.log(total) if operator.op == "log_softmax" else np.exp(values) / total


def to_int8(program: Program, x: ArrayLike) -> NDArray[np.int8]:
    """The user's inputs as the chip takes them: operators before it, scale, rounding, clipping.

    Integers of a network with an embedding are numbers of its vectors. Other integers are numbers
    as they are, except uint8 where the program's host has `pixels`: then they are pixels, which
    stand for 0 to 1.

    Args:
        program: a compiled network.
        x: numbers in the network's own layout: [n, height, width, channels] (`hwc`), [n, channels,
            height, width] (`chw`), [n, size] (`vector`, and inputs of one axis), of sequences
            [n, steps, size], or integers [n, steps] of an embedding. Axes of length 1 may be
            missing.

    Returns:
        int8 [n, input_pixels, input_length]; of sequences [n, steps, input_length].

    Raises:
        UserError: type or shape are others, a value is not finite, or the program has no scales.
    """
    return program.vectors(Ends.of(program).to_int8(x))


def from_int8(program: Program, outputs: NDArray[np.int8]) -> Real:
    """Outputs of a chip in real units: scale, then the host's operators.

    Args:
        program: a compiled network.
        outputs: int8 [n, vectors, output_length]; of sequences [n, steps, output_length].

    Returns:
        float64 in the network's own layout: maps as inputs; [n, size]; of sequences [n, steps,
        size]. `argmax` leaves no axis of channels, `last_step` none of steps.

    Raises:
        UserError: the program has no scales.
    """
    ends = Ends.of(program)
    return ends.in_layout(ends.real(outputs))


def in_words(program: Program) -> str:
    """The host's operators in a sentence; empty without any."""
    words = [
        f"{each['op']} {each['when']} the chip"
        + (f" (node {named(each['origin'])})" if each["origin"] else "")
        for each in program.host.named
    ]
    return f"on the host: {', '.join(words)}" if words else ""
