"""The board's serial link: frames between a host and the bridge in front of the chip.

The line carries bytes, 8N1. A frame is its content encoded by consistent overhead byte stuffing
(COBS; Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999) between two zero bytes.
The content is

    request     sequence number, operation, arguments and data, CRC
    reply       sequence number, operation | REPLY, data, status, CRC

The CRC is CRC-16/GENIBUS (polynomial 0x1021, from 0xFFFF on, inverted), high byte first; all other
numbers have their low byte first. It is inverted because a CRC that is not stays right when zeros
follow, and a disturbed delimiter looks like one. Broken frames are dropped and counted. Each
request waits for its reply: the host sends it again if none comes. The board answers a repeated
sequence number with the same reply, and does not execute the request again. The layout is our
choice; the manual is docs/serial.md.
"""

import binascii
from dataclasses import dataclass
from enum import IntEnum

from caduceus.spec.chip import Chip
from caduceus.spec.program import chip_digest

VERSION = 1
BAUD = 1_000_000
"""Bits per second of the board's serial port (our choice)."""
CONTENT_MAX = 512
"""Bytes of a frame's content, CRC included."""
CONTENT_MIN = 4
"""Sequence number, operation, CRC."""
CRC_BYTES = 2
CRC_START, CRC_INVERT = 0xFFFF, 0xFFFF
SEQUENCES = 256
REPLY = 0x80
"""Set in the operation of a reply, so that a request that comes back is none."""
DELIMITER = 0
RUN_MAX = 254
"""Bytes without a zero after which COBS begins a new run."""
WORD_BYTES = 4
DIGEST_BYTES = 32


class Operation(IntEnum):
    """Operations of a request; arguments in the order of `ARGUMENTS`."""

    HELLO = 1
    RESET = 2
    WRITE = 3
    READ = 4
    SEND = 5
    RECEIVE = 6


ARGUMENTS: dict[Operation, tuple[tuple[str, int], ...]] = {
    Operation.HELLO: (("nonce", 4),),
    Operation.RESET: (),
    Operation.WRITE: (("address", 4), ("step", 2)),
    Operation.READ: (("address", 4), ("step", 2), ("count", 2)),
    Operation.SEND: (("port", 1), ("last", 1)),
    Operation.RECEIVE: (("port", 1),),
}
"""Name and bytes of every argument.

HELLO begins a session, whatever its sequence number. Reply: the nonce, `VERSION` (1 byte), frames
that were broken since power-up (2 bytes, stays at its largest), the chip's digest.
RESET resets the chip, and empties the board's buffers.
WRITE writes the words that follow to `address`, `address` + `step` and so on; `step` is signed.
Reply: how many were written (2 bytes); the first that the chip refuses ends it.
READ reads `count` words from the same addresses, at most `READ_MAX`. Reply: the words.
SEND gives the bytes that follow to the chip's input `port`; the packet ends with them if `last` is
1, and otherwise they are whole beats. Reply: how many of them found room (2 bytes); the rest, and
the packet's end if there is a rest, must be sent again.
RECEIVE takes from the chip's output `port` what waits there, at most of one packet and
`receive_max` bytes. Reply: the bytes, then 1 if the packet ended with them, 0 if not.
"""


class Status(IntEnum):
    """Result of a request: the last byte of a reply before the CRC."""

    DONE = 0
    BUS_ERROR = 1
    """The chip answered a register access with an error; nothing after it was done."""
    REFUSED = 2
    """There is no such operation or port, or the arguments were too short: nothing was done. Or the
    data ended in the middle of a WRITE's word, or of a beat within a packet: what came before that
    word or beat was done."""
    LOST = 3
    """No session, or a sequence number that is neither the last one nor the next: say HELLO."""


READ_MAX = (CONTENT_MAX - CONTENT_MIN - 1) // WORD_BYTES
"""Words of a READ."""


def words_max() -> int:
    """Words of a WRITE."""
    return (CONTENT_MAX - CONTENT_MIN - arguments_length(Operation.WRITE)) // WORD_BYTES


def send_max(units: int) -> int:
    """Bytes of a SEND to streams of `units` bytes per beat: whole beats."""
    room = CONTENT_MAX - CONTENT_MIN - arguments_length(Operation.SEND)
    return room // units * units


def receive_max(units: int) -> int:
    """Bytes of a RECEIVE: whole beats, with the flag and the status after them."""
    return (CONTENT_MAX - CONTENT_MIN - 2) // units * units


def arguments_length(operation: Operation) -> int:
    """Bytes of an operation's arguments."""
    return sum(length for _, length in ARGUMENTS[operation])


def arguments(operation: Operation, **values: int) -> bytes:
    """The arguments' bytes; a negative `step` in two's complement."""
    return b"".join(
        (values[name] % (1 << 8 * length)).to_bytes(length, "little")
        for name, length in ARGUMENTS[operation]
    )


def digest(chip: Chip) -> bytes:
    """Digest of the chip description, compared by host and board."""
    return bytes.fromhex(chip_digest(chip))


def crc(content: bytes) -> bytes:
    """The CRC of a content without it."""
    value = binascii.crc_hqx(content, CRC_START) ^ CRC_INVERT
    return value.to_bytes(CRC_BYTES, "big")


def is_whole(content: bytes) -> bool:
    """Whether a content, CRC included, is long enough and its CRC right."""
    return (
        CONTENT_MIN <= len(content) <= CONTENT_MAX
        and crc(content[:-CRC_BYTES]) == content[-CRC_BYTES:]
    )


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        operation: its code, `Operation` or unknown.
        payload: arguments and data.
    """

    sequence: int
    operation: int
    payload: bytes = b""

    def content(self) -> bytes:
        """Its bytes, CRC included."""
        body = bytes((self.sequence, self.operation)) + self.payload
        return body + crc(body)

    @classmethod
    def parse(cls, content: bytes) -> "Request":
        """The request of a whole content."""
        return cls(content[0], content[1], content[2:-CRC_BYTES])


@dataclass(frozen=True)
class Reply:
    """A reply to the request of the same sequence number and operation.

    Attributes:
        status: its code, `Status` or unknown.
    """

    sequence: int
    operation: int
    payload: bytes
    status: int

    def content(self) -> bytes:
        """Its bytes, CRC included."""
        body = bytes((self.sequence, self.operation | REPLY)) + self.payload
        body += bytes((self.status,))
        return body + crc(body)

    @classmethod
    def parse(cls, content: bytes) -> "Reply | None":
        """The reply of a whole content; None if it is not a reply."""
        if len(content) <= CONTENT_MIN or not content[1] & REPLY:
            return None
        status = content[-CRC_BYTES - 1]
        return cls(content[0], content[1] & ~REPLY, content[2 : -CRC_BYTES - 1], status)
