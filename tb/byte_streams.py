"""Drivers and monitors of Amaranth streams: one token at a time, with pauses."""

from collections.abc import Callable, Iterable
from typing import Any

from cocotb.triggers import RisingEdge

Pauses = Callable[[], bool]
"""Whether to pause in a clock."""


def never() -> bool:
    """No pause."""
    return False


async def put(dut: Any, name: str, tokens: Iterable[int], pauses: Pauses = never) -> None:
    """Drive all tokens into the stream `name`."""
    valid, ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
    for token in tokens:
        while pauses():
            await RisingEdge(dut.clk)
        valid.value = 1
        getattr(dut, f"{name}_payload").value = token
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        valid.value = 0


async def take(dut: Any, name: str, into: list[int], pauses: Pauses = never) -> None:
    """Append the tokens of the stream `name`, forever; a waiting token must stay stable."""
    valid, ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
    waiting: int | None = None
    while True:
        pause = pauses()
        ready.value = not pause
        await RisingEdge(dut.clk)
        if not valid.value:
            assert waiting is None, f"{name}: valid fell before ready"
            continue
        token = int(getattr(dut, f"{name}_payload").value)
        assert waiting in (None, token), f"{name}: token changed before ready"
        waiting = token
        if not pause:
            into.append(token)
            waiting = None
