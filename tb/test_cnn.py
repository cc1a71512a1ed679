"""Convolutional networks end to end on a chip: every result of every tile against golden."""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from numpy.typing import NDArray

from caduceus.compiler import cnn_flow
from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.golden.machine import Outcome
from caduceus.host.chip import ChipHost
from caduceus.sim import recording
from caduceus.sim.chip_player import STREAMS, ChipPlayer
from caduceus.sim.comparison import Observed, as_recorded, compare
from caduceus.sim.entry import asleep
from caduceus.sim.job import RECORD
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.scoreboard import Scoreboard
from caduceus.sim.tile_host import reset
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import INPUT
from caduceus.spec.formats import DEVICE_BITS, ReadMode
from caduceus.spec.graph import geometries
from caduceus.spec.network import Network
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing, device_codes
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chip_bench import load_program
from tb.chip_designs import harnessed, recorded
from tb.chips import sized
from tb.pauses import write_pauses
from tb.random_networks import random_convolutions
from tb.tile_bench import flipped

_TINY = {"chip": "tiny", "clocks": (1250, 500)}
_GRID = {"chip": "hermes", "rows": 32, "columns": 16, "gdpu_units": 4, "activation": 512,
         "rx": 256, "pool": 256, "clocks": (1250, 500)}  # fmt: skip
_WIDE = {**_GRID, "rx": 64, "lanes": 4, "units": 8, "partial_sums": "binary16", "gdpu_lanes": 4}
_SMALL = {"chip": "hermes", "gdpu_units": 16, "networks": 1, "clocks": (1250, 500)}
_PATIENCE = 400
"""Checks before a hang: the largest network takes fewer clocks for all its images."""


def _prepare(variant: Variant, folder: Path) -> Design:
    return recorded(harnessed(variant, folder))


BENCH = Bench(
    name="cnn",
    covers=("chip", "tile"),
    variants=(
        Variant("tiny", {**_TINY, "networks": 3}, simulators=("verilator",)),
        Variant("tiny", {**_TINY, "networks": 1}, simulators=("icarus",), regress=True),
        Variant("grid", {**_GRID, "networks": 12}, simulators=("verilator",), regress=True),
        Variant("wide", {**_WIDE, "networks": 6}, simulators=("verilator",), regress=True),
        Variant("grid_long", {**_GRID, "networks": 120}, simulators=("verilator",), regress=True),
        Variant(
            "resnet8",
            {**_SMALL, "rows": 64, "columns": 64, "named": ["resnet8"]},
            simulators=("verilator",),
            regress=True,
        ),
        Variant(
            "resnet20",
            {**_SMALL, "rows": 128, "columns": 128, "named": ["resnet20"]},
            simulators=("verilator",),
            regress=True,
        ),
        Variant("wide_long", {**_WIDE, "networks": 120}, simulators=("verilator",), regress=True),
    ),
    prepare=_prepare,
)


