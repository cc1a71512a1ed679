"""cocotb side of `caduceus sim` for a whole chip: a program's inputs through all tiles in RTL."""

import os
import time
from collections import defaultdict
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import First, RisingEdge, Timer
from numpy.typing import NDArray

from golden import chip as golden_chip
from spec import chip as chip_description
from spec import pcm_state, program_image
from spec.chip import Chip
from spec.program import ChipProgram
from tb import beats
from tb.chip_host import ChipHost
from tb.chip_job import VARIABLE, ChipJob, ChipOutcome, peak_mib
from tb.network_job import Step
from tb.scoreboard import Mismatch, compare
from tb.tile_host import EventPort, reset, start_clock

LOOK_EVERY_CLOCKS = 2_000
"""Clocks of `sync` between two looks at how far the simulation is."""
PATIENCE = 20
"""Looks without a new beat after which the chip is taken to hang."""


def packets(vectors: NDArray[np.int8], stream: int, units: int) -> NDArray[np.int8]:
    """Vectors with a beat for the preamble in front of each."""
    preamble = np.zeros((len(vectors), units), dtype=np.uint8)
    preamble[:, 0] = stream
    return np.concatenate([preamble.view(np.int8), vectors], axis=1)


def write_inputs(folder: Path, program: ChipProgram, chip: Chip, x: NDArray[np.int8]) -> None:
    """Write what the host sends on each of its streams: for every vector its parts, in order."""
    units = chip.link.units
    for port in range(len(chip.host.inputs)):
        path = folder / f"input_{port}.txt"
        mine = [part for part in program.inputs if part.port == port]
        path.write_text("", encoding="ascii")
        if len(mine) == 1:
            part = mine[0]
            chosen = x[:, part.start : part.start + part.length]
            beats.write(path, packets(chosen, part.stream, units), units)
        elif mine:
            with path.open("w", encoding="ascii") as file:
                for vector in x:
                    for part in mine:
                        chosen = vector[np.newaxis, part.start : part.start + part.length]
                        once = path.with_suffix(".part")
                        beats.write(once, packets(chosen, part.stream, units), units)
                        file.write(once.read_text(encoding="ascii"))


def expected_beats(program: ChipProgram, chip: Chip, vectors: int) -> list[int]:
    """Beats that each host output gives for a number of input vectors."""
    units = chip.link.units
    return [
        vectors
        * sum(
            1 + beats.beats_per_vector(part.length, units)
            for part in program.outputs
            if part.port == port
        )
        for port in range(len(chip.host.outputs))
    ]


def read_outputs(folder: Path, program: ChipProgram, chip: Chip, vectors: int) -> NDArray[np.int8]:
    """The output vectors from what was recorded, int8 [vectors, output_length].

    Raises:
        AssertionError: packets are not those that the program sends.
    """
    units = chip.link.units
    result = np.zeros((vectors, program.output_length), dtype=np.int8)
    for port in range(len(chip.host.outputs)):
        mine = {part.stream: part for part in program.outputs if part.port == port}
        got = beats.read_packets(folder / f"output_{port}.txt", units)
        seen = dict.fromkeys(mine, 0)
        for packet in got:
            stream = int(packet[0]) & 0xFF
            assert stream in mine, f"host output {port}: a packet of stream {stream}"
            part, payload = mine[stream], packet[units:]
            assert len(payload) == part.length, (
                f"host output {port}, stream {stream}: {len(payload)} values"
            )
            result[seen[stream], part.start : part.start + part.length] = payload
            seen[stream] += 1
        assert all(count == vectors for count in seen.values()), f"host output {port}: {seen}"
    return result


