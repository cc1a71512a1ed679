"""A whole tile written through its registers, and its MVMs afterwards, against golden."""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Timer

from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference.pcm_writer import PcmWriter
from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.chip_sources import GATE
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.sim.pcm_write_host import PcmWriteHost
from caduceus.sim.scoreboard import Mismatch, compare
from caduceus.sim.tile_host import reset
from caduceus.spec import pcm_write
from caduceus.spec.formats import DEVICES, ReadMode
from caduceus.spec.host_port import SLVERR
from caduceus.spec.pcm_write import Procedure
from caduceus.spec.pcm_write_registers import TARGET_TABLE, pcm_write_word, procedure_word
from caduceus.spec.registers import BY_NAME
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.gated_tile import GatedTile
from tb.pcm_write_session import programmable_state, random_targets
from tb.tile_bench import TileBench, random_config, random_work


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    make = GatedTile if variant.parameters["gated"] else AxiTile
    tile = write(make(chip), "axi_tile", folder / "axi_tile.v")
    sources = [*pcm_array.write_sources(folder, chip), GATE, tile]
    return Design(sources, "axi_tile", plusargs=["+pcm_state=states"])


def _variant(
    name: str,
    chip: str = "tiny",
    clocks: tuple[int, int] = (1250, 500),
    simulators: tuple[str, ...] = ("verilator",),
    diagonals: int | None = None,
    resets: int = 5,
    gated: bool = False,
    regress: bool = False,
    **sizes: int,
) -> Variant:
    """`clocks` are half periods of `sync` and `mvm` in ps; `diagonals` limits their number."""
    parameters = {
        "chip": chip, "clocks": clocks, "diagonals": diagonals, "resets": resets, "gated": gated,
        **sizes,
    }  # fmt: skip
    return Variant(name, parameters, simulators, regress)


