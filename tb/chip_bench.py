"""A chip with the models of cocotbext-axi around it, and its stimulus."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiStreamFrame
from cocotbext.axi.axil_channels import (
    AxiLiteARTransaction,
    AxiLiteAWTransaction,
    AxiLiteWTransaction,
)
from numpy.typing import NDArray

from caduceus.golden import machine
from caduceus.host.chip import ChipHost
from caduceus.sim.axi_chip import AxiChip
from caduceus.sim.scoreboard import Agreement, compare
from caduceus.spec import fabric, pcm_state, registers
from caduceus.spec.chip import Chip
from caduceus.spec.host_packets import OutputVectors, entering
from caduceus.spec.host_port import OKAY
from caduceus.spec.packets import framed, unframed
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from tb.chip_designs import STATES
from tb.tile_bench import pauses

PATIENCE = (300, "us")
"""Simulated time before a missing packet is an error."""
SLEEP_CLOCKS = 400
"""Clocks without packets after which a chip must be asleep."""


def write_states(program: Program, state: PcmState, folder: Path = STATES) -> None:
    """Write the state of every computing tile to the file from which `ChipHost.load` loads it."""
    folder.mkdir(exist_ok=True)
    for index, tile in enumerate(computing(program)):
        pcm_state.write_hex(state, index, folder / f"state_{tile.tile}.hex")


async def load_program(
    host: ChipHost, program: Program, state: PcmState, by_words: bool = False
) -> None:
    """Load program and devices: the devices from state files, or over their registers."""
    if not by_words:
        write_states(program, state)
    await host.load(program, state if by_words else None)


@dataclass(frozen=True)
class Work:
    """A program, the devices of its computing tiles, and input vectors, int8 [n, input_length]."""

    program: Program
    state: PcmState
    x: NDArray[np.int8]

    def expected(self, chip: Chip, first_read: int = 0) -> NDArray[np.int8]:
        """Output vectors of the golden model, int8 [n, output_length]."""
        return machine.run(self.program, chip, self.state, self.x, first=first_read).outputs[:, 0]


class ChipBench(AxiChip):
    """The chip and its models, with packet drivers and golden checks."""

    def set_pauses(self, random: np.random.Generator, shares: tuple[float, ...]) -> None:
        """Pause every stream in a share of the clocks, each drawn from `shares`."""
        for model in (*self.inputs, *self.outputs):
            model.set_pause_generator(pauses(random, float(random.choice(shares))))

    async def load(self, work: Work) -> None:
        """Configure the chip."""
        write_states(work.program, work.state)
        await self.host.load(work.program)

    def send(self, work: Work, ports: Collection[int] | None = None) -> None:
        """Queue the packets of all input vectors, on all host inputs or the given ones."""
        for port, packet in entering(work.program, work.x, self.chip.link.units):
            if ports is None or port in ports:
                self.inputs[port].send_nowait(AxiStreamFrame(packet.tobytes()))

    def send_packet(self, port: int, stream: int, payload: NDArray[np.int8]) -> None:
        """Queue one packet."""
        packet = framed(stream, payload.astype(np.int8), self.chip.link.units)
        self.inputs[port].send_nowait(AxiStreamFrame(packet.tobytes()))

    async def receive(self, work: Work, ports: Collection[int] | None = None) -> NDArray[np.int8]:
        """The output vectors, int8 [n, output_length]; checks stream and length of every packet.

        With `ports`, packets of other host outputs are left alone, and their outputs are 0.
        """
        result = OutputVectors(work.program, len(work.x), self.chip.link.units)
        for port in range(len(self.outputs)) if ports is None else ports:
            parts = sum(part.port == port for part in work.program.outputs)
            for _ in range(len(work.x) * parts):
                result.take(port, await self._receive_frame(port))
        return result.vectors

    async def _receive_frame(self, port: int) -> bytes:
        frame = await with_timeout(self.outputs[port].recv(), *PATIENCE)
        return bytes(frame.tdata)

    async def receive_packet(self, port: int) -> tuple[int, NDArray[np.int8]]:
        """The next packet of a host output: its stream, and its payload."""
        stream, payload = unframed(await self._receive_frame(port), self.chip.link.units)
        assert len(payload), f"host output {port}: a packet of stream {stream} without payload"
        return stream, payload

    async def run(self, work: Work) -> NDArray[np.int8]:
        """Load, send and receive."""
        await self.load(work)
        self.send(work)
        return await self.receive(work)

    async def check(self, work: Work, name: str) -> Agreement:
        """Run, and check every output against the golden model.

        Raises:
            Mismatch: a value differs; the message names `name`, vector and output.
        """
        return compare(work.expected(self.chip), await self.run(work), place(name))

    async def access(self, address: int, value: int | None = None) -> int:
        """Write, or without `value` read, exactly this address; returns the response.

        The model itself splits an unaligned access into words.
        """
        if value is None:
            channels = self.master.read_if
            ask, answer = channels.ar_channel, channels.r_channel
            await ask.send(AxiLiteARTransaction(araddr=address, arprot=0))
        else:
            channels = self.master.write_if
            ask, answer = channels.aw_channel, channels.b_channel
            await ask.send(AxiLiteAWTransaction(awaddr=address, awprot=0))
            await channels.w_channel.send(AxiLiteWTransaction(wdata=value, wstrb=0xF))
        response = await answer.recv()
        return int(response.bresp if value is not None else response.rresp)

    async def route(self, tile: int, stream: int, sink: str, length: int) -> None:
        """Have a tile accept `length` bytes of the packets of a stream."""
        entry = registers.ROUTE_TABLE.address(stream)
        mask = 1 << fabric.sinks(self.chip).index(sink)
        for at, value in ((entry + 4, registers.route_word(0, length, 0)), (entry, mask)):
            assert await self.host.tiles[tile].port.write(at, value) == OKAY

    async def until_asleep(self) -> None:
        """Wait until no tile is awake."""
        for _ in range(SLEEP_CLOCKS):
            if not int(self.dut.awake.value):
                return
            await ClockCycles(self.dut.aclk, 1)
        raise AssertionError(f"tiles {int(self.dut.awake.value):#b} stay awake")

    async def watch_awake(self, seen: set[int]) -> None:
        """Collect every waking tile in `seen`, forever."""
        while True:
            await RisingEdge(self.dut.aclk)
            awake = int(self.dut.awake.value)
            seen |= {tile for tile in range(self.chip.tiles) if awake >> tile & 1}


def place(name: str) -> Callable[[tuple[int, ...]], str]:
    """Place of an index of output vectors, for `compare`."""

    def describe(index: tuple[int, ...]) -> str:
        return f"{name}, vector {index[0]}" + (f", output {index[1]}" if len(index) > 1 else "")

    return describe
