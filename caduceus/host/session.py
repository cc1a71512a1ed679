"""A program on a chip behind any port: load, stream inputs, read results."""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from caduceus.host.chip import ChipHost
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import LstmState
from caduceus.spec.host_packets import OutputVectors, entering
from caduceus.spec.host_port import HostPort
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program

PATIENCE = 2_000
"""Rounds over all ports in which no byte moves, after which a chip is taken to hang."""
_WINDOW = 64
"""Packets sent to an input between two reads of the outputs."""


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
        """Reset the chip, and load `program` and the devices of `state`.

        `progress` is called with the number of tiles loaded so far.
        """
        await self._port.reset()
        await self.host.load(program, state, progress)

    async def begin(self, program: Program, steps: int, state: LstmState | None = None) -> None:
        """Begin a sequence of a program with GDPU slices; see `ChipHost.begin`."""
        await self.host.begin(program, steps, state)

    async def run(
        self,
        program: Program,
        x: NDArray[np.int8],
        outputs: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.int8]:
        """Send vectors, int8 [n, input_length], and receive `outputs` vectors.

        All ports are served in turn as far as there is room, so that none waits for another.
        `progress` is called with the number of packets sent so far.

        Raises:
            UserError: the chip stopped, or sent a packet that the program does not have.
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
        self._port, self._progress = port, progress
        self._most = fabric.payload_max(chip) + chip.link.units
        self._waiting = [deque() for _ in chip.host.inputs]
        for number, packet in entering(program, x, chip.link.units):
            self._waiting[number].append(packet.tobytes())
        self._open = {part.port: b"" for part in program.outputs}
        self._result = OutputVectors(program, outputs, chip.link.units)
        self._wanted = self._result.missing
        self._sent = 0

    async def run(self) -> NDArray[np.int8]:
        idle = 0
        while self._result.missing or any(self._waiting):
            moved = await self._send() + await self._receive()
            idle = 0 if moved else idle + 1
            if idle == PATIENCE:
                came = self._wanted - self._result.missing
                raise UserError(
                    f"chip: output packets: got {came} before it stopped, expected {self._wanted}"
                )
        # Anything that still arrives is a packet too many.
        await self._receive()
        for number, rest in self._open.items():
            if rest:
                raise UserError(
                    f"host output {number}: after the last packet: got {len(rest)} bytes, "
                    "expected none"
                )
        return self._result.vectors

    async def _send(self) -> int:
        """Send as much as finds room; return the number of bytes."""
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
        """Receive everything that waits; return the number of bytes."""
        moved = 0
        for number in self._open:
            while True:
                data, ended = await self._port.receive(number, self._most)
                moved += len(data)
                self._open[number] += data
                if ended:
                    self._result.take(number, self._open[number])
                    self._open[number] = b""
                if not data:
                    break
        return moved
