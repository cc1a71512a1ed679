"""A program on a chip, whatever stands for the chip: load, stream inputs, read results."""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from caduceus.host.chip import ChipHost
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import LstmState
from caduceus.spec.host_port import HostPort
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import HostStream, Program

PATIENCE = 2_000
"""Looks at all outputs in which nothing moves, after which a chip is taken to hang."""
_WINDOW = 64
"""Packets of an input between two looks at the outputs."""


class Session:
    """A chip that runs a program.

    Attributes:
        host: the chip's registers.
    """

    def __init__(self, port: HostPort, chip: Chip) -> None:
        self._port, self._chip = port, chip
        self.host = ChipHost(port, chip)

    async def load(
        self, program: Program, state: PcmState, progress: Callable[[int], None] | None = None
    ) -> None:
        """Reset the chip, and have it do what `program` says on devices as in `state`.

        `progress` is called with the number of tiles that are loaded.
        """
        await self._port.reset()
        await self.host.load(program, state, progress)

    async def begin(self, program: Program, steps: int, state: LstmState | None = None) -> None:
        """Begin a sequence, of a program that has states; see `ChipHost.begin`."""
        await self.host.begin(program, steps, state)

    async def run(
        self,
        program: Program,
        x: NDArray[np.int8],
        outputs: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.int8]:
        """Send vectors, int8 [n, input_length], and receive `outputs` of them.

        Inputs are sent to all ports at once as far as there is room, so that none waits for what is
        behind another. `progress` is called with the number of packets that were sent.

        Raises:
            UserError: the chip stopped, or sent what the program does not.
        """
        return await _Exchange(self._port, self._chip, program, x, outputs, progress).run()


class _Exchange:
    """Packets on their way to and from the chip."""

    def __init__(
        self,
        port: HostPort,
        chip: Chip,
        program: Program,
        x: NDArray[np.int8],
        outputs: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._port, self._units, self._progress = port, chip.link.units, progress
        self._most = fabric.payload_max(chip) + chip.link.units
        self._waiting = [deque() for _ in chip.host.inputs]
        for vector in x:
            for part in program.inputs:
                payload = vector[part.start : part.start + part.length].tobytes()
                packet = bytes((part.stream, *bytes(self._units - 1))) + payload
                self._waiting[part.port].append(packet)
        self._streams = [_streams_of(program, port) for port in range(len(chip.host.outputs))]
        self._open = [b"" for _ in chip.host.outputs]
        self._seen = {id(part): 0 for part in program.outputs}
        self._result = np.zeros((outputs, program.output_length), np.int8)
        self._wanted = outputs * len(program.outputs)
        self._came = self._sent = 0

    async def run(self) -> NDArray[np.int8]:
        idle = 0
        while self._came < self._wanted or any(self._waiting):
            moved = await self._send() + await self._receive()
            idle = 0 if moved else idle + 1
            if idle == PATIENCE:
                raise UserError(
                    f"the chip stopped after {self._came} of {self._wanted} output packets"
                )
        # What still comes is a packet too many.
        await self._receive()
        for number, rest in enumerate(self._open):
            if rest:
                raise UserError(f"host output {number}: more came than the program's outputs")
        return self._result

    async def _send(self) -> int:
        """Send what finds room; the number of bytes."""
        moved = 0
        for number, packets in enumerate(self._waiting):
            for _ in range(min(_WINDOW, len(packets))):
                taken = await self._port.send(number, packets[0], True)
                moved += taken
                packets[0] = packets[0][taken:]
                if packets[0]:
                    break
                packets.popleft()
                self._sent += 1
            if self._progress and moved:
                self._progress(self._sent)
        return moved

    async def _receive(self) -> int:
        """Receive all that is there; the number of bytes."""
        moved = 0
        for number, streams in enumerate(self._streams):
            if not streams:
                continue
            while True:
                data, ended = await self._port.receive(number, self._most)
                moved += len(data)
                self._open[number] += data
                if ended:
                    self._take(number, self._open[number])
                    self._open[number] = b""
                if not data:
                    break
        return moved

    def _take(self, number: int, packet: bytes) -> None:
        where = f"host output {number}"
        if len(packet) < self._units:
            raise UserError(f"{where}: a packet of {len(packet)} bytes came, without its preamble")
        part = self._streams[number].get(packet[0])
        if part is None:
            raise UserError(f"{where}: a packet of stream {packet[0]} came, which is not expected")
        payload = np.frombuffer(packet[self._units :], np.int8)
        if len(payload) != part.length:
            raise UserError(
                f"{where}, stream {packet[0]}: {len(payload)} values came: allowed is {part.length}"
            )
        vector = self._seen[id(part)]
        if vector == len(self._result):
            raise UserError(f"{where}, stream {packet[0]}: more than {vector} packets came")
        self._result[vector, part.start : part.start + part.length] = payload
        self._seen[id(part)] += 1
        self._came += 1


def _streams_of(program: Program, port: int) -> dict[int, HostStream]:
    """What the packets of a host output are, by their preambles; a sequence's last has its own."""
    last = {each.stream: each.last for each in program.slices}
    found = {}
    for part in program.outputs:
        if part.port == port:
            found[part.stream] = found[last.get(part.stream, part.stream)] = part
    return found