BENCH = Bench(
    name="tile_pcm_write",
    covers=("tile", "pcm_write", "clock_gate.sv"),
    variants=(
        _variant("tiny", diagonals=8),
        _variant("tiny_icarus", simulators=("icarus",), diagonals=2, resets=1),
        # Gated clocks; few heads, with clocks of an odd ratio.
        _variant("wide", rows=12, columns=20, lanes=2, gdpu_units=3, heads=5, clocks=(1370, 590),
                 gated=True),
        _variant("tall", rows=24, columns=12, lanes=4, gdpu_units=3, heads=8, clocks=(650, 1850),
                 diagonals=8, regress=True),
        _variant("tall_icarus", rows=24, columns=12, lanes=4, gdpu_units=3, heads=8, diagonals=2,
                 resets=1, simulators=("icarus",), regress=True),
        _variant("hermes", "hermes", diagonals=3, regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed:
    """A tile, its host, and golden's copy of its array."""

    def __init__(self, bench: TileBench) -> None:
        self.bench, self.chip = bench, bench.chip
        self.random = benches.generator()
        self.host = PcmWriteHost(bench.host, bench.chip)
        self.golden: PcmWriter

    @classmethod
    async def start(cls, dut: object) -> "Testbed":
        """Start clocks, reset, and load a random state."""
        parameters = benches.current()
        bed = cls(await TileBench.start(dut, sized(parameters), *parameters["clocks"]))
        await bed.load()
        return bed

    async def load(self) -> None:
        """Load another random state."""
        state = programmable_state(self.random, self.chip)
        await self.bench.load(state)
        self.golden = PcmWriter(self.chip, state)

    async def program(self, diagonal: int, devices: int) -> None:
        """Program random targets of a diagonal on both sides."""
        targets = random_targets(self.random, self.chip, 80 * devices)
        got = await self.host.program(diagonal, targets, Procedure(devices))
        wanted = self.golden.program(diagonal, targets, Procedure(devices))
        for name, values in vars(wanted).items():
            what = f"diagonal {diagonal}, {name} of line"
            compare(values, getattr(got, name), lambda index, what=what: f"{what} {index[0]}")

    async def multiply(self, mode: ReadMode, vectors: int = 2) -> None:
        """Run MVMs; every result must equal golden's on the present devices."""
        config = random_config(self.random, self.chip, mode, False, False, False)
        work = random_work(self.random, self.chip, config, vectors)
        await self.bench.host.wait_idle()
        await self.bench.host.configure(config)
        self.bench.send(work)
        got = await self.bench.receive(vectors, config.columns)
        golden = Tile(self.chip, self.golden.state())
        expected = golden.run(config, work.x, first_read=self.golden.reads)
        compare(expected, got, lambda index: f"{mode} MVM {index[0]}, column {index[1]}")
        self.golden.reads += vectors
        await self.bench.host.wait_idle()

    async def check_counters(self) -> None:
        """Check that the tile has counted every pulse and read since its reset."""
        for name, value in (
            ("PULSES", self.golden.pulses),
            ("VERIFY_READS", self.golden.reads - await self.bench.host.read("MVMS")),
        ):
            assert await self.bench.host.read(name) == value, name


@cocotb.test()
async def a_whole_array(dut: object) -> None:
    """Diagonal by diagonal, with both procedures, and MVMs in between and after."""
    bed = await Testbed.start(dut)
    diagonals = pcm_write.diagonals(bed.chip)
    chosen = bed.random.permutation(diagonals)[: benches.current()["diagonals"]]
    for number, diagonal in enumerate(chosen.tolist()):
        await bed.program(diagonal, 1 + number % 2)
        if number % 5 == 2:
            await bed.multiply(tuple(ReadMode)[number // 5 % 2])
    for mode in ReadMode:
        await bed.multiply(mode, vectors=4)
    for device in range(len(DEVICES)):
        diagonal = int(bed.random.integers(diagonals))
        got = await bed.host.read(diagonal, device)
        expected = bed.golden.read(diagonal, device)
        compare(expected, got, lambda index: f"read of device {device}, line {index[0]}")  # noqa: B023
    await bed.multiply(ReadMode.ONE_PHASE)
    await bed.check_counters()
    assert await bed.bench.errors() == 0


@cocotb.test(skip=benches.current().get("chip") == "hermes")
async def locked_while_programming(dut: object) -> None:
    """During a PCM write, locked registers refuse and vectors wait; the results are right."""
    bed = await Testbed.start(dut)
    port, random = bed.bench.host.port, bed.random
    config = random_config(random, bed.chip, ReadMode.FOUR_PHASE, False, False, False)
    work = random_work(random, bed.chip, config, 2)
    await bed.bench.host.configure(config)
    targets = random_targets(random, bed.chip, 80)
    await bed.host.write_targets(targets)
    await bed.host.begin(1, 1)
    bed.bench.send(work)
    for name in ("PCM_WRITE", "PROCEDURE", "MODE", "ROWS", "STATE_SELECT", "REFERENCE"):
        assert await port.write(BY_NAME[name].address, 1) == SLVERR, name
    assert await port.write(TARGET_TABLE.base, 1) == SLVERR
    assert await bed.bench.host.read("VECTORS_IN") == 0, "a vector was accepted"
    assert await bed.bench.host.read("STATUS") & 0b1001 == 0b1001
    expected = bed.golden.program(1, targets, Procedure(1))
    got = await bed.bench.receive(2, config.columns)
    golden = Tile(bed.chip, bed.golden.state())
    compare(
        golden.run(config, work.x, first_read=bed.golden.reads),
        got,
        lambda i: f"MVM {i[0]}, column {i[1]}",
    )
    result = await bed.host.results()
    compare(expected.error, result.error, lambda index: f"error of line {index[0]}")

    # With a vector inside, the array refuses a PCM write.
    await bed.bench.host.wait_idle()
    bed.bench.output.pause = True
    bed.bench.send(work)
    await bed.bench.input.wait()
    assert await port.write(BY_NAME["PCM_WRITE"].address, pcm_write_word(0, 1)) == SLVERR
    bed.bench.output.pause = False
    await bed.bench.receive(2, config.columns)


@cocotb.test(skip=benches.current().get("chip") == "hermes")
async def what_there_is_not(dut: object) -> None:
    """Diagonals, devices and targets out of range are refused; the last valid ones are not."""
    bed = await Testbed.start(dut)
    port, lines = bed.bench.host.port, pcm_write.lines(bed.chip)
    last = pcm_write.diagonals(bed.chip) - 1
    program = BY_NAME["PCM_WRITE"].address
    for word in (pcm_write_word(last + 1, 1), pcm_write_word(0, 3), pcm_write_word(0xFFFF, 0)):
        assert await port.write(program, word) == SLVERR, f"{word:#x}"
    for target in (pcm_write.TARGET_MAX + 1, -pcm_write.TARGET_MAX - 1, 1 << 31, 1 << 9):
        assert await port.write(TARGET_TABLE.base, target % (1 << 32)) == SLVERR, target
    assert await port.write(TARGET_TABLE.address(lines), 0) == SLVERR
    assert await bed.bench.host.read("PULSES") == 0
    targets = random_targets(bed.random, bed.chip, pcm_write.TARGET_MAX)
    targets[[0, -1]] = pcm_write.TARGET_MAX, -pcm_write.TARGET_MAX
    await bed.bench.host.write("PROCEDURE", procedure_word(Procedure(2, 9, 4, 200, 255)))
    got = await bed.host.program(last, targets, Procedure(2))
    expected = bed.golden.program(last, targets, Procedure(2, 9, 4, 200, 255))
    compare(expected.error, got.error, lambda index: f"error of line {index[0]}")
    await bed.check_counters()


@cocotb.test(skip=benches.current().get("chip") == "hermes")
async def another_target_is_seen(dut: object) -> None:
    """Golden with one smaller target differs: the comparison can fail."""
    bed = await Testbed.start(dut)
    targets = np.full(pcm_write.lines(bed.chip), 40)
    # Without iterations the error is that of the first read.
    procedure = Procedure(1, iterations=0)
    await bed.bench.host.write("PROCEDURE", procedure_word(procedure))
    for line in (0, len(targets) - 1):
        got = await bed.host.program(3, targets, procedure)
        other = targets.copy()
        other[line] -= 1
        expected = bed.golden.program(3, other, procedure)
        try:
            compare(expected.error, got.error, lambda index: f"error of line {index[0]}")
        except Mismatch:
            await bed.load()
            continue
        raise AssertionError(f"another target of line {line} has no effect")


@cocotb.test(skip=benches.current().get("chip") == "hermes")
async def reset_at_any_moment(dut: object) -> None:
    """A reset within a pulse, a read or a walk: the next PCM write is right."""
    bed = await Testbed.start(dut)
    for _ in range(benches.current()["resets"]):
        await bed.host.write_targets(random_targets(bed.random, bed.chip, 80))
        await bed.host.begin(int(bed.random.integers(pcm_write.diagonals(bed.chip))), 2)
        await Timer(int(bed.random.integers(10, 9000)), "ns")
        await reset(dut)
        await bed.load()
        await bed.program(int(bed.random.integers(pcm_write.diagonals(bed.chip))), 2)
        await bed.multiply(ReadMode.FOUR_PHASE)
        await bed.check_counters()


@cocotb.test(skip=benches.current().get("chip") == "hermes")
async def a_reset_changes_no_other_diagonal(dut: object) -> None:
    """A pulse cut short by a reset affects the devices it began at, not those at reset values."""
    bed = await Testbed.start(dut)
    state = programmable_state(bed.random, bed.chip)
    state = replace(state, noise=np.zeros_like(state.noise))
    await bed.bench.load(state)
    for _ in range(benches.current()["resets"]):
        await bed.host.begin(int(bed.random.integers(1, pcm_write.diagonals(bed.chip))), 1)
        # Pulses of the first stage follow each other with few clocks between.
        await Timer(int(bed.random.integers(100, 3000)), "ns")
        await reset(dut)
    for device in range(len(DEVICES)):
        expected = PcmWriter(bed.chip, state).read(0, device)
        got = await bed.host.read(0, device)
        compare(expected, got, lambda index: f"read of device {device}, line {index[0]}")  # noqa: B023
