"""The bridge between a serial line and a chip, as a function of the bytes received."""

from collections.abc import Iterator

from caduceus.spec import serial_protocol as protocol
from caduceus.spec.chip import Chip
from caduceus.spec.host_port import OKAY, HostPort
from caduceus.spec.serial_protocol import ARGUMENTS, Operation, Reply, Request, Status

_BROKEN_MAX = 0xFFFF
_ZERO = bytes((protocol.DELIMITER,))


class SerialBridge:
    """Carries out requests on `port`, and answers them.

    Attributes:
        broken: damaged frames, 65,535 at most.
        done: requests that were carried out; repeated ones are answered again and not counted.
    """

    def __init__(self, chip: Chip, port: HostPort) -> None:
        self._port, self._digest = port, protocol.digest(chip)
        self._units = chip.link.units
        self._inputs, self._outputs = len(chip.host.inputs), len(chip.host.outputs)
        self._line = b""
        self._previous: int | None = None
        self._reply = b""
        self.broken = self.done = 0

    async def take(self, data: bytes) -> bytes:
        """Take bytes from the line; return the bytes to send back."""
        self._line += data
        *frames, self._line = self._line.split(_ZERO)
        return b"".join([await self._answer(content) for content in self._whole(frames)])

    def _whole(self, frames: list[bytes]) -> Iterator[bytes]:
        """Contents of the undamaged frames."""
        from cobs import cobs  # in the extra `sim`; the rest of the golden model needs no extra

        for frame in frames:
            try:
                content = cobs.decode(frame)
            except cobs.DecodeError:
                content = b""
            if protocol.is_whole(content):
                yield content
            elif frame:
                self.broken = min(self.broken + 1, _BROKEN_MAX)

    async def _answer(self, content: bytes) -> bytes:
        """The frame that answers an undamaged content."""
        request = Request.parse(content)
        hello = request.operation == Operation.HELLO
        if hello or request.sequence != self._previous:
            expected = None if self._previous is None else (self._previous + 1) % protocol.SEQUENCES
            if not hello and request.sequence != expected:
                self._previous = None
                payload, status = b"", Status.LOST
            else:
                self._previous = request.sequence
                payload, status = await self._do(request)
                self.done += 1
            reply = Reply(request.sequence, request.operation, payload, status)
            from cobs import cobs

            self._reply = _ZERO + cobs.encode(reply.content()) + _ZERO
        return self._reply

    async def _do(self, request: Request) -> tuple[bytes, Status]:
        """Payload and status of a request that is new."""
        if request.operation not in ARGUMENTS:
            return b"", Status.REFUSED
        operation = Operation(request.operation)
        length = protocol.arguments_length(operation)
        if len(request.payload) < length:
            return b"", Status.REFUSED
        given, place = {}, 0
        for name, size in ARGUMENTS[operation]:
            signed = name == "step"
            field = request.payload[place : place + size]
            given[name] = int.from_bytes(field, "little", signed=signed)
            place += size
        work = getattr(self, f"_{operation.name.lower()}")
        return await work(request.payload[length:], **given)

    async def _hello(self, _data: bytes, nonce: int) -> tuple[bytes, Status]:
        count = self.broken.to_bytes(2, "little")
        version = bytes((protocol.VERSION,))
        return nonce.to_bytes(4, "little") + version + count + self._digest, Status.DONE

    async def _reset(self, _data: bytes) -> tuple[bytes, Status]:
        await self._port.reset()
        return b"", Status.DONE

    async def _write(self, data: bytes, address: int, step: int) -> tuple[bytes, Status]:
        whole = len(data) // protocol.WORD_BYTES
        status = Status.REFUSED if len(data) % protocol.WORD_BYTES else Status.DONE
        done = 0
        for index in range(whole):
            word = data[index * protocol.WORD_BYTES : (index + 1) * protocol.WORD_BYTES]
            at = (address + index * step) % (1 << 32)
            if await self._port.write(at, int.from_bytes(word, "little")) != OKAY:
                status = Status.BUS_ERROR
                break
            done += 1
        return done.to_bytes(2, "little"), status

    async def _read(
        self, _data: bytes, address: int, step: int, count: int
    ) -> tuple[bytes, Status]:
        if count > protocol.READ_MAX:
            return b"", Status.REFUSED
        found = b""
        for index in range(count):
            value, response = await self._port.read((address + index * step) % (1 << 32))
            if response != OKAY:
                return found, Status.BUS_ERROR
            found += value.to_bytes(protocol.WORD_BYTES, "little")
        return found, Status.DONE

    async def _send(self, data: bytes, port: int, last: int) -> tuple[bytes, Status]:
        if port >= self._inputs or not data:
            return b"", Status.REFUSED
        ends = bool(last & 1)
        part = 0 if ends else len(data) % self._units
        whole = data[: len(data) - part]
        taken = await self._port.send(port, whole, ends) if whole else 0
        refused = part and taken == len(whole)
        return taken.to_bytes(2, "little"), Status.REFUSED if refused else Status.DONE

    async def _receive(self, _data: bytes, port: int) -> tuple[bytes, Status]:
        if port >= self._outputs:
            return b"", Status.REFUSED
        found, ended = await self._port.receive(port, protocol.receive_max(self._units))
        return found + bytes((ended,)), Status.DONE
