"""Activation buffer: random writes and reads at once, against a plain array."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.activation_buffer import ActivationBuffer
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized

CLOCK_NS = 2


def _prepare(variant: Variant, folder: Path) -> Design:
    component = ActivationBuffer(sized(variant.parameters))
    return Design([write(component, "buffer", folder / "buffer.v")], "buffer")


BENCH = Bench(
    name="activation_buffer",
    covers=("activation_buffer",),
    variants=(
        Variant("tiny", {"chip": "tiny", "activation": 64, "clocks": 3000}),
        Variant("bank1", {"chip": "tiny", "activation": 17, "gather": 1, "clocks": 1000},
                ("icarus",)),
        Variant("units4", {"chip": "tiny", "rows": 64, "lanes": 4, "gather": 8, "activation": 120,
                           "clocks": 3000}, ("icarus",)),
        Variant("hermes_wide", {"chip": "hermes_wide", "clocks": 10_000}, ("verilator",), True),
    ),
    prepare=_prepare,
)  # fmt: skip


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_and_writes(dut: Any) -> None:
    """A byte can be read one clock after its write; read data holds until the next read."""
    chip = sized(benches.current())
    random = Random(int(benches.generator().integers(1 << 62)))
    size, banks, units = chip.buffers.activation, chip.buffers.gather, chip.link.units
    memory = np.zeros(size, np.uint8)
    due = None  # bytes by lane
    await Timer(CLOCK_NS, "ns")
    Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    near = random.randrange(size)  # reads follow writes closely
    for _ in range(benches.current()["clocks"]):
        if random.random() < 0.02:
            near = random.randrange(size)
        count = random.randint(0, units)
        at = min(near + random.randrange(2 * banks), size - count)
        data, writes = random.randbytes(units), random.random() < 0.7
        start, lane = min(near + random.randrange(2 * banks), size - 1), random.randrange(banks)
        reads = random.random() < 0.7
        dut.write_enable.value, dut.write_address.value = int(writes), at % size
        dut.write_count.value, dut.write_data.value = count, int.from_bytes(data, "little")
        dut.read_enable.value, dut.read_address.value, dut.read_lane.value = int(reads), start, lane
        await RisingEdge(dut.clk)
        if due is not None:
            got = int(dut.read_data.value.resolve("zeros")).to_bytes(banks, "little")
            assert {k: got[k] for k in due} == due, f"expected {due}, got {list(got)}"
        if reads:
            written = range(at, at + count) if writes else ()
            # Bytes past the end, or being written, are don't-care.
            due = {
                (lane + k) % banks: int(memory[start + k])
                for k in range(min(banks, size - start))
                if start + k not in written
            }
        if writes:
            memory[at : at + count] = np.frombuffer(data[:count], np.uint8)
