"""Packets are put together and taken apart as `caduceus.spec.fabric` says."""

from dataclasses import replace

import numpy as np
import pytest

from caduceus.spec.errors import UserError
from caduceus.spec.host_packets import OutputVectors, entering, leaving
from caduceus.spec.packets import (
    Beat,
    beat_count,
    beats,
    framed,
    from_bytes,
    marks,
    to_bytes,
    unframed,
)
from caduceus.spec.program import GdpuConfig, HostStream, Program, SliceProgram

PROGRAM = Program(
    chip="tiny",
    chip_digest="",
    network="none",
    read_mode="1-phase",
    tiles=(),
    inputs=(HostStream(1, 7, 2, 3), HostStream(0, 255, 0, 2)),
    outputs=(HostStream(0, 4, 1, 2), HostStream(1, 5, 0, 1), HostStream(0, 6, 3, 1)),
    input_length=5,
    output_length=4,
)


def test_a_preamble_has_a_beat_of_its_own():
    payload = np.array([[-1, 2, 3], [4, 5, -128]], np.int8)
    assert framed(200, payload, 1).tolist() == [[-56, -1, 2, 3], [-56, 4, 5, -128]]
    assert framed(200, payload[0], 4).tolist() == [-56, 0, 0, 0, -1, 2, 3]


@pytest.mark.parametrize("units", [1, 2, 16])
def test_what_is_framed_is_unframed(units):
    payload = np.arange(-20, 1, dtype=np.int8)
    stream, got = unframed(framed(255, payload, units).tobytes(), units)
    assert stream == 255
    assert got.dtype == np.int8 and (got == payload).all()


def test_a_packet_without_preamble_is_reported():
    with pytest.raises(UserError, match="packet: got 3 bytes, expected at least its preamble"):
        unframed(bytes(3), 4)


@pytest.mark.parametrize(
    ("length", "units", "expected"),
    [
        (1, 1, [(1, 1)]),
        (3, 1, [(1, 0), (1, 0), (1, 1)]),
        (1, 4, [(1, 1)]),
        (4, 4, [(15, 1)]),
        (9, 4, [(15, 0), (15, 0), (1, 1)]),
    ],
)
def test_only_the_last_beat_is_marked_and_may_be_partial(length, units, expected):
    assert marks(length, units) == expected
    assert beat_count(length, units) == len(expected)


def test_the_first_byte_of_a_beat_is_the_lowest():
    assert beats(b"\x01\x02\x03", 2) == [Beat(0x0201, 3, 0), Beat(0x0003, 1, 1)]
    assert beats(b"\x01\x02\x03", 2, fill=lambda count: b"\xff" * count)[1].data == 0xFF03
    assert beats(b"", 2) == []


def test_binary16_has_its_low_byte_first():
    values = np.array([[0x3C00, 0x1234]], np.uint16)
    assert to_bytes(values).view(np.uint8).tolist() == [[0x00, 0x3C, 0x34, 0x12]]
    assert (from_bytes(to_bytes(values), True) == values).all()
    whole = np.array([1, -1], np.int8)
    assert to_bytes(whole) is whole and from_bytes(whole, False) is whole


def test_a_vector_enters_as_its_parts_in_the_order_of_the_inputs():
    x = np.arange(10, dtype=np.int8).reshape(2, 5)
    sent = [(port, packet.tolist()) for port, packet in entering(PROGRAM, x, 2)]
    assert sent == [
        (1, [7, 0, 2, 3, 4]),
        (0, [-1, 0, 0, 1]),
        (1, [7, 0, 7, 8, 9]),
        (0, [-1, 0, 5, 6]),
    ]


def test_output_vectors_are_put_together():
    found = OutputVectors(PROGRAM, 2, units=2)
    assert found.missing == 6
    packets = [(0, 4, [10, 11]), (0, 4, [20, 21]), (1, 5, [12]), (0, 6, [13]), (1, 5, [22])]
    vectors = [
        found.take(port, framed(stream, np.array(payload, np.int8), 2).tobytes())
        for port, stream, payload in packets
    ]
    assert vectors == [0, 1, 0, 0, 1]
    assert found.missing == 1
    assert found.vectors.tolist() == [[12, 10, 11, 13], [22, 20, 21, 0]]


def test_after_a_sequence_a_slice_sends_another_stream():
    slice_ = SliceProgram(0, GdpuConfig(1, (), (), 0, 0), (), first=1, stream=5, last=9)
    program = replace(PROGRAM, slices=(slice_,))
    assert leaving(program, 1) == {5: program.outputs[1], 9: program.outputs[1]}
    found = OutputVectors(program, 2, units=1)
    assert [found.take(1, bytes([stream, 3])) for stream in (5, 9)] == [0, 1]


@pytest.mark.parametrize(
    ("port", "packet", "message"),
    [
        (0, b"\x04", "host output 0: packet: got 1 bytes, expected at least its preamble"),
        (1, b"\4\0\1\2", "host output 1: stream: got 4, expected"),
        (2, b"\4\0\1\2", "host output 2: stream: got 4, expected"),
        (0, b"\4\0\1", "host output 0: stream 4: got 1 values, expected 2"),
        (0, b"\4\0\1\2", "host output 0: stream 4: got more packets than the 1 expected"),
    ],
)
def test_a_packet_that_the_program_does_not_send_is_reported(port, packet, message):
    found = OutputVectors(PROGRAM, 1, units=2)
    found.take(0, b"\4\0\1\2")
    with pytest.raises(UserError, match=message):
        found.take(port, packet)
