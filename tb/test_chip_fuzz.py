"""Random programs through a whole chip: random traffic, random back-pressure, golden results.

The largest chip has 16 host streams, so stream players and recorders replace Python models.
"""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer

from caduceus.compiler.network import compile_network
from caduceus.data import pictures
from caduceus.golden import machine
from caduceus.host.chip import ChipHost
from caduceus.sim.chip_player import (
    STREAMS,
    expected_beats,
    read_outputs,
    write_inputs,
)
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.scoreboard import compare
from caduceus.sim.tile_host import reset
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from tb import benches
from tb.benches import Bench, Variant
from tb.chip_bench import Work, place, write_states
from tb.chip_designs import harnessed
from tb.chips import sized
from tb.pauses import write_pauses
from tb.random_programs import describe, hops, programs, random_devices, random_vectors

HERMES_CLOCKS = (1250, 500)
FAST_ARRAYS = (1250, 130)
"""Half periods of `sync` and `mvm` in ps: as published, and with the links as the bottleneck."""
STALLED, PAUSED_INPUT = (64, 16383), (16, 1023)
"""Share of pauses in 1/256 and mask of their length: of outputs 8,192 clocks in the mean."""
LOOK_CLOCKS, PATIENCE = 2_000, 60
"""Clocks between two checks of the recorders, and checks without a beat before a hang."""
SLEEP_CLOCKS, LOOKS_FOR_SLEEP = 200, 2_000
"""Clocks between two checks for awake tiles, and checks before a tile counts as sleepless."""


def _variant(
    name: str,
    packets: int,
    clocks: tuple[int, int] = HERMES_CLOCKS,
    vectors: int = 60,
    regress: bool = False,
    **sizes: int | str,
) -> Variant:
    """At least `packets` pass link controllers, with up to `vectors` input vectors per program."""
    parameters = {"packets": packets, "clocks": clocks, "vectors": vectors, **sizes}
    return Variant(name, parameters, ("verilator",), regress)


_GRID = {"chip": "hermes", "rows": 16, "columns": 16, "gdpu_units": 4}
_UNITS = {"chip": "hermes", "rows": 16, "columns": 12, "gdpu_units": 3, "lanes": 2, "units": 4,
          "partial_sums": "binary16", "gdpu_lanes": 4}  # fmt: skip

BENCH = Bench(
    name="chip_fuzz",
    covers=("chip", "chip_tile", "stream_player.sv", "stream_recorder.sv", "stream_pauses.sv"),
    variants=(
        _variant("tiny", 1_000, chip="tiny"),
        _variant("grid_units4", 1_000, regress=True, **_UNITS),
        _variant("tiny_long", 100_000, FAST_ARRAYS, 400, regress=True, chip="tiny"),
        _variant("grid_long", 100_000, HERMES_CLOCKS, 200, regress=True, **_GRID),
        _variant("grid_units4_long", 100_000, FAST_ARRAYS, 400, regress=True, **_UNITS),
    ),
    prepare=harnessed,
    simulators=("verilator",),
)


