"""Conversions between counts, INT8 and binary16: RTL against golden, exhaustive."""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock

from caduceus.golden.reference import convert
from caduceus.hdl.common.convert import Fp16ToInt8, Int8ToFp16, Uint12ToFp16
from caduceus.hdl.common.verilog import write
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.copies import Copies, stream_through

COPIES = 32
TOP = "convert_copies"
BLOCKS = {
    "uint12_to_fp16": (Uint12ToFp16, "count", 12, "value", 16),
    "int8_to_fp16": (Int8ToFp16, "integer", 8, "value", 16),
    "fp16_to_int8": (Fp16ToInt8, "value", 16, "integer", 8),
}


def _prepare(variant: Variant, folder: Path) -> Design:
    block, source, width, *result = BLOCKS[variant.parameters["block"]]
    copies = Copies(block, {source: width}, tuple(result), COPIES)
    return Design([write(copies, TOP, folder / f"{TOP}.v")], TOP)


BENCH = Bench(
    name="convert",
    covers=("convert",),
    variants=tuple(Variant(name, {"block": name}) for name in BLOCKS),
    prepare=_prepare,
)


@cocotb.test()
async def every_input(dut: object) -> None:
    """The whole input range, once."""
    name = benches.current()["block"]
    block, source, width, result, result_width = BLOCKS[name]
    cocotb.start_soon(Clock(dut.clk, 2, "ns", impl="gpi").start())
    dut.rst.value = 0
    values = np.arange(1 << width, dtype=np.uint16)
    got = await stream_through(
        dut.clk, {getattr(dut, source): (values, width)}, getattr(dut, result), result_width,
        block.LATENCY, COPIES,
    )  # fmt: skip
    expected = {
        "uint12_to_fp16": lambda: convert.from_uint12(values),
        "int8_to_fp16": lambda: convert.from_int8(values.astype(np.uint8).view(np.int8)),
        "fp16_to_int8": lambda: convert.to_int8(values).view(np.uint8).astype(np.uint16),
    }[name]()
    wrong = np.flatnonzero(expected != got)
    assert not len(wrong), (
        f"{len(wrong)} wrong, first {values[wrong[0]]:#x}: expected {expected[wrong[0]]:#x}, "
        f"got {got[wrong[0]]:#x}"
    )