def random_program(random: np.random.Generator, chip: Chip) -> tuple[Program, Chip]:
    """A random network that the compiler accepts, with replicas where possible.

    Half of the time, the returned description has an activation buffer hardly larger than needed.
    The RTL's buffer is larger, and is configured to that size.
    """
    while True:
        made = random_convolutions(random)
        replicas = {}
        for layer, geometry in zip(made.graph.nodes[:-1], geometries(made.graph), strict=False):
            pool = layer.pool.size if layer.pool else 1
            if geometry.output[1] % (2 * pool) == 0 and random.random() < 0.4:
                replicas[layer.name] = 2
        mode = list(ReadMode)[int(random.integers(2))]
        try:
            program = compile_network(made, chip, mode, replicas)
            if random.random() < 0.5:
                return program, chip
            least = max(n.bytes for n in cnn_flow.needs(program, chip) if n.sink == INPUT)
            gather = chip.buffers.gather
            enough = max(16, -(-least // gather) * gather)
            buffers = chip.buffers.model_copy(update={"activation": enough})
            small = chip.model_copy(update={"buffers": buffers})
            return compile_network(made, small, mode, replicas), small
        except UserError:
            continue


class _Cnn:
    """The chip between players and recorders."""

    def __init__(self, dut: object) -> None:
        self.dut, self.chip = dut, sized(benches.current())
        self._port = PlayerPort(dut)
        self.host = ChipHost(self._port, self.chip)

    def describe(self, chip: Chip) -> None:
        """Use the sizes of description `chip`."""
        self.chip, self.host = chip, ChipHost(self._port, chip)

    @classmethod
    async def start(cls, dut: object) -> "_Cnn":
        """Reset the chip."""
        dut.start.value = 0
        dut.aresetn.value = 0
        for folder in (STREAMS, RECORD):
            folder.mkdir(exist_ok=True)
        bench = cls(dut)
        await reset(dut)
        return bench

    async def run(
        self,
        random: np.random.Generator,
        program: Program,
        state: PcmState,
        x: NDArray[np.int8],
    ) -> tuple[NDArray[np.int8], list[int]]:
        """Load program and devices, play images; returns outputs in order, and their end times."""
        await load_program(self.host, program, state, benches.current().get("by_words", False))
        write_pauses(random, self.chip, STREAMS)
        player = ChipPlayer(self.dut, self.chip, program, benches.current()["clocks"][0])
        played = await player.play(
            x.reshape(-1, x.shape[-1]),
            outputs=len(x) * program.output_pixels,
            patience=_PATIENCE,
        )
        await asleep(self.dut)
        return played.outputs.reshape(len(x), program.output_pixels, -1), played.ends

    async def compared(
        self,
        random: np.random.Generator,
        program: Program,
        state: PcmState,
        x: NDArray[np.int8],
        golden: Outcome,
    ) -> Scoreboard:
        """Run; compare the chip's outputs and, with recorders in the tiles, their recordings."""
        outputs, _ = await self.run(random, program, state, x)
        comparison = Scoreboard()
        tiles = {}
        if benches.current().get("recorded", True):
            tiles = as_recorded(recording.all_tiles(RECORD, program), golden.tiles)
        expected = Observed(golden.outputs, golden.tiles)
        compare(program, expected, Observed(outputs, tiles), comparison)
        return comparison


def _devices(random: np.random.Generator, program: Program, chip: Chip) -> PcmState:
    """The program's devices, with noise and imperfect converters half of the time."""
    state = pcm_state.ideal(chip, device_codes(program, chip), int(random.integers(1 << 32)))
    if random.random() < 0.5:
        return state
    spread = random.integers(-2000, 2000, state.gain_p.shape)
    return replace(
        state,
        gain_p=(state.gain_p + spread).astype(state.gain_p.dtype),
        offset_n=random.integers(-300, 300, state.offset_n.shape).astype(state.offset_n.dtype),
        noise=random.integers(0, 400, state.noise.shape).astype(state.noise.dtype),
    )


@cocotb.test()
async def random_networks(dut: object) -> None:
    """Several networks one after another, each with a few images, with random pauses on streams."""
    random = benches.generator()
    bench = await _Cnn.start(dut)
    layers = results = 0
    whole = bench.chip
    for _ in range(benches.current()["networks"]):
        program, chip = random_program(random, whole)
        bench.describe(chip)
        state = _devices(random, program, bench.chip)
        count = int(random.integers(1, 4))
        shape = (count, program.input_pixels, program.input_length)
        x = random.integers(-127, 128, shape, dtype=np.int8)
        golden = machine.run(program, bench.chip, state, x, capture=True)
        comparison = await bench.compared(random, program, state, x, golden)
        assert not comparison.mismatches, comparison.first
        assert not await bench.host.errors()
        counted = await bench.host.count("MVMS", program)
        for tile in computing(program):
            made = golden.tiles[tile.tile].results
            assert counted[tile.tile] >= made.shape[0] * made.shape[1]
        layers += len({tile.block.layer for tile in computing(program)})
        results += comparison.compared
    cocotb.log.info("%d layers, %d values", layers, results)


@cocotb.test()
async def networks_of_the_project(dut: object) -> None:
    """Whole residual networks on 8x8 tiles of small arrays: two images, every tile compared."""
    random = benches.generator()
    bench = await _Cnn.start(dut)
    for name in benches.current().get("named", ()):
        program = compile_network(Network.find(name), bench.chip, ReadMode.ONE_PHASE)
        state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
        shape = (2, program.input_pixels, program.input_length)
        x = random.integers(0, 128, shape, dtype=np.int8)
        golden = machine.run(program, bench.chip, state, x, capture=True)
        comparison = await bench.compared(random, program, state, x, golden)
        assert not comparison.mismatches, comparison.first
        assert not await bench.host.errors()
        cocotb.log.info("%s: %d tiles, %d values", name, len(golden.tiles), comparison.compared)


@cocotb.test()
async def one_inverted_bit_is_reported(dut: object) -> None:
    """One device of one tile differs between RTL and golden: its tile is named first."""
    random = benches.generator()
    bench = await _Cnn.start(dut)
    program, chip = random_program(random, bench.chip)
    bench.describe(chip)
    state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
    x = random.integers(90, 128, (1, program.input_pixels, program.input_length), dtype=np.int8)
    golden = machine.run(program, chip, state, x, capture=True)
    tiles = computing(program)
    first = next(i for i, tile in enumerate(tiles) if tile.block.layer == "conv0")
    # Rounding or a ReLU hides the bit in some columns, not in others.
    for column in range(tiles[first].config.columns):
        wrong = replace(state, codes=flipped(state.codes, (first, 0, column, 0), DEVICE_BITS - 1))
        traces = machine.run(program, chip, wrong, x, capture=True).tiles
        number = tiles[first].tile
        if (traces[number].results != golden.tiles[number].results).any():
            break
    else:
        raise AssertionError("the bit has no effect on any column")
    comparison = await bench.compared(random, program, wrong, x, golden)
    assert comparison.mismatches
    assert comparison.first.startswith("layer conv0, tile ")
    assert comparison.groups["conv0"].mismatches
