"""A whole chip behind its registers and packets: what a driver meets, computed by the golden model.

What was written is put together again to a program (`golden.register_program`) when the first
packet comes. A chip without time is never busy. Of what can be read, status, identity and the
state of the GDPU's slices are true; configuration is as it was written, and counters are 0.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import Machine
from caduceus.golden.register_program import Written, program_of
from caduceus.spec import fabric, formats, gdpu_registers, pcm_state, registers
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import LstmState
from caduceus.spec.host_port import OKAY, SLVERR, HostPort
from caduceus.spec.packets import framed, unframed
from caduceus.spec.program import HostStream, Program
from caduceus.spec.streams import trace

_CLEAR, _START = (gdpu_registers.BY_NAME["CONTROL"].field(n).low for n in ("clear", "start"))


def _registers_at(table: dict) -> dict[int, str]:
    return {register.address: register.name for register in table.values()}


class RegisterChip(HostPort):
    """The chip. Bits of a register are not looked at, and nothing is out of range."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._tile_names = _registers_at(registers.BY_NAME)
        self._slice_names = _registers_at(gdpu_registers.BY_NAME)
        self._forget()

    def _forget(self) -> None:
        chip = self._chip
        self._tiles = [Written(registers.BY_NAME) for _ in range(chip.tiles)]
        self._slices = [Written(gdpu_registers.BY_NAME) for _ in range(chip.gdpu.slices)]
        self._hidden = np.zeros((chip.gdpu.slices, chip.gdpu.units), np.int8)
        self._cell = np.zeros((chip.gdpu.slices, chip.gdpu.units), np.uint16)
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
        tiles, slices = self._chip.tiles, self._chip.gdpu.slices
        if space <= tiles:
            wanted = self._tiles if space == tiles else [self._tiles[space]]
            return max(self._write_tile(tile, place, value) for tile in wanted)
        number = space - registers.slice_space(tiles, 0)
        return self._write_slice(number, place, value) if number < slices else SLVERR

    def _write_tile(self, tile: Written, place: int, value: int) -> int:
        self._program = None
        name = self._tile_names.get(place)
        if name == "STATE_FIRST":
            tile.words = [value]
        elif name == "STATE_NEXT":
            tile.words.append(value)
        elif name == "STATE_SELECT":
            if value != pcm_state.WRITTEN:
                return SLVERR
            tile.image, self._vectors = np.array(tile.words, np.uint32), 0
        elif name is not None:
            if registers.BY_NAME[name].access == "ro":
                return SLVERR
            tile.values[name] = value
        elif self._is_table(place):
            tile.tables[place] = value
        else:
            return SLVERR
        return OKAY

    def _is_table(self, place: int) -> bool:
        """Whether there is a word of a table of a tile at an address."""
        columns = self._chip.array.columns
        tables = (
            (registers.PART_BASE, registers.PART_STRIDE, fabric.PARTS, 1),
            (registers.COLUMN_BASE, registers.COLUMN_STRIDE, columns,
             len(formats.COLUMN_CONSTANTS)),
            (registers.ROUTE_BASE, registers.ROUTE_STRIDE, fabric.STREAMS, 2),
        )  # fmt: skip
        for base, stride, count, words in tables:
            entry, offset = divmod(place - base, stride)
            if 0 <= entry < count and offset % 4 == 0 and offset < 4 * words:
                return True
        return False

    def _write_slice(self, number: int, place: int, value: int) -> int:
        found = self._state_at(number, place)
        if found is not None:
            array, unit = found
            array[unit] = np.array(value).astype(array.dtype)
            return OKAY
        name = self._slice_names.get(place)
        if name is None or gdpu_registers.BY_NAME[name].access == "ro":
            return SLVERR
        self._program = None
        self._slices[number].values[name] = value
        if name == "CONTROL" and value >> _CLEAR & 1:
            self._hidden[number], self._cell[number] = 0, 0
        if name == "CONTROL" and value >> _START & 1:
            self._left = self._slices[number].values["LENGTH"]
        return OKAY

    def _state_at(self, number: int, place: int) -> tuple[NDArray, int] | None:
        """A slice's state at an address: the array, and which unit."""
        for base, array in (
            (gdpu_registers.HIDDEN_BASE, self._hidden), (gdpu_registers.CELL_BASE, self._cell)
        ):  # fmt: skip
            unit, offset = divmod(place - base, gdpu_registers.STATE_STRIDE)
            if 0 <= unit < self._chip.gdpu.units and not offset:
                return array[number], unit
        return None

    async def read(self, address: int) -> tuple[int, int]:
        """Read a register."""
        space, place = divmod(address, registers.TILE_SPACE)
        tiles = self._chip.tiles
        if space < tiles:
            return self._read_one(self._tiles[space], self._tile_names, place)
        number = space - registers.slice_space(tiles, 0)
        if not 0 <= number < self._chip.gdpu.slices:
            return 0, SLVERR
        found = self._state_at(number, place)
        if found is not None:
            array, unit = found
            return int(array[unit]) % (1 << 32), OKAY
        return self._read_one(self._slices[number], self._slice_names, place)

    def _read_one(self, part: Written, names: dict[int, str], place: int) -> tuple[int, int]:
        if place in names:
            return part.values[names[place]], OKAY
        return (part.tables.get(place, 0), OKAY) if self._is_table(place) else (0, SLVERR)

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Take everything; a packet that makes vectors complete has them computed."""
        self._open[port] += data
        if last:
            packet, self._open[port] = self._open[port], b""
            stream, payload = unframed(packet, self._chip.link.units)
            self._came.setdefault((port, stream), deque()).append(payload)
            self._compute()
        return len(data)

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Give of the first packet that waits."""
        if not self._out[port]:
            return b"", False
        first = self._out[port].popleft()
        if len(first) > most:
            self._out[port].appendleft(first[most:])
        return first[:most], len(first) <= most

    def _compute(self) -> None:
        """Compute the vectors of which every packet is there."""
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
                return  # a stream is missing as yet
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
        units = [(each.slice, each.config.units) for each in program.slices]
        before = LstmState(
            *(
                np.concatenate([array[number, :count] for number, count in units])[np.newaxis]
                for array in (self._hidden, self._cell)
            )
        )
        found = self._machine.run(x[np.newaxis], initial=before, first=first)
        start = 0
        for number, count in units:
            self._hidden[number, :count] = found.state.hidden[0, start : start + count]
            self._cell[number, :count] = found.state.cell[0, start : start + count]
            start += count
        return found.outputs[0]

    def _send_out(self, outputs: NDArray[np.int8]) -> None:
        """Have the packets of output vectors leave."""
        program, units = self._program, self._chip.link.units
        last = {each.stream: each.last for each in program.slices}
        for vector in outputs:
            self._left -= bool(program.slices)
            for part in program.outputs:
                ends = bool(program.slices) and self._left == 0
                stream = last.get(part.stream, part.stream) if ends else part.stream
                payload = vector[part.start : part.start + part.length]
                self._out[part.port].append(framed(stream, payload, units).tobytes())
