"""The serial protocol: frames, and a host and a board at the two ends of a bad line."""

import numpy as np
import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st
from serial_board import bridge, damaged

from caduceus.golden.serial_bridge import SerialBridge
from caduceus.host.link import LinkPort, Patience, SerialLink
from caduceus.spec import registers
from caduceus.spec import serial_protocol as protocol
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, SLVERR, HostPort, finish
from caduceus.spec.registers import BY_NAME
from caduceus.spec.serial_protocol import Operation, Reply, Request, Status

TINY = Chip.find("tiny")


def frame(request: Request) -> bytes:
    return b"\0" + cobs.encode(request.content()) + b"\0"


def answer(board: SerialBridge, data: bytes) -> Reply | None:
    found = finish(board.take(data))
    return Reply.parse(cobs.decode(found.strip(b"\0"))) if found else None


def begun() -> SerialBridge:
    """A board in a session whose last sequence number was 9."""
    board = bridge(TINY)
    answer(board, frame(Request(9, Operation.HELLO, bytes(4))))
    return board


class Counter(HostPort):
    """Notes what it is sent, and refuses register 8."""

    def __init__(self) -> None:
        self.packets, self.words = [], {}

    async def send(self, port: int, data: bytes, last: bool) -> int:
        self.packets.append((port, data, last))
        return len(data)

    async def write(self, address: int, value: int) -> int:
        self.words[address] = value
        return SLVERR if address == 8 else OKAY

    async def read(self, address: int) -> tuple[int, int]:
        return self.words.get(address, 0), SLVERR if address == 8 else OKAY


class BadLine:
    """A line to a board, whose time passes when nothing comes; it damages bytes."""

    def __init__(self, board: SerialBridge, share: float, seed: int = 0) -> None:
        self._board, self._share = board, share
        self._random, self._back, self._time = np.random.default_rng(seed), b"", 0.0

    def write(self, data: bytes) -> None:
        arrived = damaged(self._random, data, self._share)
        self._back += damaged(self._random, finish(self._board.take(arrived)), self._share)

    def read(self, seconds: float) -> bytes:
        found, self._back = self._back, b""
        self._time += 0 if found else seconds
        return found

    def now(self) -> float:
        return self._time

    def close(self) -> None:
        pass


def test_the_crc_is_the_catalogues() -> None:
    # "check" of CRC-16/GENIBUS in the catalogue of parametrised CRC algorithms.
    assert protocol.crc(b"123456789") == b"\xd6\x4e"


@given(st.binary(min_size=2, max_size=50), st.integers(1, 5))
def test_zeros_that_follow_are_seen(body: bytes, zeros: int) -> None:
    whole = body + protocol.crc(body)
    assert protocol.is_whole(whole) and not protocol.is_whole(whole + bytes(zeros))


def test_a_disturbed_delimiter_ends_no_frame() -> None:
    # The byte in its place looks like a run without bytes: a zero at the content's end.
    board, whole = begun(), frame(Request(10, Operation.RECEIVE, b"\0"))
    assert answer(board, whole[:-1] + b"\1\0") is None and board.broken == 1


@given(st.integers(0, 255), st.integers(0, 127), st.binary(max_size=300), st.integers(0, 255))
def test_contents_are_read_as_they_were_written(
    sequence: int, operation: int, payload: bytes, status: int
) -> None:
    request = Request(sequence, operation, payload)
    assert protocol.is_whole(request.content()) and Request.parse(request.content()) == request
    reply = Reply(sequence, operation, payload, status)
    assert protocol.is_whole(reply.content()) and Reply.parse(reply.content()) == reply
    assert Reply.parse(request.content()) is None, "a request is no reply"


