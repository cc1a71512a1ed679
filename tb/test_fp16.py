"""binary16 fused multiply-add: RTL against golden, corner cases crossed and random triples."""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock

from caduceus.golden.reference import fp16
from caduceus.hdl.common.fp16 import Fp16Fma
from caduceus.hdl.common.verilog import write
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.copies import Copies, stream_through


def _prepare(variant: Variant, folder: Path) -> Design:
    negate = variant.parameters["negate_product"]
    copies = Copies(
        lambda: Fp16Fma(negate_product=negate),
        {"a": 16, "b": 16, "c": 16},
        ("q", 16),
        variant.parameters["copies"],
    )
    return Design([write(copies, "fma_copies", folder / "fma_copies.v")], "fma_copies")


def _variant(copies: int, triples: int, negate: bool = False, every: int = 1) -> dict[str, int]:
    """`triples` at random, every triple of each `every`th corner value, `copies` per clock."""
    return {"copies": copies, "triples": triples, "negate_product": negate, "every": every}


BENCH = Bench(
    name="fp16",
    covers=("fp16",),
    variants=(
        Variant("plain", _variant(copies=16, triples=40_000), ("verilator",)),
        Variant("negated", _variant(negate=True, copies=16, triples=40_000), ("verilator",)),
        Variant(
            "negated_long",
            _variant(negate=True, copies=64, triples=1_000_000),
            ("verilator",),
            regress=True,
        ),
        Variant("small", _variant(copies=4, triples=4_000, every=4), ("icarus",)),
        Variant("long", _variant(copies=64, triples=20_000_000), ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


def corners() -> np.ndarray:
    """Corner values of binary16 arithmetic, in both signs."""
    positive = {0x0000, 0x0001, 0x0002, 0x0003, 0x01FF, 0x0200, 0x0201, 0x03FE, 0x03FF, 0x0400}
    positive |= {0x0401, 0x07FF, 0x0800, 0x3BFF, 0x3C00, 0x3C01, 0x3555, 0x5BFF, 0x6400, 0x6801}
    positive |= {0x77FF, 0x7800, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7DFF, 0x7E00, 0x7FFF}
    positive |= {exponent << 10 | fraction for exponent in range(0, 31, 5) for fraction in (0, 341)}
    values = np.array(sorted(positive), dtype=np.uint16)
    return np.concatenate([values, values | 0x8000])


async def check(dut: object, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Push triples through the RTL and compare with the golden model."""
    negate = benches.current()["negate_product"]
    cocotb.start_soon(Clock(dut.clk, 2, "ns", impl="gpi").start())
    dut.rst.value = 0
    got = await stream_through(
        dut.clk,
        {dut.a: (a, 16), dut.b: (b, 16), dut.c: (c, 16)},
        dut.q, 16, Fp16Fma.LATENCY, benches.current()["copies"],
    )  # fmt: skip
    expected = fp16.fma(a, b, c, negate_product=negate)
    wrong = np.flatnonzero(expected != got)
    if len(wrong):
        i = wrong[0]
        sign = "-" if negate else ""
        raise AssertionError(
            f"{len(wrong)} of {len(got)} wrong, first {sign}{a[i]:#06x} * {b[i]:#06x} + "
            f"{c[i]:#06x}: expected {expected[i]:#06x}, got {got[i]:#06x}"
        )


@cocotb.test()
async def corner_triples(dut: object) -> None:
    """All triples of corner values."""
    values = corners()[:: benches.current()["every"]]
    a, b, c = (grid.reshape(-1) for grid in np.meshgrid(values, values, values, indexing="ij"))
    await check(dut, a, b, c)


@cocotb.test()
async def random_triples(dut: object) -> None:
    """Random bits, and random triples whose addend nearly cancels the product."""
    random = benches.generator()
    for _ in range(-(-benches.current()["triples"] // 500_000)):
        count = min(benches.current()["triples"], 500_000)
        a, b, c = random.integers(0, 1 << 16, (3, count), dtype=np.uint16)
        half = count // 2
        with np.errstate(all="ignore"):
            product = a[:half].view(np.float16) * b[:half].view(np.float16)
        near = random.integers(-2, 3, half).astype(np.uint16)
        c[:half] = (product.view(np.uint16) ^ 0x8000) + near
        await check(dut, a, b, c)
