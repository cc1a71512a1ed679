"""The packets that a program exchanges with its host: input vectors in, output vectors out."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.errors import UserError
from caduceus.spec.packets import framed, unframed
from caduceus.spec.program import HostStream, Program


def entering(
    program: Program, vectors: NDArray[np.int8], units: int
) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """Port and packet of all that the host sends for vectors, int8 [n, input_length], in order."""
    for vector in vectors:
        for part in program.inputs:
            payload = vector[part.start : part.start + part.length]
            yield part.port, framed(part.stream, payload, units)


def leaving(program: Program, port: int) -> dict[int, HostStream]:
    """What the packets of a host output are, by their preambles.

    A GDPU slice's after the last step of a sequence has one of its own.
    """
    last = {each.stream: each.last for each in program.slices}
    found = {}
    for part in program.outputs:
        if part.port == port:
            found[part.stream] = found[last.get(part.stream, part.stream)] = part
    return found


class OutputVectors:
    """Output vectors, put together from the packets that leave a chip.

    Attributes:
        vectors: int8 [n, output_length]; 0 where nothing came yet.
        missing: packets that have not come yet.
    """

    def __init__(self, program: Program, count: int, units: int) -> None:
        """Expect `count` vectors, in packets with `units` bytes per beat."""
        self._units = units
        ports = {part.port for part in program.outputs}
        self._parts = {port: leaving(program, port) for port in ports}
        self._seen = {id(part): 0 for part in program.outputs}
        self.vectors = np.zeros((count, program.output_length), dtype=np.int8)
        self.missing = count * len(program.outputs)

    def take(self, port: int, packet: bytes) -> int:
        """Put the payload of the next packet of a host output in its place; gives its vector.

        Raises:
            UserError: the program sends no such packet there.
        """
        where = f"host output {port}"
        try:
            stream, payload = unframed(packet, self._units)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        expected = self._parts.get(port, {})
        part = expected.get(stream)
        if part is None:
            raise UserError(f"{where}: stream: got {stream}, expected {sorted(expected)}")
        if len(payload) != part.length:
            raise UserError(
                f"{where}: stream {stream}: got {len(payload)} values, expected {part.length}"
            )
        vector = self._seen[id(part)]
        if vector == len(self.vectors):
            raise UserError(
                f"{where}: stream {stream}: got more packets than the {vector} expected"
            )
        self.vectors[vector, part.start : part.start + part.length] = payload
        self._seen[id(part)] += 1
        self.missing -= 1
        return vector
