"""A whole chip as a host sees it, registers and packets, computed by the golden model.

The first packet turns the written registers back into a program (`golden.register_program`). There
is no time in this model, so the chip is never busy. Status, identity and the state of the GDPU's
slices read as they are; configuration reads as written, and counters read 0.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import Machine
from caduceus.golden.register_program import program_of
from caduceus.golden.written import WrittenSlice, WrittenTile
from caduceus.spec import pcm_state, registers
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import LstmState
from caduceus.spec.host_port import OKAY, SLVERR, HostPort
from caduceus.spec.packets import framed, unframed
from caduceus.spec.program import HostStream, Program
from caduceus.spec.streams import trace


class RegisterChip(HostPort):
    """The chip. Unused bits of a register are ignored, and no value is out of range."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._forget()

    def _forget(self) -> None:
        chip = self._chip
        self._tiles = [WrittenTile(chip) for _ in range(chip.tiles)]
        self._slices = [WrittenSlice(chip) for _ in range(chip.gdpu.slices)]
        self._left = 0  # steps of the sequence
        self._open = [b""] * len(chip.host.inputs)
        self._came: dict[tuple[int, int], deque[bytes]] = {}
        self._out: list[deque[bytes]] = [deque() for _ in chip.host.outputs]
        self._program: Program | None = None
        self._vectors = 0

    async def reset(self) -> None:
        """Forget everything."""
        self._forget()

    async def write(self, address: int, value: int) -> int:
        """Write a register, of all tiles in the broadcast window."""
        space, place = divmod(address, registers.TILE_SPACE)
        if space < self._chip.tiles:
            done = self._write_tile(self._tiles[space], place, value)
        elif space == self._chip.tiles:
            done = all([self._write_tile(tile, place, value) for tile in self._tiles])
        else:
            part = self._slice(space)
            done = part is not None and self._write_slice(part, place, value)
        return OKAY if done else SLVERR

    def _slice(self, space: int) -> WrittenSlice | None:
        """The slice whose registers are in a space of the chip's addresses, if there is one."""
        number = space - registers.slice_space(self._chip.tiles, 0)
        return self._slices[number] if 0 <= number < len(self._slices) else None

    def _write_tile(self, tile: WrittenTile, place: int, value: int) -> bool:
        self._program = None
        name = tile.name(place)
        if name == "STATE_FIRST":
            tile.words = [value]
        elif name == "STATE_NEXT":
            tile.words.append(value)
        elif name == "STATE_SELECT":
            if value != pcm_state.WRITTEN:
                return False
            tile.image, self._vectors = np.array(tile.words, np.uint32), 0
        else:
            return tile.write(place, value)
        return True

    def _write_slice(self, part: WrittenSlice, place: int, value: int) -> bool:
        done, name = part.write(place, value), part.name(place)
        if done and name is not None:  # a state is no part of the program
            self._program = None
        if done and name == "CONTROL":
            if part.get(name, "clear"):
                part.hidden[:], part.cell[:] = 0, 0
            if part.get(name, "start"):
                self._left = part.get("LENGTH")
        return done

    async def read(self, address: int) -> tuple[int, int]:
        """Read a register."""
        space, place = divmod(address, registers.TILE_SPACE)
        part = self._tiles[space] if space < self._chip.tiles else self._slice(space)
        value = None if part is None else part.read(place)
        return (0, SLVERR) if value is None else (value, OKAY)

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Take everything; compute vectors whose last packet has come."""
        self._open[port] += data
        if last:
            packet, self._open[port] = self._open[port], b""
            stream, payload = unframed(packet, self._chip.link.units)
            self._came.setdefault((port, stream), deque()).append(payload)
            self._compute()
        return len(data)

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Return bytes of the first packet that waits."""
        if not self._out[port]:
            return b"", False
        first = self._out[port].popleft()
        if len(first) > most:
            self._out[port].appendleft(first[most:])
        return first[:most], len(first) <= most

    def _compute(self) -> None:
        """Compute the vectors whose packets are all there."""
        waiting = {len(packets) for packets in self._came.values()}
        if len(waiting) != 1 or 0 in waiting:
            return
        if self._program is None or len(self._program.inputs) != len(self._came):
            inputs, start = [], 0
            for (port, stream), packets in self._came.items():
                inputs.append(HostStream(port, stream, start, len(packets[0])))
                start += len(packets[0])
            program, state = program_of(self._chip, self._tiles, self._slices, tuple(inputs))
            try:
                trace(program, self._chip)
            except UserError:
                return  # a stream is still missing
            self._program, self._machine = program, Machine(program, self._chip, state)
        program = self._program
        (count,) = waiting
        if count % program.input_pixels:
            return
        x = np.concatenate([np.stack(each) for each in self._came.values()], axis=1)
        for each in self._came.values():
            each.clear()
        self._send_out(self._run(program, x))

    def _run(self, program: Program, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Output vectors of input vectors, int8 [n, output_length]."""
        first = self._vectors
        self._vectors += len(x)
        if not program.slices:
            images = x.reshape(-1, program.input_pixels, program.input_length)
            found = self._machine.run(images, first=first // program.input_pixels)
            return found.outputs.reshape(-1, program.output_length)
        parts = [(self._slices[each.slice], each.config.units) for each in program.slices]
        hidden = np.concatenate([part.hidden[:count] for part, count in parts])
        cell = np.concatenate([part.cell[:count] for part, count in parts])
        before = LstmState(hidden[np.newaxis], cell[np.newaxis])
        found = self._machine.run(x[np.newaxis], initial=before, first=first)
        start = 0
        for part, count in parts:
            part.hidden[:count] = found.state.hidden[0, start : start + count]
            part.cell[:count] = found.state.cell[0, start : start + count]
            start += count
        return found.outputs[0]

    def _send_out(self, outputs: NDArray[np.int8]) -> None:
        """Queue the packets of output vectors for the host."""
        program, units = self._program, self._chip.link.units
        last = {each.stream: each.last for each in program.slices}
        for vector in outputs:
            self._left -= bool(program.slices)
            for part in program.outputs:
                ends = bool(program.slices) and self._left == 0
                stream = last.get(part.stream, part.stream) if ends else part.stream
                payload = vector[part.start : part.start + part.length]
                self._out[part.port].append(framed(stream, payload, units).tobytes())