def test_everything_fits_a_frame() -> None:
    for units in (1, 2, 16, 64):
        assert protocol.send_max(units) % units == protocol.receive_max(units) % units == 0
        sent = protocol.arguments(Operation.SEND, port=0, last=0) + bytes(protocol.send_max(units))
        assert len(Request(0, Operation.SEND, sent).content()) <= protocol.CONTENT_MAX
        received = Reply(0, Operation.RECEIVE, bytes(protocol.receive_max(units) + 1), 0)
        assert len(received.content()) <= protocol.CONTENT_MAX
    words = bytes(4 * protocol.words_max() + protocol.arguments_length(Operation.WRITE))
    assert len(Request(0, Operation.WRITE, words).content()) <= protocol.CONTENT_MAX
    read = Reply(0, Operation.READ, bytes(4 * protocol.READ_MAX), 0)
    assert len(read.content()) <= protocol.CONTENT_MAX


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_no_damage_of_a_byte_goes_unseen(payload: bytes, data: st.DataObject) -> None:
    board, whole = begun(), frame(Request(10, Operation.HELLO, payload))
    place = data.draw(st.integers(1, len(whole) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    assert answer(board, whole[:place] + bytes((byte,)) + whole[place + 1 :]) is None
    assert board.broken >= 1 or byte == 0
    assert answer(board, whole).sequence == 10


def test_a_repeated_request_is_answered_and_not_done_again() -> None:
    port = Counter()
    board = SerialBridge(TINY, port)
    answer(board, frame(Request(9, Operation.HELLO, bytes(4))))
    push = Request(10, Operation.SEND, b"\1\1packet")
    first = finish(board.take(frame(push)))
    assert finish(board.take(frame(push))) == first
    assert port.packets == [(1, b"packet", True)]
    assert board.done == 2, "HELLO and SEND"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request(10, 99), Status.REFUSED),
        (Request(10, Operation.WRITE, bytes(5)), Status.REFUSED),
        (Request(10, Operation.SEND, b"\2\1x"), Status.REFUSED),
        (Request(10, Operation.SEND, b"\1\1"), Status.REFUSED),
        (Request(10, Operation.RECEIVE, b"\2"), Status.REFUSED),
        (Request(10, Operation.READ, bytes(6) + b"\xff\xff"), Status.REFUSED),
        (Request(11, Operation.RECEIVE, b"\0"), Status.LOST),
        (Request(8, Operation.RECEIVE, b"\0"), Status.LOST),
        (Request(10, Operation.RECEIVE, b"\0"), Status.DONE),
    ],
)
def test_statuses(request_: Request, status: Status) -> None:
    assert answer(begun(), frame(request_)).status == status


def test_the_count_of_damaged_frames_ends_at_16_bits() -> None:
    board = begun()
    board.broken = 0xFFFE
    for expected in (0xFFFF, 0xFFFF):
        assert answer(board, b"\0damaged\0") is None and board.broken == expected
    reply = answer(board, frame(Request(3, Operation.HELLO, bytes(4))))
    assert reply.payload[5:7] == b"\xff\xff"


def test_a_lost_session_stays_lost_until_hello() -> None:
    board = begun()
    for sequence in (12, 13, 14):
        lost = answer(board, frame(Request(sequence, Operation.RECEIVE, b"\0")))
        assert lost.status == Status.LOST
    assert answer(board, frame(Request(3, Operation.HELLO, b"abcd"))).payload[:4] == b"abcd"
    assert answer(board, frame(Request(4, Operation.RECEIVE, b"\0"))).status == Status.DONE


def test_words_end_at_the_first_that_is_refused() -> None:
    port = Counter()
    board = SerialBridge(TINY, port)
    link = SerialLink(BadLine(board, 0), "here", Patience())
    link.hello(TINY)
    host = LinkPort(link, TINY)
    assert finish(host.write_words(0, [1, 2, 3, 4])) == SLVERR
    assert port.words == {0: 1, 4: 2, 8: 3}
    assert finish(host.read_words(0, 4)) == ([1, 2], SLVERR)
    many = list(range(1000))
    assert finish(host.write_words(100, many)) == OKAY
    assert finish(host.read_words(100, 1000)) == (many, OKAY)
    assert finish(host.read_words(100 + 4 * 999, 1000, -4)) == (many[::-1], OKAY)


TOP = 1 << 32


