"""A tile between a stream player and a recorder (`sv/tile_harness.sv`), driven by host procedures.

Python acts only where the host does: on a register access, and at the end of a batch of vectors.
"""

from pathlib import Path

import cocotb.handle
import numpy as np
from cocotb.triggers import First, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.host.tile import TileHost
from caduceus.sim import beats
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.tile_host import reset, start_clock
from caduceus.spec.chip import Chip
from caduceus.spec.measurement import Found, HostProcedure
from caduceus.spec.packets import beat_count
from caduceus.spec.pcm_state import PcmState, write_hex
from caduceus.spec.program import TileConfig

PLUSARGS = ("+pcm_state=states", "+streams=streams")
"""Folders in the simulation's working folder."""
CLOCKS_A_VECTOR = 100_000
"""`sync` clocks per vector before the tile counts as hung."""


class StreamedTile:
    """The tile and its host.

    Attributes:
        host: register accesses.
        reads: MVMs since a state was loaded.
    """

    def __init__(self, dut: cocotb.handle.SimHandleBase, chip: Chip, sync_half_ps: int) -> None:
        self._dut, self._units, self._half_ps = dut, chip.link.units, sync_half_ps
        self.host = TileHost(PlayerPort(dut), chip)
        self.reads = 0
        self._batches = self._states = 0
        # The tile's present configuration, so that a procedure writes only the changes.
        self._config: TileConfig | None = None
        self._reference = 0

    @classmethod
    async def start(
        cls,
        dut: cocotb.handle.SimHandleBase,
        chip: Chip,
        sync_half_ps: int,
        mvm_half_ps: int,
    ) -> "StreamedTile":
        """Start the clocks and reset the tile."""
        for folder in ("streams", "states"):
            Path(folder).mkdir(exist_ok=True)
        dut.start.value = 0
        start_clock(dut.aclk, sync_half_ps)
        start_clock(dut.mvm_clk, mvm_half_ps)
        tile = cls(dut, chip, sync_half_ps)
        await reset(dut)
        return tile

    def cycles(self) -> dict[str, int]:
        """Rising edges of `sync` and `mvm` since time 0."""
        dut = self._dut
        return {"sync": int(dut.aclk_cycles.value), "mvm": int(dut.mvm_cycles.value)}

    async def load(self, state: PcmState, tile: int = 0) -> None:
        """Load a tile of `state` into the array."""
        write_hex(state, tile, Path(f"states/state_{self._states}.hex"))
        await self.host.load_state(self._states)
        self._states += 1
        self.reads = 0

    async def configure(self, config: TileConfig) -> None:
        """Configure the tile as `config`; writes only the constants that change."""
        before = self._config
        async with self.host.port.batch():
            if before is None or not _differ_in_constants(before, config):
                await self.host.configure(config)
            else:
                await self.host.write_constants(config.constants, before.constants)
        self._config = config

    async def run(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Results of vectors [n, rows], int8 [n, columns], on the configured and loaded tile."""
        dut, columns = self._dut, self._config.columns
        number = self._batches
        self._batches += 1
        beats.write(Path(f"streams/input_{number}.txt"), x, self._units)
        dut.index.value = number
        dut.expected_beats.value = len(x) * beat_count(columns, self._units)
        await RisingEdge(dut.aclk)
        dut.start.value = 1
        await RisingEdge(dut.aclk)
        dut.start.value = 0
        await RisingEdge(dut.aclk)
        limit = Timer(len(x) * CLOCKS_A_VECTOR * 2 * self._half_ps, "ps")
        await First(RisingEdge(dut.done), limit)
        assert int(dut.done.value), f"only {int(dut.recorded_beats.value)} beats of batch {number}"
        await self.host.wait_idle()
        assert not int(dut.surplus.value), f"batch {number}: more beats than expected"
        self.reads += len(x)
        return beats.read(Path(f"streams/output_{number}.txt"), columns, self._units)

    async def measure(self, procedure: HostProcedure[Found]) -> Found:
        """Drive a host's procedure to its end: the RTL twin of `caduceus.golden.measure.run`.

        Afterwards the cells are connected again.
        """
        try:
            wanted = next(procedure)
            while True:
                await self.configure(wanted.config)
                await self._set_reference(wanted.reference)
                wanted = procedure.send(await self.run(wanted.x))
        except StopIteration as end:
            return end.value
        finally:
            await self._set_reference(0)

    async def _set_reference(self, level: int) -> None:
        if level != self._reference:
            await self.host.set_reference(level)
            self._reference = level


def _differ_in_constants(one: TileConfig, other: TileConfig) -> bool:
    """Whether two configurations differ only in the values of their column constants."""
    names = set(TileConfig.__dataclass_fields__) - {"constants"}
    return all(getattr(one, name) == getattr(other, name) for name in names)
