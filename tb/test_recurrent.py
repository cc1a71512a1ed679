"""Recurrent networks on a chip: every output, hidden and cell state of RTL against golden."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import cocotb
import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.golden.machine import Machine, Outcome
from caduceus.host.chip import ChipHost
from caduceus.sim.chip_player import STREAMS, ChipPlayer
from caduceus.sim.comparison import compare as compare_runs
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.schedule import Twice
from caduceus.sim.scoreboard import Scoreboard, compare
from caduceus.sim.tile_host import reset
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import INPUT
from caduceus.spec.formats import DEVICE_BITS, ReadMode
from caduceus.spec.gdpu import LstmState
from caduceus.spec.graph import Lstm
from caduceus.spec.network import Network
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import InputPart, Program, TileProgram
from caduceus.spec.program_codes import computing, device_codes
from tb import benches
from tb.benches import Bench, Variant
from tb.chip_bench import load_program
from tb.chip_designs import harnessed
from tb.chips import sized
from tb.pauses import write_pauses
from tb.random_networks import random_lstm
from tb.random_programs import random_devices
from tb.tile_bench import flipped

_TINY = {"chip": "tiny", "clocks": (1250, 500)}
_GRID = {"chip": "hermes", "rows": 16, "columns": 12, "gdpu_units": 3, "lanes": 2, "units": 4,
         "partial_sums": "binary16", "gdpu_lanes": 4, "clocks": (1250, 500)}  # fmt: skip

_PLACE = re.compile(
    r"(step by step|at full speed), "
    r"(chip output, step \d+, column \d+, at|"
    r"(hidden|cell) state after step \d+, unit \d+, GDPU slice last at work at) "
    r"\d+\.\d{3} ns \(sync clock \d+\): "
)
"""The place in a run's mismatch."""


BENCH = Bench(
    name="recurrent",
    covers=("chip", "gdpu_slice"),
    variants=(
        Variant("tiny", {**_TINY, "networks": 3, "text": 6}, simulators=("verilator",)),
        Variant("tiny", {**_TINY, "networks": 1, "text": 3}, simulators=("icarus",), regress=True),
        Variant(
            "grid_long", {**_GRID, "networks": 60, "text": 0}, simulators=("verilator",),
            regress=True,
        ),
    ),
    prepare=harnessed,
)  # fmt: skip


class _RecurrentBench:
    """The chip between players and recorders, with a loaded program."""

    def __init__(self, dut: object) -> None:
        parameters = benches.current()
        self.dut, self.chip = dut, sized(parameters)
        self.host = ChipHost(PlayerPort(dut), self.chip)
        self._half_ps = parameters["clocks"][0]

    @classmethod
    async def start(cls, dut: object) -> "_RecurrentBench":
        """Reset the chip."""
        dut.start.value = 0
        dut.aresetn.value = 0
        STREAMS.mkdir(exist_ok=True)
        bench = cls(dut)
        await reset(dut)
        return bench

    async def load(
        self, random: np.random.Generator, program: Program, state: PcmState
    ) -> ChipPlayer:
        """Load the program; returns its player, with random pauses on the streams."""
        await load_program(self.host, program, state, benches.current().get("by_words", False))
        write_pauses(random, self.chip, STREAMS)
        return ChipPlayer(self.dut, self.chip, program, self._half_ps)

    async def run(
        self, random: np.random.Generator, program: Program, state: PcmState,
        x: NDArray[np.int8], golden: Machine,
    ) -> Scoreboard:  # fmt: skip
        """A sequence, step by step and then at full speed; every value compared with `golden`."""
        player = await self.load(random, program, state)
        run = Twice(program, self.chip, x[np.newaxis])
        run.expect(golden)
        await run.play(self.host, player, lambda done: None)
        periods = np.diff(run.played[-1].ends).tolist()
        cocotb.log.info("clocks from step to step at full speed: %s", periods)
        score = Scoreboard()
        for when, expected, got in run.observed({}):
            compare_runs(program, expected, got, score, when)
        return score

    async def check(
        self, random: np.random.Generator, program: Program, state: PcmState,
        x: NDArray[np.int8],
    ) -> None:  # fmt: skip
        """Run a sequence twice; check every value against golden's, no error, and then sleep."""
        golden = Machine(program, self.chip, state)
        comparison = await self.run(random, program, state, x, golden)
        assert comparison.mismatches == 0, comparison.first
        steps, units = len(x), sum(each.config.units for each in program.slices)
        stops = 1 if steps == 1 else 2  # at full speed, where the state is read
        states = 2 * units * (steps + stops)
        assert comparison.compared == 2 * steps * program.output_length + states
        assert await self.host.errors() == {}
        await self.until_asleep()

    async def until_asleep(self) -> None:
        """Wait until the chip is at rest, soon after the last output."""
        for _ in range(200):
            awake = int(self.dut.awake.value), int(self.dut.slices_awake.value)
            if not any(awake):
                return
            await Timer(100 * 2 * self._half_ps, "ps")
        raise AssertionError(f"tiles {awake[0]:#x}, slices {awake[1]:#x} stay awake")