def vector_ends(folder: Path, program: ChipProgram, chip: Chip, vectors: int) -> list[int]:
    """For every vector, the clock in which the last beat of its last output packet left."""
    latest = [0] * vectors
    for port in sorted({part.port for part in program.outputs}):
        path = folder / f"output_{port}.txt"
        seen: dict[int, int] = defaultdict(int)
        packets_of_port = beats.read_packets(path, chip.link.units)
        for packet, end in zip(packets_of_port, beats.ends(path).tolist(), strict=True):
            vector = seen[int(packet[0]) & 0xFF]
            seen[int(packet[0]) & 0xFF] += 1
            latest[vector] = max(latest[vector], end)
    return latest


@cocotb.test()
async def run_chip(dut: object) -> None:
    """Run the job, and leave its outcome beside it."""
    folder = Path(os.environ[VARIABLE])
    job = ChipJob.load(folder)
    chip = chip_description.find(job.chip)
    program = program_image.load(folder / "program.bin", chip)
    state = pcm_state.load(folder / "state.pcm", chip)
    x = np.load(folder / "inputs.npy")
    golden = golden_chip.run(program, chip, state, x)
    streams = Path("streams")
    streams.mkdir(exist_ok=True)
    write_inputs(streams, program, chip, x)

    dut.start.value = 0
    for port, count in enumerate(expected_beats(program, chip, len(x))):
        getattr(dut, f"expected_{port}").value = count
    for port in range(len(chip.host.inputs)):
        packets_a_vector = sum(part.port == port for part in program.inputs)
        getattr(dut, f"first_{port}").value = packets_a_vector
    start_clock(dut.aclk, job.clock_half_periods_ps[0])
    start_clock(dut.mvm_clk, job.clock_half_periods_ps[1])
    host = ChipHost(EventPort(dut, dut.aclk), chip)
    await reset(dut)
    await host.load(program)

    started, processor = time.monotonic(), time.process_time()
    before = int(dut.aclk_cycles.value), int(dut.mvm_cycles.value)
    await RisingEdge(dut.aclk)
    dut.start.value = 1
    await RisingEdge(dut.aclk)
    dut.start.value = 0
    await RisingEdge(dut.aclk)
    await RisingEdge(dut.aclk)
    total, recorded, idle = sum(expected_beats(program, chip, len(x))), 0, 0
    while not int(dut.done.value):
        await First(
            RisingEdge(dut.done),
            Timer(LOOK_EVERY_CLOCKS * 2 * job.clock_half_periods_ps[0], "ps"),
        )
        now = int(dut.recorded.value)
        idle = 0 if now != recorded else idle + 1
        assert idle < PATIENCE, f"the chip stopped after {now} of {total} beats"
        recorded = now
        Step(program.network, now * len(x) // total, len(x)).save(Path())
    after = int(dut.aclk_cycles.value), int(dut.mvm_cycles.value)
    seconds = time.monotonic() - started
    cocotb.log.info("%.2f s of processor time", time.process_time() - processor)
    assert not int(dut.surplus.value), "more beats than expected"
    errors = await host.errors()
    assert not errors, f"ERROR registers by tile: {errors}"

    outputs = read_outputs(streams, program, chip, len(x))
    compared, mismatches, first = 0, 0, ""
    try:
        compared = compare(golden, outputs, lambda at: f"vector {at[0]}, output {at[1:]}").compared
    except Mismatch as mismatch:
        compared, mismatches, first = mismatch.compared, mismatch.mismatches, str(mismatch)
    ChipOutcome(
        values_compared=compared,
        mismatches=mismatches,
        first_mismatch=first,
        cycles={"sync": after[0] - before[0], "mvm": after[1] - before[1]},
        began=int(dut.began.value),
        fed=int(dut.fed.value),
        ends=vector_ends(streams, program, chip, len(x)),
        mvms={str(tile): count for tile, count in (await host.count("MVMS", program)).items()},
        stalled={
            str(tile): count for tile, count in (await host.count("STALL_CYCLES", program)).items()
        },
        simulate_seconds=seconds,
        peak_mib=peak_mib(),
    ).save(folder)
