"""Bench of the read-noise generator: against golden, and against published test vectors."""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from caduceus.golden.reference import read_noise
from caduceus.hdl.array import pcm_array
from caduceus.sim.scoreboard import compare
from caduceus.spec import read_noise as spec
from caduceus.spec.chip import Chip
from tb import benches
from tb.benches import Bench, Design, Variant

# Philox4x32-10 known answers, from the authors' Random123 distribution (kat_vectors): counter, key,
# result.
KNOWN_ANSWERS = (
    (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000), (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)  # fmt: skip
ADDRESS_BITS = {"seed": 64, "group": 32, "read": 32, "tile": 32, "phase": 32}


def _prepare(variant: Variant, folder: Path) -> Design:
    tables, source, *_ = pcm_array.write_sources(folder, Chip.find("tiny"))
    wrapper = Path(__file__).with_name("sv") / "read_noise_bench.sv"
    return Design([tables, source, wrapper], "read_noise_bench")


BENCH = Bench(
    name="read_noise",
    covers=("read_noise.sv",),
    variants=(Variant("plain", {"draws": 500}), Variant("long", {"draws": 50_000}, regress=True)),
    prepare=_prepare,
)


class Generator:
    """Drives the generator; an address is a dict of `ADDRESS_BITS`."""

    def __init__(self, dut: object) -> None:
        self._dut = dut

    async def start(self) -> None:
        """Start the clock, without a draw."""
        self._dut.draw.value = 0
        Clock(self._dut.clk, 2, "ns", impl="gpi").start()
        await FallingEdge(self._dut.clk)

    async def draw(self, address: dict[str, int]) -> NDArray[np.int32]:
        """Four samples."""
        for name, value in address.items():
            getattr(self._dut, name).value = value
        self._dut.draw.value = 1
        await FallingEdge(self._dut.clk)
        self._dut.draw.value = 0
        packed = int(self._dut.samples.value).to_bytes(16, "little")
        return np.frombuffer(packed, dtype="<i4")


def _golden(address: dict[str, int]) -> NDArray[np.int32]:
    """Golden's samples of one draw: the last draw of just enough columns."""
    columns = spec.COLUMNS_PER_DRAW * (address["group"] + 1)
    samples = read_noise.samples(
        address["seed"], address["tile"], [address["read"]], address["phase"], columns
    )
    return samples[0, -spec.COLUMNS_PER_DRAW :]


def _random_address(stimulus: np.random.Generator) -> dict[str, int]:
    address = {
        name: int.from_bytes(stimulus.bytes(bits // 8), "little")
        for name, bits in ADDRESS_BITS.items()
    }
    # Golden computes every draw up to this one, so the column number must be small.
    return address | {"group": address["group"] % 256}


@cocotb.test()
async def known_answers(dut) -> None:
    """The words of the published test vectors, as samples from the table of spec/."""
    generator = Generator(dut)
    await generator.start()
    for (group, read, tile, phase), (low, high), words in KNOWN_ANSWERS:
        address = {
            "seed": high << 32 | low, "group": group, "read": read, "tile": tile, "phase": phase
        }  # fmt: skip
        expected = [sum(spec.QUANTILES[byte] for byte in word.to_bytes(4)) for word in words]
        compare(expected, await generator.draw(address), lambda index: f"word {index[0]}")


@cocotb.test()
async def random_addresses(dut) -> None:
    """Random addresses give golden's samples."""
    generator, stimulus = Generator(dut), benches.generator()
    await generator.start()
    for _ in range(benches.current()["draws"]):
        address = _random_address(stimulus)

        def describe(index: tuple[int, ...], address: dict[str, int] = address) -> str:
            return f"{address}, column {index[0]} of 4"

        compare(_golden(address), await generator.draw(address), describe)


@cocotb.test()
async def every_bit_of_an_address_counts(dut) -> None:
    """Any inverted bit of the address changes the samples."""
    generator = Generator(dut)
    await generator.start()
    address = _random_address(benches.generator())
    before = await generator.draw(address)
    for name, bits in ADDRESS_BITS.items():
        for bit in range(bits):
            other = address | {name: address[name] ^ 1 << bit}
            assert (await generator.draw(other) != before).any(), f"bit {bit} of {name}"


@cocotb.test()
async def samples_stay_until_the_next_draw(dut) -> None:
    """Without the strobe nothing is drawn, so the number of reads has no effect."""
    generator = Generator(dut)
    await generator.start()
    address = _random_address(benches.generator())
    before = await generator.draw(address)
    dut.read.value = address["read"] ^ 1
    await FallingEdge(dut.clk)
    held = int(dut.samples.value).to_bytes(16, "little")
    compare(before, np.frombuffer(held, "<i4"), lambda index: f"column {index[0]}")