def _networks(random: np.random.Generator, chip: Chip) -> Iterator[Network]:
    """Random networks, some too large; large ones more often than small ones."""
    most = chip.gdpu.slices * chip.gdpu.units
    while True:
        hidden = int(most - most * random.random() ** 2) or 1
        size = int(random.integers(1, 2 * chip.array.rows))
        outputs = int(random.choice([0, random.integers(1, 2 * chip.array.columns)]))
        lstm = Lstm(
            name="lstm", op="lstm", hidden=hidden, input_gmax=400, hidden_gmax=510,
            gate_scales=tuple(random.uniform(0.02, 0.08, 4).tolist()),
            output_scale=float(random.uniform(0.3, 1.2) / 127),
        )  # fmt: skip
        yield random_lstm(random, lstm, size, outputs, spread=2)


def _programs(random: np.random.Generator, chip: Chip) -> Iterator[Program]:
    """Programs of random networks, in either read mode."""
    for network in _networks(random, chip):
        mode = ReadMode.FOUR_PHASE if random.random() < 0.3 else ReadMode.ONE_PHASE
        try:
            yield compile_network(network, chip, mode)
        except UserError as error:
            assert f"chip {chip.name}" in str(error), error


def _vectors(random: np.random.Generator, program: Program, steps: int) -> NDArray[np.int8]:
    return random.integers(-127, 128, (steps, program.input_length), dtype=np.int8)


@cocotb.test()
async def random_networks(dut: object) -> None:
    """Fitting networks, one after another, under random pauses of the host."""
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    for _, program in zip(
        range(benches.current()["networks"]), _programs(random, bench.chip), strict=False
    ):
        state = random_devices(random, program, bench.chip)
        await bench.check(random, program, state, _vectors(random, program, 5))


@cocotb.test()
async def a_trained_network(dut: object) -> None:
    """The shipped network for small chips, on random characters."""
    steps = benches.current()["text"]
    if not steps:
        return
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    network = Network.find("lstm_tiny")
    mode = ReadMode(benches.current().get("read_mode", ReadMode.FOUR_PHASE))
    program = compile_network(network, bench.chip, mode)
    state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
    chosen = random.integers(len(program.symbols), size=steps)
    await bench.check(random, program, state, program.embedding[chosen])


@cocotb.test()
async def several_sequences(dut: object) -> None:
    """Sequences of any lengths follow each other, each from an empty or a given state."""
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    program = next(_programs(random, bench.chip))
    state = random_devices(random, program, bench.chip)
    player = await bench.load(random, program, state)
    units = sum(each.config.units for each in program.slices)
    reads = 0
    for steps in (1, 4, 1, 2):
        x = _vectors(random, program, steps)
        initial = None
        if random.random() < 0.5:
            hidden = random.integers(-127, 128, (1, units), dtype=np.int8)
            cell = random.normal(0, 1, (1, units)).astype(np.float16).view(np.uint16)
            initial = LstmState(hidden, cell)
        expected = machine.run(
            program, bench.chip, state, x[np.newaxis], initial=initial, first=reads
        )
        await bench.host.begin(program, steps, initial)
        played = await player.play(x)
        compare(expected.outputs[0], played.outputs, lambda at: f"step {at[0]}, output {at[1]}")
        await _compare_state(bench, program, expected)
        for each in program.slices:
            assert await bench.host.slices[each.slice].read("STEPS") == steps
        reads += steps
    assert await bench.host.errors() == {}
    await bench.until_asleep()


async def _compare_state(bench: _RecurrentBench, program: Program, expected: Outcome) -> None:
    got = await bench.host.state(program)
    for what in ("hidden", "cell"):
        compare(
            getattr(expected.state, what), getattr(got, what),
            lambda at, what=what: f"{what} state, unit {at[-1]}",
        )  # fmt: skip


@cocotb.test()
async def reset_at_any_moment(dut: object) -> None:
    """A reset within a sequence: another network loads, and every value is right."""
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    found = _programs(random, bench.chip)
    for _ in range(min(3, benches.current()["networks"])):
        program = next(found)
        state = random_devices(random, program, bench.chip)
        player = await bench.load(random, program, state)
        await bench.host.begin(program, 50)
        playing = cocotb.start_soon(player.play(_vectors(random, program, 50)))
        await Timer(int(random.integers(100, 10_000)), "ns")
        playing.cancel()
        await player.stop()
        await reset(dut)
        program = next(found)
        state = random_devices(random, program, bench.chip)
        await bench.check(random, program, state, _vectors(random, program, 2))


