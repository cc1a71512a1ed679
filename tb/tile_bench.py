"""A tile behind AXI with the models of cocotbext-axi around it, and random stimulus for it."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntFlag
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Event, RisingEdge, Timer, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from numpy.typing import DTypeLike, NDArray

from caduceus.golden.fast.tile import Tile
from caduceus.host.tile import TileHost
from caduceus.sim.cocotbext_port import CocotbextPort
from caduceus.sim.scoreboard import Agreement, With, compare, named
from caduceus.sim.tile_host import RESET_NS, reset, start_clock
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PARTS
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import InputPart, TileConfig

STATES = Path("states")
FLIP_BITS = {
    "codes": formats.DEVICE_BITS,
    "gain_p": formats.GAIN_BITS,
    "gain_n": formats.GAIN_BITS,
    "offset_p": formats.OFFSET_BITS,
    "offset_n": formats.OFFSET_BITS,
    "noise": formats.NOISE_BITS,
}
"""Fields of a state, with their numbers of significant bits."""
PATIENCE = (5, "ms")
"""Simulated time before a missing result is an error."""


@dataclass(frozen=True)
class Work:
    """A configuration, a state, and vectors for a tile."""

    config: TileConfig
    state: PcmState
    x: NDArray[np.int8]
    rx: NDArray[np.int8] | NDArray[np.uint16] | None

    def expected(self, chip: Chip, first_read: int = 0) -> NDArray:
        """Results of the golden model."""
        return Tile(chip, self.state).run(self.config, self.x, self.rx, first_read)


def random_config(
    random: np.random.Generator, chip: Chip, mode: ReadMode, relu_1: bool, relu_2: bool, rx: bool
) -> TileConfig:
    """Random sizes, and constants that put most results inside INT8."""
    rows = int(random.integers(1, chip.array.rows + 1))
    columns = int(random.integers(1, chip.array.columns + 1))
    constants = np.stack(
        [
            random.uniform(0.7, 1.3, columns),  # gain_p
            random.uniform(0.7, 1.3, columns),  # gain_n
            random.normal(0, 20, columns),  # offset
            random.uniform(-0.6, 0.6, columns),  # scale
            random.normal(0, 30, columns),  # bias
        ],
        axis=1,
    )
    scale = np.float16(random.uniform(-1.5, 1.5)).view(np.uint16)
    bits = constants.astype(np.float16).view(np.uint16)
    return TileConfig(mode, rows, columns, bits, relu_1, relu_2, rx, int(scale))


def with_binary16(random: np.random.Generator, chip: Chip, config: TileConfig) -> TileConfig:
    """Make RX values, results or both binary16 at random, if the chip has it."""
    chosen = (random.random(2) < 0.5) & (chip.link.partial_sums == "binary16")
    return replace(config, rx_binary16=bool(chosen[0]), tx_binary16=bool(chosen[1]))


def random_state(random: np.random.Generator, chip: Chip) -> PcmState:
    """Random devices, gains, offsets, noise and seed."""
    rows, columns = chip.array.rows, chip.array.columns
    # Low enough that few conversions saturate in the largest arrays.
    top = int(min(formats.DEVICE_MAX, 40_000 // rows))
    gain = (1, columns)
    return PcmState(
        chip=chip.name,
        seed=int(random.integers(0, 1 << 64, dtype=np.uint64)),
        codes=random.integers(0, top + 1, (1, rows, columns, 4), dtype=np.uint8),
        gain_p=(chip.nominal_gain * random.uniform(0.8, 1.2, gain)).astype(np.uint32),
        gain_n=(chip.nominal_gain * random.uniform(0.8, 1.2, gain)).astype(np.uint32),
        offset_p=random.integers(-2000, 2000, gain, dtype=np.int16),
        offset_n=random.integers(-2000, 2000, gain, dtype=np.int16),
        noise=random.integers(0, 600, gain, dtype=np.uint16),
    )


def random_work(random: np.random.Generator, chip: Chip, config: TileConfig, vectors: int) -> Work:
    """Random devices and vectors for `config`; cover every INT8 value, -128 included."""
    x = random.integers(-128, 128, (vectors, config.rows), dtype=np.int8)
    rx = random.integers(-128, 128, (vectors, config.columns), dtype=np.int8)
    if config.rx_binary16:
        rx = (rx * random.uniform(0, 2)).astype(np.float16).view(np.uint16)
    state = random_state(random, chip)
    return Work(config, state, x, rx if config.rx_enable else None)


def with_parts(random: np.random.Generator, chip: Chip, work: Work) -> Work:
    """The work with input vectors in several parts, if there are groups of rows for two.

    Rows in no part are 0.
    """
    units = chip.link.units
    groups = -(-work.config.rows // units)
    if groups < 2:
        return work
    count = int(random.integers(2, min(PARTS, groups) + 1))
    cuts = np.sort(random.choice(np.arange(1, groups), count - 1, replace=False)) * units
    parts, x = [], np.zeros_like(work.x)
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), work.config.rows], strict=True):
        length = int(random.integers(1, end - start + 1))
        parts.append(InputPart(start, length))
        x[:, start : start + length] = work.x[:, start : start + length]
    shuffled = tuple(parts[index] for index in random.permutation(count))
    return replace(work, config=replace(work.config, parts=shuffled), x=x)


def parts_in_some_order(
    random: np.random.Generator, parts: int, vectors: int
) -> Iterator[tuple[int, int]]:
    """Vector and part number of packets; parts of the next vector may precede the last of this."""
    sent = np.zeros(parts, dtype=int)
    while sent.min() < vectors:
        may = np.flatnonzero((sent < vectors) & (sent < sent.min() + 2))
        part = int(random.choice(may))
        yield int(sent[part]), part
        sent[part] += 1


def pauses(random: np.random.Generator, share: float) -> Iterator[bool]:
    """Endless on/off decisions for a stream model: paused in about `share` of the clocks."""
    return (bool(random.random() < share) for _ in itertools.repeat(None))


class TileBench:
    """The tile, its clocks, its host and its streams.

    Attributes:
        states: number of loaded states, and so the number of the last one.
    """

    def __init__(self, dut: object, chip: Chip, by_words: bool = False) -> None:
        """Put models around `dut`; with `by_words`, states are written over its registers."""
        self.dut, self.chip, self._by_words = dut, chip, by_words
        axi = AxiLiteBus.from_prefix(dut, "s_axil")
        low = {"reset": dut.aresetn, "reset_active_level": False}
        self.host = TileHost(CocotbextPort(AxiLiteMaster(axi, dut.aclk, **low)), chip)
        self.input = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **low)
        self.rx = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_rx"), dut.aclk, **low)
        self.output = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **low)
        for logger in (
            dut._log.getChild(name) for name in ("s_axil", "s_axis", "s_axis_rx", "m_axis")
        ):
            logger.setLevel(logging.WARNING)
        self.states = 0
        STATES.mkdir(exist_ok=True)

    @classmethod
    async def start(
        cls, dut: object, chip: Chip, sync_half_ps: int, mvm_half_ps: int, by_words: bool = False
    ) -> "TileBench":
        """Start the clocks and reset the tile; `by_words` as for the constructor."""
        start_clock(dut.aclk, sync_half_ps)
        start_clock(dut.mvm_clk, mvm_half_ps)
        # The models sample the tile's outputs from the first clock on, and in Icarus they are X
        # before a reset.
        dut.aresetn.value = 0
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
        for name in ("s_axis_tvalid", "s_axis_rx_tvalid", "m_axis_tready"):
            getattr(dut, name).value = 0
        await Timer(RESET_NS, "ns")
        bench = cls(dut, chip, by_words)
        await reset(dut)
        return bench

    async def load(self, state: PcmState) -> None:
        """Load the state, from a file or word by word."""
        self.states += 1
        if self._by_words:
            await self.host.write_state(state, 0)
            return
        pcm_state.write_hex(state, 0, STATES / f"state_{self.states}.hex")
        await self.host.load_state(self.states)

    async def prepare(self, work: Work) -> None:
        """Load the state, configure the tile."""
        await self.load(work.state)
        await self.host.configure(work.config)

    async def prepare_plain(
        self, random: np.random.Generator, mode: ReadMode, vectors: int
    ) -> Work:
        """Draw a configuration of plain results, and that many vectors for it; prepare the tile."""
        config = random_config(random, self.chip, mode, False, False, False)
        work = random_work(random, self.chip, config, vectors)
        await self.prepare(work)
        return work

    def send(self, work: Work, random: np.random.Generator | None = None) -> None:
        """Queue the work's vectors on the streams; parts in `random` order."""
        parts = work.config.input_parts
        order: Iterable[tuple[int, int]] = ((vector, 0) for vector in range(len(work.x)))
        if len(parts) > 1:
            order = parts_in_some_order(random, len(parts), len(work.x))
        for vector, number in order:
            part = parts[number]
            values = work.x[vector, part.start : part.start + part.length]
            self.input.send_nowait(AxiStreamFrame(values.tobytes(), tuser=number))
        if work.rx is not None:
            for vector in work.rx:
                self.rx.send_nowait(AxiStreamFrame(vector.tobytes()))

    async def receive(self, vectors: int, columns: int, kind: DTypeLike = np.int8) -> NDArray:
        """The next result vectors; each must be a packet of the right length."""
        results = np.empty((vectors, columns), dtype=kind)
        for vector in range(vectors):
            frame = await with_timeout(self.output.recv(), *PATIENCE)
            got, wanted = bytes(frame.tdata), results[vector].nbytes
            assert len(got) == wanted, f"vector {vector} has {len(got)} bytes, not {wanted}"
            results[vector] = np.frombuffer(got, dtype=results.dtype.newbyteorder("<"))
        return results

    async def run(self, work: Work, random: np.random.Generator | None = None) -> NDArray[np.int8]:
        """Prepare, send and receive; `random` as of `send`."""
        await self.prepare(work)
        self.send(work, random)
        kind = np.uint16 if work.config.tx_binary16 else np.int8
        return await self.receive(len(work.x), work.config.columns, kind)

    async def check(
        self, work: Work, name: str, random: np.random.Generator | None = None
    ) -> Agreement:
        """Run, and check every value against the golden model; `random` as of `send`.

        Raises:
            Mismatch: a value differs; the message names `name`, vector and column.
        """
        got = await self.run(work, random)
        return compare(work.expected(self.chip), got, place(name, work.config))

    async def errors(self) -> IntFlag:
        """Read and clear the sticky errors."""
        errors = await self.host.error()
        await self.host.write("ERROR", errors)
        return errors


