"""Amaranth's streams: tokens put and taken one by one, with pauses."""

from collections.abc import Callable, Iterable
from typing import Any

from cocotb.triggers import RisingEdge

Pauses = Callable[[], bool]
"""Whether to pause in a clock."""


def never() -> bool:
    """No pause."""
    return False


async def put(dut: Any, name: str, tokens: Iterable[int], pauses: Pauses = never) -> None:
    """Hand all tokens to the stream `name`."""
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
    """Append what the stream `name` gives, for ever; while a token waits it must not change."""
    valid, ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
    waiting: int | None = None
    while True:
        pause = pauses()
        ready.value = not pause
        await RisingEdge(dut.clk)
        if not valid.value:
            assert waiting is None, f"{name}: a token went away"
            continue
        token = int(getattr(dut, f"{name}_payload").value)
        assert waiting in (None, token), f"{name}: a token changed"
        waiting = token
        if not pause:
            into.append(token)
            waiting = None
