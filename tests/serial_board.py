"""A board at the other end of a pseudo-terminal: the golden bridge, or whatever answers bytes."""

import os
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from caduceus.golden.register_chip import RegisterChip
from caduceus.golden.serial_bridge import SerialBridge
from caduceus.spec.chip import Chip
from caduceus.spec.host_port import finish

Answer = Callable[[bytes], bytes | None]
"""Bytes that come, to bytes that go back; None closes the line."""


def damaged(random: np.random.Generator, data: bytes, share: float) -> bytes:
    """What arrives when a share of the bytes is dropped, doubled, or has a bit flipped."""
    found = bytearray()
    for byte in data:
        kind = int(random.integers(3)) if random.random() < share else 3
        flipped = byte ^ 1 << int(random.integers(8))
        found += (b"", bytes((byte, byte)), bytes((flipped,)), bytes((byte,)))[kind]
    return bytes(found)


def bridge(chip: Chip) -> SerialBridge:
    """A board with the golden model of a chip."""
    return SerialBridge(chip, RegisterChip(chip))


def board(chip: Chip, share: float = 0.0, seed: int = 0) -> Answer:
    """It, at a line that damages a share of the bytes both ways."""
    random, golden = np.random.default_rng(seed), bridge(chip)

    def answer(data: bytes) -> bytes:
        return damaged(random, finish(golden.take(damaged(random, data, share))), share)

    return answer


@contextmanager
def terminal(answer: Answer) -> Iterator[str]:
    """A pseudo-terminal at whose other end `answer` sits; its path."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    ending, closed = os.pipe()

    def serve() -> None:
        while True:
            ready, _, _ = select.select([ours, ending], [], [])
            if ending in ready:
                break
            back = answer(os.read(ours, 1 << 12))
            if back is None:
                break
            while back:
                back = back[os.write(ours, back) :]
        os.close(ours)

    path = os.ttyname(theirs)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        os.close(closed)
        thread.join(timeout=10)
        os.close(theirs)
        os.close(ending)