def place(name: str, config: TileConfig | None = None) -> Callable[[tuple[int, ...]], object]:
    """Vector and column of an index of result vectors, and the configuration, for `compare`."""

    def describe(index: tuple[int, ...]) -> object:
        text = f"{name}, vector {index[0]}" + (f", column {index[1]}" if index[1:] else "")
        return With(text, _named(config, index[1])) if config and index[1:] else text

    return describe


def _named(config: TileConfig, column: int) -> str:
    """Flags of a configuration and constants of a column, by name."""
    flags = ("rows", "columns", "relu_1", "relu_2", "rx_enable", "rx_binary16", "tx_binary16")
    constants = {
        constant.name: f"{bits:#06x}"
        for constant, bits in zip(
            formats.COLUMN_CONSTANTS, config.constants[column].tolist(), strict=True
        )
    }
    return named(
        read_mode=config.read_mode, **{name: getattr(config, name) for name in flags},
        rx_scale=f"{config.rx_scale:#06x}", **constants,
    )  # fmt: skip


def flipped(array: NDArray, index: tuple[int, ...], bit: int) -> NDArray:
    """A copy of an integer array with one bit of one element inverted."""
    copy = array.copy()
    unsigned = copy.view(f"u{copy.dtype.itemsize}")
    unsigned[index] ^= unsigned.dtype.type(1 << bit)
    return copy


