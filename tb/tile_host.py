"""What a host does with a tile's registers, over any port that can read and write words."""

from typing import Protocol

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotbext.axi import AxiLiteMaster
from numpy.typing import NDArray

from spec import formats, image_registers, registers
from spec.chip import Chip
from spec.formats import ReadMode
from spec.program import TileConfig
from spec.registers import BY_NAME

OKAY = 0
RESET_NS = 100
PATIENCE = 10_000
"""Clocks, or looks at a status bit, after which something is taken to hang."""


class RegisterPort(Protocol):
    """Word accesses; each gives the AXI response beside its result."""

    async def write(self, address: int, value: int) -> int: ...

    async def read(self, address: int) -> tuple[int, int]: ...


class CocotbextPort:
    """Accesses through the AXI4-Lite model of cocotbext-axi."""

    def __init__(self, master: AxiLiteMaster) -> None:
        self._master = master

    async def write(self, address: int, value: int) -> int:
        response = await self._master.write(address, value.to_bytes(4, "little"))
        return int(response.resp)

    async def read(self, address: int) -> tuple[int, int]:
        response = await self._master.read(address, 4)
        return int.from_bytes(response.data, "little"), int(response.resp)


class EventPort:
    """Accesses that cost Python nothing in between.

    A model that runs on every clock would be the slowest part of a long simulation.
    """

    def __init__(self, dut: object, clock: object) -> None:
        self._dut, self._clock = dut, clock
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready", "awprot", "arprot"):
            self._signal(name).value = 0

    def _signal(self, name: str) -> object:
        return getattr(self._dut, f"s_axil_{name}")

    async def _hand_over(self, *channels: str) -> None:
        """Keep the channels' valid up until each was ready in a clock."""
        waiting = list(channels)
        await RisingEdge(self._clock)
        for channel in waiting:
            self._signal(f"{channel}valid").value = 1
        for _ in range(PATIENCE):
            # Registers change after a rising edge: on the falling one everything has settled.
            await FallingEdge(self._clock)
            ready = [c for c in waiting if int(self._signal(f"{c}ready").value)]
            await RisingEdge(self._clock)
            for channel in ready:
                self._signal(f"{channel}valid").value = 0
                waiting.remove(channel)
            if not waiting:
                return
        raise AssertionError(f"the tile's {waiting} channels were not ready in {PATIENCE} clocks")

    async def _answer(self, channel: str, *values: str) -> list[int]:
        self._signal(f"{channel}ready").value = 1
        for _ in range(PATIENCE):
            await FallingEdge(self._clock)
            if int(self._signal(f"{channel}valid").value):
                break
        else:
            raise AssertionError(f"no answer on channel {channel} in {PATIENCE} clocks")
        got = [int(self._signal(f"{channel}{value}").value) for value in values]
        await RisingEdge(self._clock)
        self._signal(f"{channel}ready").value = 0
        return got

    async def write(self, address: int, value: int) -> int:
        self._signal("awaddr").value = address
        self._signal("wdata").value = value
        self._signal("wstrb").value = 0xF
        await self._hand_over("aw", "w")
        (response,) = await self._answer("b", "resp")
        return response

    async def read(self, address: int) -> tuple[int, int]:
        self._signal("araddr").value = address
        await self._hand_over("ar")
        data, response = await self._answer("r", "data", "resp")
        return data, response


class TileHost:
    """The calls a driver makes, each checked for its response."""

    def __init__(self, port: RegisterPort, chip: Chip) -> None:
        self.port, self._chip = port, chip

    async def write(self, name: str, value: int) -> None:
        """Write a register by name."""
        await self._write_at(BY_NAME[name].address, value, name)

    async def _write_at(self, address: int, value: int, what: str) -> None:
        response = await self.port.write(address, value)
        assert response == OKAY, f"{what} <- {value:#x} was answered with {response}"

    async def read(self, name: str) -> int:
        """Read a register by name."""
        value, response = await self.port.read(BY_NAME[name].address)
        assert response == OKAY, f"reading {name} was answered with {response}"
        return value

    async def configure(self, config: TileConfig, assume_reset_constants: bool = False) -> None:
        """Make the tile do what `config` says, and accept vectors.

        With `assume_reset_constants`, column constants that are to have their reset value are left
        alone.
        """
        mode = BY_NAME["MODE"]
        bits = {
            "four_phase": config.read_mode is ReadMode.FOUR_PHASE,
            "relu_1": config.relu_1,
            "relu_2": config.relu_2,
            "rx_enable": config.rx_enable,
            "rx_binary16": config.rx_binary16,
            "tx_binary16": config.tx_binary16,
        }
        await self.write("MODE", sum(int(v) << mode.field(k).low for k, v in bits.items()))
        await self.write("ROWS", config.rows)
        await self.write("COLUMNS", config.columns)
        for number, part in enumerate(config.parts):
            address = registers.PART_BASE + number * registers.PART_STRIDE
            word = registers.part_word(part.start, part.length)
            await self._write_at(address, word, f"part {number}")
        for name, value in image_registers.values(config, self._chip).items():
            await self.write(name, value)
        # The last of all that says what comes: from here on it may.
        await self.write("PARTS", len(config.input_parts))
        await self.write("RX_SCALE", config.rx_scale)
        reset = [constant.reset for constant in formats.COLUMN_CONSTANTS]
        known = np.tile(np.uint16(reset), (config.columns, 1)) if assume_reset_constants else None
        await self.write_constants(config.constants, known)
        await self.write("CONTROL", 1)

    async def write_constants(
        self, constants: NDArray[np.uint16], known: NDArray[np.uint16] | None = None
    ) -> None:
        """Write column constants [columns, 5].

        Those that equal what is `known` to be there, of the same shape, are left alone.
        """
        for column, values in enumerate(constants.tolist()):
            for constant in formats.COLUMN_CONSTANTS:
                value = values[constant.index]
                if known is not None and known[column, constant.index] == value:
                    continue
                address = registers.column_address(column, constant.name)
                await self._write_at(address, value, f"{constant.name} of column {column}")

    async def set_reference(self, level: int) -> None:
        """Have a reference current flow in the place of the cells' currents; 0: the cells' again.

        Args:
            level: units of charge a slot, signed.
        """
        field = BY_NAME["REFERENCE"].field("reference_level")
        await self.write("REFERENCE", level % (1 << field.width))

    async def load_state(self, index: int) -> None:
        """Load PCM state number `index` and wait until it is there."""
        await self.write("STATE_SELECT", index)
        await self.until_clear("state_loading")

    async def wait_idle(self) -> None:
        """Wait until no vector is inside the tile."""
        await self.until_clear("busy")

    async def until_clear(self, field: str) -> None:
        """Wait until a field of STATUS is 0."""
        bit = BY_NAME["STATUS"].field(field).low
        for _ in range(PATIENCE):
            if not await self.read("STATUS") >> bit & 1:
                return
        raise AssertionError(f"STATUS.{field} is still 1 after {PATIENCE} looks")


def half_periods(chip: Chip) -> tuple[int, int]:
    """Half a clock period of `sync` and of `mvm`, in ps."""
    return round(5e5 / chip.clocks.sync_mhz), round(5e5 / chip.clocks.mvm_mhz)


def start_clock(signal: object, half_period_ps: int) -> None:
    """A clock that Python does not toggle."""
    Clock(signal, 2 * half_period_ps, "ps", impl="gpi").start()


async def reset(dut: object) -> None:
    """Hold the tile in reset for a while."""
    dut.aresetn.value = 0
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