@pytest.mark.parametrize(
    ("address", "step", "expected"),
    [
        (TOP - 8, 4, [TOP - 8, TOP - 4, 0, 4]),
        (4, -4, [4, 0, TOP - 4, TOP - 8]),
        (TOP - 1, 1, [TOP - 1, 0, 1, 2]),
        (0, -1, [0, TOP - 1, TOP - 2, TOP - 3]),
        ((1 << 31) - 4, 4, [(1 << 31) - 4, 1 << 31, (1 << 31) + 4, (1 << 31) + 8]),
        (TOP - 4, 0x7FFF, [TOP - 4, 0x7FFB, 0xFFFA, 0x17FF9]),
        (4, -0x8000, [4, TOP - 0x7FFC, TOP - 0xFFFC, TOP - 0x17FFC]),
    ],
)
def test_addresses_wrap_at_32_bits(address: int, step: int, expected: list[int]) -> None:
    class Addresses(HostPort):
        """Notes every address, and answers each with a word of its own."""

        def __init__(self) -> None:
            self.written, self.read_ = [], []

        async def write(self, address: int, value: int) -> int:
            self.written.append((address, value))
            return OKAY

        async def read(self, address: int) -> tuple[int, int]:
            self.read_.append(address)
            return len(self.read_), OKAY

    port = Addresses()
    board = SerialBridge(TINY, port)
    answer(board, frame(Request(9, Operation.HELLO, bytes(4))))
    words = b"".join(number.to_bytes(4, "little") for number in (1, 2, 3, 4))
    payload = protocol.arguments(Operation.WRITE, address=address, step=step)
    reply = answer(board, frame(Request(10, Operation.WRITE, payload + words)))
    assert (reply.status, reply.payload) == (Status.DONE, (4).to_bytes(2, "little"))
    assert port.written == list(zip(expected, (1, 2, 3, 4), strict=True))
    payload = protocol.arguments(Operation.READ, address=address, step=step, count=4)
    reply = answer(board, frame(Request(11, Operation.READ, payload)))
    assert (reply.status, reply.payload) == (Status.DONE, words)
    assert port.read_ == expected


@pytest.mark.parametrize("seed", range(5))
def test_packets_arrive_once_and_in_order_over_a_bad_line(seed: int) -> None:
    port = Counter()
    board = SerialBridge(TINY, port)
    link = SerialLink(BadLine(board, 0.005, seed), "here", Patience(tries=50))
    link.hello(TINY)
    host = LinkPort(link, TINY)
    packets = [bytes((number,)) * 40 for number in range(100)]
    for packet in packets:
        assert finish(host.send(0, packet, True)) == len(packet)
    assert port.packets == [(0, packet, True) for packet in packets]
    assert link.retries > 10 and board.broken > 10


def test_a_dead_line_is_given_up() -> None:
    line = BadLine(bridge(TINY), 1)
    link = SerialLink(line, "here", Patience(seconds=0.5, tries=4))
    with pytest.raises(UserError, match="here: no answer from the board to operation HELLO in 4"):
        link.hello(TINY)
    assert line.now() == pytest.approx(2) and link.sent == 4


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    board = bridge(TINY)
    link = SerialLink(BadLine(board, 0), "here", Patience())
    taken = board._hello

    async def newer(data: bytes, nonce: int) -> tuple[bytes, Status]:
        payload, status = await taken(data, nonce)
        return payload[:4] + bytes((protocol.VERSION + 1,)) + payload[5:], status

    monkeypatch.setattr(board, "_hello", newer)
    with pytest.raises(
        UserError, match="version of the serial protocol: got 2 from the board, expected 1"
    ):
        link.hello(TINY)


def test_the_golden_chip_answers_like_registers() -> None:
    link = SerialLink(BadLine(bridge(TINY), 0), "here", Patience())
    link.hello(TINY)
    host = LinkPort(link, TINY)
    assert finish(host.read(BY_NAME["ID"].address)) == (registers.ID, OKAY)
    assert finish(host.write(BY_NAME["ID"].address, 1)) == SLVERR
    everyone = TINY.tiles * registers.TILE_SPACE
    assert finish(host.write(everyone + BY_NAME["ROWS"].address, 7)) == OKAY
    for tile in range(TINY.tiles):
        address = tile * registers.TILE_SPACE + BY_NAME["ROWS"].address
        assert finish(host.read(address)) == (7, OKAY)
    assert finish(host.read(everyone))[1] == SLVERR
    assert finish(host.read(1 << 30))[1] == SLVERR