def with_flip(random: np.random.Generator, work: Work, where: str) -> Work:
    """`work` with a random bit inverted in the state, the constants or the vectors."""

    def altered(array: NDArray, bits: int) -> NDArray:
        index = tuple(int(random.integers(size)) for size in array.shape)
        return flipped(array, index, int(random.integers(bits)))

    if where == "activation":
        return replace(work, x=altered(work.x, formats.ACTIVATION_BITS))
    if where == "constant":
        constants = altered(work.config.constants, formats.FP16_BITS)
        return replace(work, config=replace(work.config, constants=constants))
    array = altered(getattr(work.state, where), FLIP_BITS[where])
    return replace(work, state=replace(work.state, **{where: array}))


async def time_packets(dut: object, packets: int, times: list[int], done: Event) -> None:
    """Record the time, in ps, at which each of `packets` result vectors leaves the tile."""
    while len(times) < packets:
        await RisingEdge(dut.aclk)
        beat = dut.m_axis_tvalid, dut.m_axis_tready, dut.m_axis_tlast
        if all(int(signal.value) for signal in beat):
            times.append(int(get_sim_time("ps")))
    done.set()


def watch_packets(dut: object, packets: int) -> tuple[list[int], Event]:
    """Start `time_packets`; the list fills until the event is set."""
    times: list[int] = []
    done = Event()
    cocotb.start_soon(time_packets(dut, packets, times, done))
    return times, done
