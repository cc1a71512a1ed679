"""cocotb side of `caduceus sim`: a network, layer by layer, through one tile in RTL.

The host's part between the layers works on the RTL's own results. The files say what is run
(`tb.network_job`); the results say how it went, a mismatch included: this test fails only if the
simulation itself goes wrong.
"""

import os
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import First, RisingEdge, Timer
from numpy.typing import NDArray

from compiler.one_tile import compile_network
from driver.tile import TileHost
from golden import host
from golden import network as golden_network
from sim import beats
from sim.scoreboard import Mismatch, compare
from sim.step import Step
from sim.tile_host import EventPort, reset, start_clock
from spec import chip as chip_description
from spec import network as network_description
from spec import pcm_state
from spec.chip import Chip
from spec.formats import ReadMode
from spec.program import LayerProgram
from tb.network_job import VARIABLE, Job, Outcome, with_constants

LOOK_EVERY_CLOCKS = 20_000
"""Clocks of `sync` between two looks at how far the simulation is."""


def _place(layer: LayerProgram, number: int) -> str:
    """Image, pixel and column of an index into a layer's outputs, in words."""
    height, width, _ = layer.geometry.output
    image, pixel = divmod(number, height * width)
    return f"image {image}, pixel ({pixel // width}, {pixel % width})"


class _Tile:
    """The harness with a tile in it, as something that turns vectors into vectors."""

    def __init__(self, dut: object, chip: Chip, sync_half_ps: int) -> None:
        self._dut, self._units, self._half_ps = dut, chip.link.units, sync_half_ps
        self.host = TileHost(EventPort(dut, dut.aclk), chip)
        self.cycles = {"sync": 0, "mvm": 0}
        self._done: dict[str, int] = {}

    async def run(
        self, program: LayerProgram, index: int, vectors: NDArray[np.int8]
    ) -> NDArray[np.int8]:
        """Stream `vectors` through the tile, which is configured and loaded."""
        dut, columns = self._dut, program.config.columns
        beats.write(Path(f"streams/input_{index}.txt"), vectors, self._units)
        per_vector = beats.beats_per_vector(columns, self._units)
        expected = len(vectors) * per_vector
        name = program.layer.name
        before = self._clocks()
        dut.index.value = index
        dut.expected_beats.value = expected
        await self._pulse(dut.start)
        recorded = -1
        while not int(dut.done.value):
            look = Timer(LOOK_EVERY_CLOCKS * 2 * self._half_ps, "ps")
            await First(RisingEdge(dut.done), look)
            now = int(dut.recorded_beats.value)
            assert now != recorded or int(dut.done.value), (
                f"layer {name}: the tile stopped after {now} of {expected} beats"
            )
            recorded = now
            self._done[name] = recorded // per_vector
            Step(self._done).save(Path())
        await self.host.wait_idle()
        assert not int(dut.surplus.value), f"layer {name}: more beats than expected"
        after = self._clocks()
        for name in self.cycles:
            self.cycles[name] += after[name] - before[name]
        return beats.read(Path(f"streams/output_{index}.txt"), columns, self._units)

    def _clocks(self) -> dict[str, int]:
        return {
            "sync": int(self._dut.aclk_cycles.value),
            "mvm": int(self._dut.mvm_cycles.value),
        }

    async def _pulse(self, signal: object) -> None:
        await RisingEdge(self._dut.aclk)
        signal.value = 1
        await RisingEdge(self._dut.aclk)
        signal.value = 0
        await RisingEdge(self._dut.aclk)


@cocotb.test()
async def run_network(dut: object) -> None:
    """Run the job, and leave its outcome beside it."""
    folder = Path(os.environ[VARIABLE])
    job = Job.load(folder)
    chip = chip_description.find(job.chip)
    network, weights = network_description.find(job.network)
    program = compile_network(network, weights, chip, ReadMode(job.read_mode))
    program = with_constants(program, folder)
    images = np.load(folder / "images.npy")
    states = [pcm_state.load(folder / f"{layer.layer.name}.pcm", chip) for layer in program.layers]
    Path("streams").mkdir(exist_ok=True)
    _, traces = golden_network.run(program, chip, images, states, capture=True)

    started = time.monotonic()
    dut.start.value = 0
    sync_ps, mvm_ps = job.clock_half_periods_ps
    start_clock(dut.aclk, sync_ps)
    start_clock(dut.mvm_clk, mvm_ps)
    compared = mismatches = 0
    first = ""
    tile = _Tile(dut, chip, sync_ps)
    await reset(dut)
    x = host.quantise_input(images, network.input.scale)
    for index, (layer, trace) in enumerate(zip(program.layers, traces, strict=True)):
        await tile.host.load_state(index)
        await tile.host.configure(layer.config)
        vectors = golden_network.vectors(layer, x)
        outputs = await tile.run(layer, index, vectors)
        try:
            compared += compare(
                trace.outputs, outputs,
                lambda at, layer=layer: f"layer {layer.layer.name}, {_place(layer, at[0])}"
                + (f", column {at[1]}" if len(at) > 1 else ""),
            ).compared  # fmt: skip
        except Mismatch as mismatch:
            compared += mismatch.compared
            mismatches += mismatch.mismatches
            first = first or str(mismatch)
        x = golden_network.feature_maps(layer, outputs)
    mvms = await tile.host.read("MVMS")
    assert await tile.host.read("ERROR") == 0
    Outcome(
        values_compared=compared,
        mismatches=mismatches,
        first_mismatch=first,
        cycles=tile.cycles,
        mvms=mvms,
        simulate_seconds=time.monotonic() - started,
        predictions=x.reshape(len(images), -1).argmax(axis=1).tolist(),
    ).save(folder)
