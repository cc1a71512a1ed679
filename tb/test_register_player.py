"""Register player: its accesses on cocotbext-axi's subordinate, and the port's view of them.

A model of words behind the subordinate logs what arrives: the accesses of the host, in
order, however the subordinate pauses; nothing must arrive after an access that is refused.
"""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteSlave

from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.tile_host import start_clock
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, SLVERR
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.tile_bench import pauses

HALF_PS = 1000
PATIENCE = 200
"""Clocks before the player takes the subordinate to hang."""
WORDS, REFUSED = 64, 48
"""Words of the model, and the first of those that it refuses to write."""


def _prepare(_variant: Variant, _folder: Path) -> Design:
    return Design(HARNESS_SOURCES, "register_player", {"PATIENCE": PATIENCE})


BENCH = Bench(
    name="register_player",
    covers=("register_player.sv",),
    variants=(
        Variant("short", {"rounds": 60}),
        Variant("long", {"rounds": 2_000}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


class _Words:
    """The words behind the subordinate.

    Attributes:
        log: accesses in order: whether it wrote, the address, and the word.
        countdown: by address, the number of reads after which its word becomes 0.
    """

    def __init__(self) -> None:
        self.words = dict.fromkeys(range(0, 4 * WORDS, 4), 0)
        self.log: list[tuple[bool, int, int]] = []
        self.countdown: dict[int, int] = {}

    async def write(self, address: int, data: bytes) -> None:
        """Write a word, or refuse to."""
        word = int.from_bytes(data, "little")
        self.log.append((True, address, word))
        if address >= 4 * REFUSED or len(data) != 4:
            raise ValueError
        self.words[address] = word

    async def read(self, address: int, _length: int) -> bytes:
        """Read a word, or refuse to."""
        self.log.append((False, address, self.words.get(address, 0)))
        if address in self.countdown:
            self.countdown[address] -= 1
            if not self.countdown[address]:
                self.words[address] = 0
                del self.countdown[address]
        return self.words[address].to_bytes(4, "little")


class _Player:
    """The player, its port, and the subordinate."""

    def __init__(self, dut: Any) -> None:
        self.words = _Words()
        self.slave = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, target=self.words)
        dut._log.getChild("m_axil").setLevel(logging.ERROR)
        self.port = PlayerPort(
            SimpleNamespace(
                play_accesses=dut.start, accesses_done=dut.done, accesses_hung=dut.hung,
                accesses_completed=dut.completed, accesses_response=dut.response,
            ),
            Path(),
        )  # fmt: skip

    @classmethod
    async def start(cls, dut: Any) -> "_Player":
        """Start the clock."""
        for name in ("awready", "wready", "bvalid", "arready", "rvalid"):
            getattr(dut, f"m_axil_{name}").value = 0
        # The models sample from the first edge on, and in Icarus undriven signals are Z before.
        await Timer(HALF_PS, "ps")
        start_clock(dut.clk, HALF_PS)
        found = cls(dut)
        await Timer(10 * HALF_PS, "ps")
        return found

    def pause(self, random: np.random.Generator, share: float) -> None:
        """Pause every channel in a share of the clocks."""
        writes, reads = self.slave.write_if, self.slave.read_if
        channels = (
            writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel,
            reads.r_channel,
        )  # fmt: skip
        for channel in channels:
            channel.set_pause_generator(pauses(random, share))


def _addresses(random: np.random.Generator, count: int, end: int = REFUSED) -> list[int]:
    return [4 * int(place) for place in random.integers(0, end, count)]


@cocotb.test()
async def random_batches(dut: object) -> None:
    """Writes, reads and waits arrive in order, in batches and alone, whatever pauses there are."""
    random = benches.generator()
    player = await _Player.start(dut)
    model, port = player.words, player.port
    expected: list[tuple[bool, int, int]] = []
    known = dict(model.words)

    async def access() -> None:
        match int(random.integers(4)):
            case 0:
                address, word = _addresses(random, 1)[0], int(random.integers(1 << 32))
                assert await port.write(address, word) == OKAY
                expected.append((True, address, word))
                known[address] = word
            case 1:
                count = int(random.integers(1, 6))
                first, step = 4 * int(random.integers(8, 24)), int(random.choice([-4, 0, 4]))
                words = random.integers(1 << 32, size=count).tolist()
                assert await port.write_words(first, words, step) == OKAY
                for at, word in enumerate(words):
                    expected.append((True, first + at * step, word))
                    known[first + at * step] = word
            case 2:
                addresses = _addresses(random, int(random.integers(1, 6)), WORDS)
                words = [known[address] for address in addresses]
                assert await port.read_all(addresses) == (words, OKAY)
                expected.extend((False, *each) for each in zip(addresses, words, strict=True))
            case 3:
                address, bits = _addresses(random, 1)[0], int(random.integers(1, 1 << 32))
                if known[address] & bits:
                    return
                assert await port.until_clear(address, bits, 3) == (True, OKAY)
                expected.append((False, address, known[address]))

    for _ in range(benches.current()["rounds"]):
        player.pause(random, float(random.choice([0, 0.3, 0.8])))
        if random.random() < 0.3:
            await access()
            continue
        async with port.batch():
            for _ in range(int(random.integers(8))):
                async with port.batch():
                    await access()
    assert model.log == expected


@cocotb.test()
async def full_rate(dut: object) -> None:
    """An access begins in the clock after the response to the one before."""
    player = await _Player.start(dut)
    beats: list[str] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            for channel in ("aw", "b"):
                valid = getattr(dut, f"m_axil_{channel}valid").value
                if int(valid) and int(getattr(dut, f"m_axil_{channel}ready").value):
                    beats.append(channel)
                    break
            else:
                beats.append("")

    task = cocotb.start_soon(watch())
    assert await player.port.write_words(0, range(20)) == OKAY
    task.cancel()
    busy = "".join(each or "-" for each in beats).strip("-").removeprefix("aw")
    gaps = [between.split("b")[1] for between in busy.split("aw")[:-1]]
    assert len(gaps) == 19 and set(gaps) == {""}, busy


@cocotb.test()
async def waits_until_bits_are_clear(dut: object) -> None:
    """A wait reads again while a bit is 1, as often as it may, and not once more."""
    player = await _Player.start(dut)
    model, port = player.words, player.port
    model.words[8], model.countdown[8] = 6, 5
    assert await port.until_clear(8, 2, 10) == (True, OKAY)
    assert len(model.log) == 5
    model.words[8] = 6
    assert await port.until_clear(8, 1, 1) == (True, OKAY)
    assert await port.until_clear(8, 4, 7) == (False, OKAY)
    assert len(model.log) == 5 + 1 + 7
    try:
        async with port.batch():
            assert await port.until_clear(8, 4, 3) == (True, OKAY)
            await port.write(0, 1)
    except UserError as error:
        assert str(error) == (
            "chip: address 0x8: bits 0x4: got 1 in 3 reads, expected 0 by then"
        ), error
    else:
        raise AssertionError("the wait has ended")
    assert model.words[0] == 0


@cocotb.test()
async def a_refused_access_ends_a_play(dut: object) -> None:
    """Alone, the response is the caller's; in a batch, the error has address and word."""
    player = await _Player.start(dut)
    model, port = player.words, player.port
    refused = 4 * REFUSED
    assert await port.write(refused, 1) == SLVERR
    assert await port.write_words(refused - 4, [1, 2, 3]) == SLVERR
    assert await port.read(4 * WORDS) == (0, SLVERR)
    assert await port.read_words(4 * WORDS - 8, 4) == ([0, 0], SLVERR)
    assert await port.until_clear(4 * WORDS, 1, 3) == (False, SLVERR)
    model.log.clear()
    for access, words in (
        (port.write(refused, 0xAB), f"0x{refused:x} <- 0xab"),
        (port.until_clear(4 * WORDS, 1, 3), f"reading address 0x{4 * WORDS:x}"),
    ):
        try:
            async with port.batch():
                assert await port.write(0, 5) == OKAY
                await access
                assert await port.write(0, 6) == OKAY
        except UserError as error:
            assert words in str(error) and f"got {SLVERR}" in str(error), error
        else:
            raise AssertionError(f"no error of {words}")
        assert model.words[0] == 5
    # What a failed block has collected is forgotten.
    try:
        async with port.batch():
            await port.write(0, 7)
            raise KeyError
    except KeyError:
        pass
    assert await port.read(0) == (5, OKAY)


@cocotb.test()
async def a_silent_port_is_reported(dut: object) -> None:
    """Without an answer a play ends, and the access is named."""
    player = await _Player.start(dut)
    player.slave.write_if.b_channel.pause = True
    try:
        await player.port.write(4, 9)
    except AssertionError as error:
        assert "w 4 9" in str(error), error
    else:
        raise AssertionError("the play has ended")