@cocotb.test()
async def every_alteration_is_reported(dut: object) -> None:
    """RTL and golden differ in one input: the comparison behind `caduceus sim` finds it."""
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    program = next(each for each in _programs(random, bench.chip) if _alike(each))
    state = random_devices(random, program, bench.chip)
    x = _vectors(random, program, 3)
    golden = Machine(program, bench.chip, state)
    expected = golden.run(x[np.newaxis])

    def matters(given: PcmState) -> bool:
        got = machine.run(program, bench.chip, given, x[np.newaxis])
        return any(
            (getattr(got, each) != getattr(expected, each)).any()
            for each in ("outputs", "hidden", "cell")
        )

    for what, altered, given in _alterations(random, program, state, matters):
        differences = await bench.run(random, altered, given, x, golden)
        assert differences.mismatches, f"{what} altered without a mismatch"
        assert _PLACE.match(differences.first), differences.first
        assert await bench.host.errors() == {}, what


@cocotb.test()
async def every_alteration_of_a_state_is_reported(dut: object) -> None:
    """The comparison finds an altered bit of the RTL's initial state."""
    random = benches.generator()
    bench = await _RecurrentBench.start(dut)
    program = next(_programs(random, bench.chip))
    state = random_devices(random, program, bench.chip)
    x = _vectors(random, program, 2)
    expected = machine.run(program, bench.chip, state, x[np.newaxis])
    for what, bit in (("cell", 13), ("hidden", 6)):
        initial = LstmState(
            np.zeros_like(expected.hidden[:, 0]), np.zeros_like(expected.cell[:, 0])
        )
        getattr(initial, what)[0, -1] ^= 1 << bit
        player = await bench.load(random, program, state)
        await bench.host.begin(program, len(x), initial)
        played = await player.play(x)
        differences = Scoreboard()
        differences.add(
            expected.outputs[0], played.outputs, lambda at: f"step {at[0]}, output {at[1]}"
        )
        got = await bench.host.state(program)
        differences.add(expected.state.cell, got.cell, lambda at: f"cell state, unit {at[-1]}")
        differences.add(
            expected.state.hidden, got.hidden, lambda at: f"hidden state, unit {at[-1]}"
        )
        assert differences.mismatches, f"{what} altered without a mismatch"


def _alterations(
    random: np.random.Generator,
    program: Program,
    state: PcmState,
    matters: Callable[[PcmState], bool],
) -> Iterator[tuple[str, Program, PcmState]]:
    """One alteration: its name, and the program and devices for the RTL.

    Rounding may hide half of a device's range: draw a device that `matters` to golden.
    """
    last = program.slices[-1].config
    scales = (last.input_scale[0] ^ 1 << 12, *last.input_scale[1:])
    yield "an input scale", _with_last(program, input_scale=scales), state
    yield "the output scale", _with_last(program, output_scale=last.output_scale ^ 1 << 10), state

    index, first, second = _alike(program)[0]
    tile = computing(program)[index]
    shape = len(computing(program)), *state.codes.shape[1:]
    while True:
        place = tuple(int(random.integers(size)) for size in shape)
        given = replace(state, codes=flipped(state.codes, place, DEVICE_BITS - 1))
        if matters(given):
            break
    yield "a device", program, given

    places = {first: second, second: first}
    parts = tuple(places.get(part, part) for part in tile.config.parts)
    altered = replace(tile, config=replace(tile.config, parts=parts))
    yield "parts", _with_tile(program, altered), state

    numbers = [tile.config.parts.index(part) for part in (first, second)]
    swapped = dict(zip(numbers, reversed(numbers), strict=True))
    routes = tuple(
        replace(route, part=swapped.get(route.part, route.part)) if INPUT in route.sinks else route
        for route in tile.routes
    )
    yield "routes", _with_tile(program, replace(tile, routes=routes)), state


def _alike(program: Program) -> list[tuple[int, InputPart, InputPart]]:
    """Pairs of equally long parts of a tile, with its place among the computing tiles."""
    return [
        (index, *pair)
        for index, tile in enumerate(computing(program))
        for pair in combinations(tile.config.parts, 2)
        if pair[0].length == pair[1].length
    ]


def _with_tile(program: Program, changed: TileProgram) -> Program:
    """The program with one tile changed."""
    tiles = (changed if tile.tile == changed.tile else tile for tile in program.tiles)
    return replace(program, tiles=tuple(tiles))


def _with_last(program: Program, **changes: object) -> Program:
    """The program with a changed configuration of its last slice."""
    last = program.slices[-1]
    changed = replace(last, config=replace(last.config, **changes))
    return replace(program, slices=(*program.slices[:-1], changed))
