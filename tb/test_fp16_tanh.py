"""The table of tanh: RTL against golden, for every binary16 value."""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock

from caduceus.golden.reference import gdpu
from caduceus.hdl.common.verilog import write
from caduceus.hdl.gdpu.fp16_tanh import Fp16Tanh
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats
from caduceus.spec.gdpu import THRESHOLDS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.copies import Copies, stream_through
from tb.test_fp16 import corners


def _prepare(variant: Variant, folder: Path) -> Design:
    bits = formats.FP16_BITS
    copies = Copies(Fp16Tanh, {"x": bits}, ("q", bits), variant.parameters["copies"])
    return Design([write(copies, "tanh_copies", folder / "tanh_copies.v")], "tanh_copies")


BENCH = Bench(
    name="fp16_tanh",
    covers=("fp16_tanh",),
    variants=(
        Variant("every_value", {"copies": 4, "every": 1}, ("verilator",)),
        Variant("some_values", {"copies": 2, "every": 61}, ("icarus",)),
    ),
    prepare=_prepare,
)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_value(dut: object) -> None:
    """Every value, or every n-th and those around thresholds and corners."""
    copies, every = benches.current()["copies"], benches.current()["every"]
    cocotb.start_soon(Clock(dut.clk, 2, "ns", impl="gpi").start())
    dut.rst.value = 0
    about = np.add.outer(np.array(THRESHOLDS), [-1, 0, 1]).ravel() % (1 << formats.FP16_BITS)
    x = np.concatenate([np.arange(0, 1 << formats.FP16_BITS, every), about, corners()])
    x = x.astype(np.uint16)
    got = await stream_through(
        dut.clk, {dut.x: (x, formats.FP16_BITS)}, dut.q, formats.FP16_BITS, Fp16Tanh.LATENCY, copies
    )
    compare(gdpu.tanh(x), got, lambda index: f"tanh({x[index]:#06x})")
