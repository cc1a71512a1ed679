"""GDPU slice: sequences of steps through its streams and registers against golden."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.chip_sources import GATE
from caduceus.hdl.gdpu.gdpu import Gdpu, units_per_group
from caduceus.hdl.gdpu.gdpu_slice import GdpuSlice
from caduceus.sim.scoreboard import Mismatch
from caduceus.spec import gdpu_registers
from caduceus.spec.gdpu import GATES
from caduceus.spec.gdpu_registers import BY_NAME, REGISTERS, Error
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.gdpu_work import KINDS, random_bits, random_config, random_gates
from tb.register_model import mask
from tb.slice_bench import SIDES, SliceBench, bytes_of

_HERE = Path(__file__).resolve().parent


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    sources = [GATE, write(GdpuSlice(chip), "gdpu_slice", folder / "gdpu_slice.v")]
    return Design(
        [*sources, _HERE / "sv" / "gated_slice.sv"], "gated_slice", {"UNITS": chip.link.units}
    )


def _sizes(lanes: int, beat: int, units: int, rounds: int = 1) -> dict[str, Any]:
    return {"chip": "tiny", "columns": 32, "lanes": 1, "units": beat, "gdpu_lanes": lanes,
            "gdpu_units": units, "rounds": rounds}  # fmt: skip


BENCH = Bench(
    name="gdpu_slice",
    covers=("gdpu_slice", "gdpu_registers", "gate_input", "hidden_output", "state_memory"),
    variants=(
        Variant("tiny", {"chip": "tiny", "rounds": 2}, ("icarus",)),
        Variant("wide_beat", _sizes(lanes=1, beat=16, units=5), ("icarus",)),
        Variant("wide_both", _sizes(lanes=4, beat=4, units=7), ("icarus",), regress=True),
        Variant("wide_lanes", _sizes(lanes=8, beat=1, units=6), ("icarus",), regress=True),
        Variant("hermes", {"chip": "hermes", "rounds": 2}, ("verilator",)),
        Variant("long", {"chip": "hermes", "rounds": 40}, ("verilator",), regress=True),
        Variant("hermes_wide", {"chip": "hermes_wide", "rounds": 40}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


async def _begun(dut: Any) -> SliceBench:
    bed = SliceBench(dut)
    await bed.start()
    return bed


async def _sequence(bed: SliceBench, steps: int) -> None:
    """Start a sequence, and answer that many steps, with vectors from either side."""
    await bed.begin(clear=bool(bed.random.random() < 0.3))
    for _ in range(steps):
        gates = random_gates(bed.random, bed.config.units)
        bed.send(int(bed.random.integers(SIDES)), bytes_of(gates))
        await bed.expect(bed.advance(gates))


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(kind=list(KINDS), shares=[(1.0, 1.0), (0.5, 1.0), (0.6, 0.5)])
async def sequences(dut: Any, kind: str, shares: tuple[float, float]) -> None:
    """Sequences of any length, to any sides, from loaded, kept or cleared states, at any pace."""
    bed = await _begun(dut)
    bed.offered, bed.readiness = shares
    random = bed.random
    for number in range(benches.current()["rounds"]):
        units = bed.units if number == 0 else int(random.integers(1, bed.units + 1))
        sides = tuple(int(bit) for bit in ((1, 1), (1, 0), (0, 1))[int(random.integers(3))])
        streams = tuple(random.integers(256, size=3).tolist())
        length = int(random.integers(4))
        await bed.configure(random_config(random, units, kind), sides, streams, length)
        if number % 2 == 0:
            hidden = random.integers(-128, 128, bed.units, dtype=np.int8)
            cell_kind = "any" if kind == "plausible" else kind
            await bed.load(hidden, random_bits(random, cell_kind, bed.units))
        await _sequence(bed, length or 2)
        await bed.check()
        if bed.running:
            await bed.reset()  # only this ends it


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def latency(dut: Any) -> None:
    """Latency from the last pre-activations to the answer, as in the slice's docstring."""
    bed = await _begun(dut)
    chip = bed.chip
    group = max(bed.beat, units_per_group(chip))
    for units in {bed.units, max(1, bed.units - 1), (bed.units + 1) // 2, 1}:
        await bed.configure(random_config(bed.random, units, "plausible"), length=1)
        await bed.begin()
        gates = random_gates(bed.random, units)
        bed.send(0, bytes_of(gates))
        began = bed.clock
        beats = await bed.expect(bed.advance(gates))
        # Several beats per group: the group is taken one clock after its last beat.
        last_in = bed.taken[0][-1].clock + int(bed.beat < chip.gdpu.lanes)
        wait = max(0, Gdpu(chip).latency - (units - 1) // group)
        first = beats[0].clock - last_in
        assert first == GdpuSlice.START_LATENCY + wait, f"{units} units: {first} clocks"
        dut._log.info(
            f"{units} units: first {first}, last {beats[-1].clock - last_in}, "
            f"whole step {beats[-1].clock - began} clocks"
        )


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(readiness=[1.0, 0.5])
async def both_sides_at_once(dut: Any, readiness: float) -> None:
    """Packets from both sides are taken one after another, north first."""
    bed = await _begun(dut)
    bed.readiness = readiness
    await bed.configure(random_config(bed.random, bed.units, "plausible"))
    await bed.begin()
    for _ in range(3):
        vectors = [random_gates(bed.random, bed.units) for _ in range(SIDES)]
        for side, gates in enumerate(vectors):
            bed.send(side, bytes_of(gates))
        for gates in vectors:
            await bed.expect(bed.advance(gates))
    await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def malformed(dut: Any) -> None:
    """Packets of wrong lengths are reported and answered; the next steps are right."""
    bed = await _begun(dut)
    for units in {bed.units, max(1, bed.units - 1), 1}:
        size, sent = len(GATES) * units, []
        lengths = (0, 1, size - 1, size + 1, size + bed.beat, 2 * size + 3)
        extras = (1, bed.beat + 1, 0)
        steps = len(lengths) + len(extras) + int(bed.beat > 1)
        await bed.configure(random_config(bed.random, units, "plausible"), length=steps)
        await bed.begin()
        for length in lengths:
            payload = bed.random.integers(-128, 128, max(size, length), dtype=np.int8)
            gates = payload[:size].copy()
            gates[length:] = 0
            bed.offered = float(bed.random.choice([0.5, 1.0]))
            bed.send(int(bed.random.integers(SIDES)), bytes_of(payload[:length]))
            await bed.expect(bed.advance(gates))
            await bed.check(Error.INPUT_SHORT if length < size else Error.INPUT_LONG)
        # The next packet follows right behind the end of the long one.
        for extra in extras:
            payload = bed.random.integers(-128, 128, size + extra, dtype=np.int8)
            bed.send(0, bytes_of(payload))
            sent.append(payload[:size])
        for gates in sent:
            await bed.expect(bed.advance(gates))
        await bed.check(Error.INPUT_LONG)
        if bed.beat > 1:
            gates = random_gates(bed.random, units)
            bed.send(0, bytes_of(gates), holes=True)
            gates[0] = 0
            await bed.expect(bed.advance(gates))
            await bed.check(Error.INPUT_SHORT)
        assert not bed.running


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def unexpected(dut: Any) -> None:
    """Outside of a sequence, packets of any length are discarded and reported."""
    bed = await _begun(dut)
    await bed.configure(random_config(bed.random, bed.units, "plausible"), length=1)
    for _ in range(2):
        for length in (0, 1, len(GATES) * bed.units, 300):
            for side in range(SIDES):
                bed.send(side, bytes_of(bed.random.integers(-128, 128, length, dtype=np.int8)))
            await bed.check(Error.INPUT_UNEXPECTED)
        await bed.begin()
        # One more than the sequence has: it waits for the answer, and is then unexpected.
        gates = random_gates(bed.random, bed.units)
        bed.send(0, bytes_of(gates))
        bed.send(1, bytes_of(gates))
        await bed.expect(bed.advance(gates))
        await bed.check(Error.INPUT_UNEXPECTED)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sequences_follow_each_other(dut: Any) -> None:
    """A sequence needs no new configuration; clear alone starts none; no side enabled is valid."""
    bed = await _begun(dut)
    config = random_config(bed.random, bed.units, "plausible")
    await bed.configure(config, length=3)
    for _ in range(2):
        await _sequence(bed, 3)
        assert not bed.running
    await bed.host.write("CONTROL", 1)
    bed.hidden[:], bed.cell[:] = 0, 0
    await bed.check()
    await bed.configure(config, enabled=(0, 0), length=1)
    await _sequence(bed, 1)
    await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(length=[3, 0])
async def no_start_within_a_sequence(dut: Any, length: int) -> None:
    """Between two steps CONTROL and LENGTH refuse writes, until an end or a reset."""
    bed = await _begun(dut)
    config = random_config(bed.random, bed.units, "plausible")
    await bed.configure(config, length=length)
    await _sequence(bed, 1)
    writes = [("CONTROL", data) for data in (0, 1, 2, 3)]
    writes += [("LENGTH", data) for data in (0, 1, 2, 3, 4)]
    for _ in range(2):
        await bed.quiet()
        assert await bed.status("running") and not await bed.status("busy")
        for name, data in writes:
            _, refused = await bed.access(True, BY_NAME[name].address, data)
            assert refused, f"{name} <- {data} within a sequence"
            assert await bed.host.read("LENGTH") == length
        await bed.check()
        gates = random_gates(bed.random, bed.units)
        bed.send(int(bed.random.integers(SIDES)), bytes_of(gates))
        await bed.expect(bed.advance(gates))
    await bed.check()
    assert bed.running == (length == 0)
    if bed.running:
        await bed.reset()
    await bed.configure(config, length=1)
    await _sequence(bed, 1)
    await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_register(dut: Any) -> None:
    """Registers read back what was written, within fields and limits; other addresses refuse."""
    bed = await _begun(dut)
    shown = {register.name: register.reset for register in REGISTERS}
    shown["SHAPE"] = bed.units | bed.chip.gdpu.lanes << 16
    for _ in range(2):  # the second pass overwrites the first
        for register in REGISTERS:
            assert await bed.host.read(register.name) == shown[register.name], register.name
            for data in (0, (1 << 32) - 1, bed.units, bed.units + 1):
                if register.name == "CONTROL":
                    data &= ~2  # no sequence may start
                value = data & mask(register)
                _, refused = await bed.access(True, register.address, data)
                wrong = register.access == "ro" or (
                    register.name == "UNITS" and not 1 <= value <= bed.units
                )
                assert refused == wrong, f"{register.name} <- {data:#x}"
                if register.access == "rw" and not wrong:
                    shown[register.name] = value
                assert await bed.host.read(register.name) == shown[register.name], register.name
    stride = gdpu_registers.HIDDEN_TABLE.stride
    edges = [0x0C, 0x28, 0x3C, 0x68, 0xFFFC, 0x01, 0x41]
    for base in (gdpu_registers.HIDDEN_TABLE.base, gdpu_registers.CELL_TABLE.base):
        edges += [base - stride, base + stride * bed.units, base + 1, base + 2]
    for address in edges:
        for writes in (False, True):
            _, refused = await bed.access(writes, address, 1)
            assert refused, f"{address:#06x} is in the map"
    for written, read in ((0x185, 0xFFFFFF85), (0x7F, 0x7F), (0x80, 0xFFFFFF81)):
        await bed.access(True, gdpu_registers.HIDDEN_TABLE.base, written)
        got, _ = await bed.access(False, gdpu_registers.HIDDEN_TABLE.base)
        assert got == read, f"hidden state {written:#x} reads as {got:#x}"
    await bed.reset()
    for name in ("UNITS", "OUTPUT_SCALE", "INPUT_SCALE_F"):
        assert await bed.host.read(name) == BY_NAME[name].reset, name
    await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def locked_while_busy(dut: Any) -> None:
    """With a vector inside, locked registers refuse writes, and all can be read."""
    bed = await _begun(dut)
    await bed.configure(random_config(bed.random, bed.units, "plausible"))
    await bed.begin()
    bed.readiness = 0.0
    gates = random_gates(bed.random, bed.units)
    bed.send(1, bytes_of(gates))
    await bed.until("a vector has begun", lambda: bed.taken[1])
    states = (gdpu_registers.HIDDEN_TABLE.base, gdpu_registers.CELL_TABLE.base)
    addresses = [register.address for register in REGISTERS if register.locked]
    for address in (*addresses, *states):
        _, refused = await bed.access(True, address, 1)
        assert refused, f"{address:#06x} was written"
    assert await bed.status("busy") and await bed.status("running")
    for address in (*(register.address for register in REGISTERS), *states):
        _, refused = await bed.access(False, address)
        assert not refused, f"{address:#06x} cannot be read"
    bed.readiness = 1.0
    await bed.expect(bed.advance(gates))
    await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_at_any_moment(dut: Any) -> None:
    """After a reset within a packet, step or answer, all is as after the first reset."""
    bed = await _begun(dut)
    for _ in range(6):
        await bed.configure(random_config(bed.random, bed.units, "plausible"))
        await bed.begin()
        gates = random_gates(bed.random, bed.units)
        bed.send(0, bytes_of(gates))
        await ClockCycles(dut.clk, int(bed.random.integers(1, 8 * bed.units + 40)))
        await bed.reset()
        await bed.check()
        await bed.configure(random_config(bed.random, bed.units, "plausible"), length=1)
        await _sequence(bed, 1)
        await bed.check()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(what=["gates", "hidden", "cell"])
async def one_bit(dut: Any, what: str) -> None:
    """The comparison finds an inverted bit of a vector or a state."""
    bed = await _begun(dut)
    await bed.configure(random_config(bed.random, bed.units, "plausible"))
    hidden = bed.random.integers(-100, 100, bed.units, dtype=np.int8)
    await bed.load(hidden, np.full(bed.units, 0x3A00, dtype=np.uint16))
    unit = int(bed.random.integers(bed.units))
    try:
        if what == "hidden":
            bed.hidden[unit] ^= 1
        await bed.begin()
        gates = np.full(len(GATES) * bed.units, 10, dtype=np.int8)
        bed.send(0, bytes_of(gates))
        if what == "gates":
            gates[len(GATES) * unit + int(bed.random.integers(len(GATES)))] ^= 0x40
        if what == "cell":
            bed.cell[unit] ^= 1 << 13
        await bed.expect(bed.advance(gates))
        await bed.check()
    except Mismatch:
        return
    raise AssertionError(f"a bit of {what} has no effect")
