"""The host's end of the serial link (`spec.serial_protocol`), and a chip's port over it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from caduceus.host.line import Line
from caduceus.spec import serial_protocol as protocol
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, SLVERR, WORD_STEP, HostPort
from caduceus.spec.serial_protocol import Operation, Reply, Request, Status

_ZERO = bytes((protocol.DELIMITER,))
_HELLO_FIXED = 4 + 1 + 2


@dataclass(frozen=True)
class Patience:
    """How long to wait for a reply, and how often to ask.

    Attributes:
        seconds: in addition to the time of the bytes on the line.
        tries: number of times a request is sent before the link is given up.
        baud: bits per second; 0 for a line that takes no time.
    """

    seconds: float = 0.3
    tries: int = 10
    baud: int = 0

    def wait(self, request: int) -> float:
        """Seconds to wait for the reply to a request of so many bytes."""
        bits = 10 * (request + protocol.CONTENT_MAX + 8)
        return self.seconds + (bits / self.baud if self.baud else 0)


class SerialLink:
    """Requests over a line that may lose, change and double bytes.

    Attributes:
        sent: requests sent, repetitions included.
        retries: repetitions.
        damaged: damaged frames received.
    """

    def __init__(self, line: Line, where: str, patience: Patience) -> None:
        self._line, self._where, self._patience = line, where, patience
        self._sequence = 0
        self._rest = b""
        self.sent = self.retries = self.damaged = 0

    def hello(self, chip: Chip) -> None:
        """Begin a session with a board that has `chip`.

        Raises:
            UserError: there is no answer, or the board has another chip or protocol version.
        """
        nonce = os.urandom(4)
        # An answer to an earlier session's may still be on its way: the nonce tells them apart.
        reply = self._ask(Operation.HELLO, nonce, lambda payload: payload[:4] == nonce)
        fixed, digest = reply.payload[:_HELLO_FIXED], reply.payload[_HELLO_FIXED:]
        if reply.status != Status.DONE or len(fixed) < _HELLO_FIXED:
            raise UserError(
                f"{self._where}: HELLO: got the answer of another device, expected a board's"
            )
        if fixed[4] != protocol.VERSION:
            raise UserError(
                f"{self._where}: version of the serial protocol: got {fixed[4]} from the board, "
                f"expected {protocol.VERSION}"
            )
        if digest != protocol.digest(chip):
            raise UserError(
                f"{self._where}: the board has another chip than description '{chip.name}': name "
                "the description that its bitstream was made from"
            )

    def request(self, operation: Operation, payload: bytes) -> Reply:
        """Have the board carry out an operation once; `Status.BUS_ERROR` is left to the caller.

        Raises:
            UserError: there is no answer, or the board refuses, or has forgotten the session.
        """
        reply = self._ask(operation, payload)
        if reply.status == Status.LOST:
            raise UserError(f"{self._where}: the board was restarted, or has another host")
        if reply.status not in (Status.DONE, Status.BUS_ERROR):
            raise UserError(f"{self._where}: the board refused operation {operation.name}")
        return reply

    def odd(self, payload: bytes, least: int) -> UserError:
        """The error for an undamaged reply that is too short."""
        return UserError(
            f"{self._where}: length of the board's answer: got {len(payload)} bytes, expected "
            f"{least} or more"
        )

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    def _ask(
        self, operation: Operation, payload: bytes, mine: Callable[[bytes], bool] = lambda _: True
    ) -> Reply:
        """The reply whose payload is `mine`."""
        self._sequence = (self._sequence + 1) % protocol.SEQUENCES
        content = Request(self._sequence, operation, payload).content()
        from cobs import cobs  # Of the extra `sim`.

        frame = _ZERO + cobs.encode(content) + _ZERO
        damaged = self.damaged
        for attempt in range(self._patience.tries):
            self.sent += 1
            self.retries += attempt > 0
            self._line.write(frame)
            until = self._line.now() + self._patience.wait(len(frame))
            reply = self._reply(operation, until, mine)
            if reply is not None:
                return reply
        raise UserError(
            f"{self._where}: no answer from the board to operation {operation.name} in "
            f"{self._patience.tries} tries; {self.damaged - damaged} damaged frames received"
        )

    def _reply(
        self, operation: Operation, until: float, mine: Callable[[bytes], bool]
    ) -> Reply | None:
        """The reply to the request at hand, if it comes in time; all else is dropped."""
        from cobs import cobs

        while (seconds := until - self._line.now()) > 0:
            *frames, self._rest = (self._rest + self._line.read(seconds)).split(_ZERO)
            for frame in frames:
                try:
                    content = cobs.decode(frame)
                except cobs.DecodeError:
                    content = b""
                whole = protocol.is_whole(content)
                self.damaged += bool(frame) and not whole
                reply = Reply.parse(content) if whole else None
                if reply is None or reply.sequence != self._sequence:
                    continue
                if reply.operation == operation and mine(reply.payload):
                    return reply
        return None


class LinkPort(HostPort):
    """A chip behind a serial link."""

    def __init__(self, link: SerialLink, chip: Chip) -> None:
        self._link, self._units = link, chip.link.units

    async def write(self, address: int, value: int) -> int:
        """Write a word."""
        return await self.write_words(address, [value])

    async def read(self, address: int) -> tuple[int, int]:
        """Read a word."""
        words, response = await self.read_words(address, 1)
        return (words[0] if words else 0), response

    async def write_words(self, address: int, words: Sequence[int], step: int = WORD_STEP) -> int:
        """Write words, as many per request as fit."""
        most = protocol.words_max()
        for start in range(0, len(words), most):
            some = words[start : start + most]
            head = protocol.arguments(Operation.WRITE, address=address + start * step, step=step)
            data = b"".join(word.to_bytes(protocol.WORD_BYTES, "little") for word in some)
            if self._link.request(Operation.WRITE, head + data).status != Status.DONE:
                return SLVERR
        return OKAY

    async def read_words(
        self, address: int, count: int, step: int = WORD_STEP
    ) -> tuple[list[int], int]:
        """Read words, as many per request as fit."""
        found: list[int] = []
        while len(found) < count:
            some = min(count - len(found), protocol.READ_MAX)
            at = address + len(found) * step
            payload = protocol.arguments(Operation.READ, address=at, step=step, count=some)
            reply = self._link.request(Operation.READ, payload)
            if reply.status == Status.DONE and len(reply.payload) != some * protocol.WORD_BYTES:
                raise self._link.odd(reply.payload, some * protocol.WORD_BYTES)
            found += [
                int.from_bytes(reply.payload[at : at + protocol.WORD_BYTES], "little")
                for at in range(0, len(reply.payload), protocol.WORD_BYTES)
            ]
            if reply.status != Status.DONE:
                return found, SLVERR
        return found, OKAY

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Send bytes to a host input, at most as many as one request holds."""
        some = data[: protocol.send_max(self._units)]
        ends = last and len(some) == len(data)
        head = protocol.arguments(Operation.SEND, port=port, last=int(ends))
        return int.from_bytes(self._link.request(Operation.SEND, head + some).payload, "little")

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Take waiting bytes from a host output; the board's limit counts, not `most`."""
        payload = protocol.arguments(Operation.RECEIVE, port=port)
        found = self._link.request(Operation.RECEIVE, payload).payload
        if not found:
            raise self._link.odd(found, 1)
        return found[:-1], bool(found[-1])

    async def reset(self) -> None:
        """Reset the chip, and forget what is in the board's buffers."""
        self._link.request(Operation.RESET, b"")
