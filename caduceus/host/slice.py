"""A host's calls to the registers of a GDPU slice, over any port that reads and writes words."""

import numpy as np
from numpy.typing import NDArray

from caduceus.host.access import RegisterHost
from caduceus.spec import gdpu_registers as registers
from caduceus.spec.fabric import NORTH, SOUTH
from caduceus.spec.gdpu import GATES
from caduceus.spec.host_port import RegisterPort
from caduceus.spec.program import SliceProgram

_CLEAR, _START = (registers.BY_NAME["CONTROL"].field(name).low for name in ("clear", "start"))
_BYTE = 0xFF


class SliceHost(RegisterHost):
    """The calls of a GDPU slice's host; each checks its response."""

    def __init__(self, port: RegisterPort) -> None:
        super().__init__(port, registers.BY_NAME, registers.Error, "a GDPU slice")

    async def configure(self, program: SliceProgram) -> None:
        """Configure the slice for `program`; in effect when a sequence begins."""
        config = program.config
        mode = registers.BY_NAME["MODE"]
        sides = {NORTH: "north", SOUTH: "south"}
        await self.write("MODE", sum(1 << mode.field(sides[side]).low for side in program.sides))
        await self.write("UNITS", config.units)
        streams = registers.BY_NAME["STREAMS"]
        await self.write(
            "STREAMS",
            sum(
                getattr(program, key) << streams.field(key).low
                for key in ("first", "stream", "last")
            ),
        )
        for index, gate in enumerate(GATES):
            await self.write(f"INPUT_SCALE_{gate.upper()}", config.input_scale[index])
            await self.write(f"INPUT_OFFSET_{gate.upper()}", config.input_offset[index])
        await self.write("OUTPUT_SCALE", config.output_scale)
        await self.write("OUTPUT_OFFSET", config.output_offset)

    async def clear(self) -> None:
        """Set hidden and cell state to 0; refused within a sequence."""
        await self.write("CONTROL", 1 << _CLEAR)

    async def begin(self, steps: int) -> None:
        """Begin a sequence of `steps` steps, 0 for one without end, with the state as it is.

        A sequence ends by itself; one without end ends with a reset of the chip. Refused until the
        one before has ended.
        """
        await self.write("LENGTH", steps)
        await self.write("CONTROL", 1 << _START)

    async def load_state(self, hidden: NDArray[np.int8], cell: NDArray[np.uint16]) -> None:
        """Write the state of the first units: int8 and binary16 bits, [units] each."""
        for table, values in (
            (registers.HIDDEN_TABLE, hidden.view(np.uint8)), (registers.CELL_TABLE, cell)
        ):  # fmt: skip
            await self.write_words(table.base, values.tolist(), table.stride, "state of a slice")

    async def state(self, units: int) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
        """The state of the first `units` units, as `load_state` takes it."""
        found = []
        for table in (registers.HIDDEN_TABLE, registers.CELL_TABLE):
            what = "the state of a slice"
            found.append(await self.read_words(table.base, units, table.stride, what))
        hidden = np.array([value & _BYTE for value in found[0]], dtype=np.uint8).view(np.int8)
        return hidden, np.array(found[1], dtype=np.uint16)