class FuzzBench:
    """The chip between players and recorders."""

    def __init__(self, dut: object, chip: Chip) -> None:
        self.dut, self.chip = dut, chip
        self.host = ChipHost(PlayerPort(dut), chip)
        self._clock_ps = 2 * benches.current()["clocks"][0]

    @classmethod
    async def start(cls, dut: object) -> "FuzzBench":
        """Reset the chip."""
        parameters = benches.current()
        dut.start.value = 0
        dut.aresetn.value = 0
        bench = cls(dut, sized(parameters))
        STREAMS.mkdir(exist_ok=True)
        await reset(dut)
        return bench

    async def run(self, work: Work) -> np.ndarray:
        """Outputs for the inputs of `work`, int8 [n, output_length]."""
        return await self.play(work.program, work.x, len(work.x))

    async def play(self, program: Program, x: np.ndarray, vectors: int) -> np.ndarray:
        """Outputs, int8 [vectors, output_length], for input vectors int8 [n, input_length]."""
        dut = self.dut
        write_inputs(STREAMS, program, self.chip, x)
        expected = expected_beats(program, self.chip, vectors)
        for port, count in enumerate(expected):
            getattr(dut, f"expected_{port}").value = count
        await RisingEdge(dut.aclk)
        dut.start.value = 1
        await RisingEdge(dut.aclk)
        dut.start.value = 0
        await ClockCycles(dut.aclk, 2)
        recorded, idle = 0, 0
        while not int(dut.done.value):
            await First(RisingEdge(dut.done), Timer(LOOK_CLOCKS * self._clock_ps, "ps"))
            now = int(dut.recorded.value)
            idle = 0 if now != recorded else idle + 1
            recorded = now
            assert idle < PATIENCE, f"the chip hangs after {now} of {sum(expected)} beats"
        return read_outputs(STREAMS, program, self.chip, vectors)[0]

    async def counters(self, program: Program) -> dict[str, dict[int, int]]:
        """Counter values, by register and computing tile."""
        names = ("VECTORS_IN", "MVMS", "VECTORS_OUT")
        return {name: await self.host.count(name, program) for name in names}

    async def until_asleep(self, name: str) -> None:
        """Wait for the ends of the last packets, which results may not need."""
        for _ in range(LOOKS_FOR_SLEEP):
            await Timer(SLEEP_CLOCKS * self._clock_ps, "ps")
            if not int(self.dut.awake.value):
                return
        awake = int(self.dut.awake.value)
        raise AssertionError(f"{name}: tiles {awake:#x} are awake without work")

    async def check(self, work: Work, name: str) -> None:
        """Load and run; check results against golden, counts, no error and the sleep at the end."""
        program = work.program
        Path("last.txt").write_text(describe(program), encoding="utf-8")
        write_states(program, work.state)
        await self.host.load(program)
        before = await self.counters(program)
        compare(work.expected(self.chip), await self.run(work), place(name))
        await self.until_asleep(name)
        error = int(self.dut.error.value)
        assert error == 0, f"{name}: tiles {error:#x} have an error"
        assert not int(self.dut.surplus.value), f"{name}: more beats than expected"
        after = await self.counters(program)
        for register, counts in after.items():
            counted = {tile: count - before[register][tile] for tile, count in counts.items()}
            assert set(counted.values()) <= {len(work.x)}, f"{name}: {register} of tiles: {counted}"


@cocotb.test()
async def random_programs(dut: object) -> None:
    """Any dataflow gives golden's results under back-pressure, until enough packets have passed."""
    random = benches.generator()
    bench = await FuzzBench.start(dut)
    wanted, passed, number, tiles = benches.current()["packets"], 0, 0, 0
    for program in programs(random, bench.chip):
        if random.random() < 0.3:
            await reset(dut)
        x = random_vectors(random, program, int(random.integers(1, benches.current()["vectors"])))
        work = Work(program, random_devices(random, program, bench.chip), x)
        write_pauses(random, bench.chip, STREAMS)
        await bench.check(work, f"program {number} ({program.read_mode})")
        number += 1
        passed += len(x) * hops(program, bench.chip)
        tiles += sum(tile.config is not None for tile in program.tiles)
        if passed >= wanted:
            break
    dut._log.info(f"{number} programs on {tiles} tiles, {passed} packets through link controllers")


@cocotb.test()
async def stalled_outputs(dut: object) -> None:
    """Two images back to back, whose results the host leaves for thousands of clocks each."""
    bench = await FuzzBench.start(dut)
    network, mode = Network.find("resnet_tiny"), ReadMode.FOUR_PHASE
    program = compile_network(network, bench.chip, mode)
    x = program.vectors(pictures.vectors(network.graph, pictures.pictures(network.graph, 2)[0]))
    work = Work(program, random_devices(benches.generator(), program, bench.chip), x)
    for side, pause in (("input", PAUSED_INPUT), ("output", STALLED)):
        for port in range(len(getattr(bench.chip.host, f"{side}s"))):
            path = STREAMS / f"{side}_{port}.pauses"
            path.write_text(f"{pause[0]:x} {pause[1]:x} {port + 1:x}\n", encoding="ascii")
    write_states(program, work.state)
    await bench.host.load(program)
    outputs = len(x) * program.output_pixels
    found = await bench.play(program, x.reshape(-1, program.input_length), outputs)
    golden = machine.run(program, bench.chip, work.state, x).outputs
    compare(golden.reshape(found.shape), found, place("resnet_tiny"))
    await bench.until_asleep("resnet_tiny")
    assert not int(dut.error.value) and not int(dut.surplus.value)
