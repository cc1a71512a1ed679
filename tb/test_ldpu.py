"""LDPU: counts to INT8 against golden, for random constants, flags, gaps and group orders."""

from itertools import product
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.golden.reference import ldpu
from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.ldpu import Ldpu, value_bits
from caduceus.sim.scoreboard import With, compare, named
from caduceus.spec import formats
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.copies import pack, unpack
from tb.test_fp16 import corners

CLOCK_NS = 2
FLAGS = ("relu_1", "relu_2", "rx_enable")
PATIENCE = 4
"""Multiple of the minimum clocks of the groups before a hang."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = Ldpu(sized(variant.parameters))
    return Design([write(component, "ldpu", folder / "ldpu.v")], "ldpu")


BENCH = Bench(
    name="ldpu",
    covers=("ldpu",),
    variants=(
        Variant("tiny", {"chip": "tiny", "groups": 200}),
        Variant("lanes2", {"chip": "tiny", "rows": 20, "columns": 20, "lanes": 2, "groups": 120},
                ("icarus",)),
        Variant("lanes4", {"chip": "tiny", "columns": 48, "lanes": 4, "groups": 60}, ("icarus",),
                regress=True),
        Variant("binary16", {"chip": "tiny", "columns": 48, "lanes": 4, "groups": 150,
                             "partial_sums": "binary16"}, regress=("icarus",)),
        Variant("one_group", {"chip": "tiny", "rows": 4, "columns": 4, "lanes": 4, "gdpu_units": 1,
                              "groups": 100}, ("icarus",), True),
        Variant("hermes", {"chip": "hermes", "groups": 800}, ("verilator",), True),
        Variant("lanes16", {"chip": "hermes", "lanes": 16, "groups": 60_000}, ("verilator",),
                regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed:
    """Drives one LDPU and keeps a copy of the constants written.

    Attributes:
        constants: uint16 [columns, 5].
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.chip = sized(benches.current())
        self.lanes = self.chip.ldpu.lanes
        self.bits = value_bits(self.chip)
        self.may_binary16 = self.chip.link.partial_sums == "binary16"
        self.random = benches.generator()
        self.edge = RisingEdge(dut.clk)
        resets = np.array([constant.reset for constant in formats.COLUMN_CONSTANTS])
        self.constants = np.tile(resets.astype(np.uint16), (self.chip.array.columns, 1))

    async def start(self) -> None:
        """Drive idle inputs, start the clock, reset."""
        for name in (
            "valid",
            "last",
            "rx_valid",
            "result_room",
            "rx_enable",
            "relu_1",
            "relu_2",
            "rx_binary16",
            "tx_binary16",
            "constant_write",
        ):
            getattr(self.dut, name).value = 0
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset; returns just after the first clock without."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await self.edge

    def places(self) -> NDArray[np.int64]:
        """Column and index of every constant, [places, 2], in random order."""
        grid = product(range(self.chip.array.columns), range(len(formats.COLUMN_CONSTANTS)))
        return self.random.permutation(np.array(list(grid)))

    async def write(self, constants: NDArray[np.uint16]) -> None:
        """Write every constant, uint16 [columns, 5], one per clock, in random order."""
        dut = self.dut
        for column, index in self.places().tolist():
            dut.constant_column.value, dut.constant_index.value = column, index
            dut.constant_data.value = int(constants[column, index])
            dut.constant_write.value = 1
            await self.edge
        dut.constant_write.value = 0
        self.constants = constants

    async def check_constants(self) -> None:
        """Read every constant, one per clock, in random order, and compare."""
        dut, places = self.dut, self.places()
        got = []
        for number, (column, index) in enumerate(places.tolist()):
            dut.constant_column.value, dut.constant_index.value = column, index
            dut.constant_data.value = int(self.random.integers(1 << formats.FP16_BITS))
            await self.edge
            if number:  # data come one clock after the address
                got.append(int(dut.constant_value.value))
        await self.edge
        got.append(int(dut.constant_value.value))
        compare(
            self.constants[places[:, 0], places[:, 1]],
            got,
            lambda index: (
                f"column {places[index[0], 0]}, "
                f"constant {formats.COLUMN_CONSTANTS[places[index[0], 1]].name}"
            ),
        )

    async def process(
        self,
        p: NDArray,
        n: NDArray,
        rx: NDArray,
        flags: tuple[int, int, int],
        rx_scale: int,
        gaps: float,
    ) -> NDArray:
        """Push groups through, [groups, lanes], and compare every result; RX may be late.

        Where the chip can, RX values, results or both are binary16 at random.

        Args:
            p: P counts; each is for a random group of columns.
            n: N counts.
            rx: RX values, INT8; converted to binary16 if need be.
            flags: relu_1, relu_2, rx_enable.
            rx_scale: binary16 bits.
            gaps: share of clocks without a valid group, with random values.

        Returns:
            [groups, lanes], the results: int8, or uint16 for binary16.
        """  # fmt: skip
        dut, random = self.dut, self.random
        rx_binary16, tx_binary16 = (random.random(2) < 0.5) & self.may_binary16
        dut.rx_binary16.value, dut.tx_binary16.value = bool(rx_binary16), bool(tx_binary16)
        if rx_binary16:
            any_bits = random.integers(1 << formats.FP16_BITS, size=rx.shape, dtype=np.uint16)
            rx = np.where(random.random(rx.shape) < 0.2, any_bits, _half(rx * 1.37))
        for name, flag in zip(FLAGS, flags, strict=True):
            getattr(dut, name).value = flag
        dut.rx_scale.value = rx_scale
        count = len(p)
        valid = np.zeros(int(count / (1 - gaps)) + 1, dtype=bool)
        valid[random.choice(len(valid), count, replace=False)] = True
        clocks = len(valid)
        values = {}
        for name, given, most in (
            ("p", p, formats.COUNT_MAX),
            ("n", n, formats.COUNT_MAX),
            ("rx", rx.view(f"u{rx.itemsize}"), 255),
        ):
            values[name] = random.integers(0, most + 1, (clocks, self.lanes))
            values[name][valid] = given
        group = random.integers(0, self.chip.column_groups, clocks)
        last = random.random(clocks) < 0.1
        ended, got = await self._stream(valid, group, last, values)
        got = got.astype(np.uint16) if tx_binary16 else got.astype(np.uint8).view(np.int8)

        compare(last[valid], ended, lambda i: f"result_last of group {i[0]}")
        columns = group[valid, np.newaxis] * self.lanes + np.arange(self.lanes)
        expected = self.golden(p, n, rx, columns, flags, rx_scale, bool(tx_binary16))
        compare(
            expected,
            got,
            lambda index: With(
                f"group {index[0]}, lane {index[1]}, column {columns[index]}",
                named(
                    p=p[index],
                    n=n[index],
                    rx=rx[index],
                    **dict(zip(FLAGS, flags, strict=True)),
                    rx_binary16=rx_binary16,
                    tx_binary16=tx_binary16,
                    rx_scale=f"{rx_scale:#06x}",
                    **{
                        constant.name: f"{bits:#06x}"
                        for constant, bits in zip(
                            formats.COLUMN_CONSTANTS, self.constants[columns[index]], strict=True
                        )
                    },
                ),
            ),
        )
        return expected

    def golden(
        self,
        p: NDArray,
        n: NDArray,
        rx: NDArray,
        columns: NDArray,
        flags: tuple[int, int, int],
        rx_scale: int,
        tx_binary16: bool = False,
    ) -> NDArray:
        """Results of the golden model, all [groups, lanes], and flags as in `process`.

        The model computes each as a column of its own, of one long vector.
        """  # fmt: skip
        relu_1, relu_2, rx_enable = map(bool, flags)
        constants = self.constants[columns.reshape(-1)]
        results = ldpu.process(
            p.reshape(1, -1), n.reshape(1, -1), constants, relu_1, relu_2,
            rx.reshape(1, -1) if rx_enable else None, rx_scale, tx_binary16,
        )  # fmt: skip
        return results.reshape(p.shape)

    async def _stream(
        self, valid: NDArray, group: NDArray, last: NDArray, values: dict[str, NDArray]
    ) -> tuple[NDArray, NDArray]:
        """One clock per entry, if there is room; returns result_last and result of each group."""
        dut, lanes = self.dut, self.lanes
        widths = {"p": formats.COUNT_BITS, "n": formats.COUNT_BITS, "rx": self.bits}
        words = {name: [pack(row, widths[name]) for row in values[name]] for name in values}
        # RX values, and room for the result, may come after their group, which then waits.
        rx = [word for word, real in zip(words["rx"], valid.tolist(), strict=True) if real]
        slow = self.random.random() < 0.5
        fed, ended, results, room = 0, [], [], False
        added = 0
        clocks = 0
        dut.group.value = int(group[0])
        await self.edge
        while len(results) < len(rx):
            clocks += 1
            assert clocks < PATIENCE * (len(valid) + Ldpu.DEPTH), (
                f"{len(results)} results of {len(rx)} in {clocks} clocks"
            )
            comes = fed < len(valid) and (room or not valid[fed])
            dut.valid.value = bool(comes and valid[fed])
            if comes:
                dut.p.value, dut.n.value = words["p"][fed], words["n"][fed]
                dut.last.value = bool(last[fed])
                fed += 1
                if fed < len(valid):  # the group number comes one clock early
                    dut.group.value = int(group[fed])
            here = added < len(rx) and not (slow and self.random.random() < 0.3)
            dut.rx_valid.value = here
            rubbish = int.from_bytes(self.random.bytes(lanes), "little")
            dut.rx.value = rx[added] if here else rubbish
            dut.result_room.value = not (slow and self.random.random() < 0.2)
            await self.edge
            room = bool(dut.room.value)
            rx_taken = bool(dut.rx_take.value)
            assert not rx_taken or here, "rx_take without rx_valid"
            added += rx_taken
            if dut.result_valid.value:
                ended.append(bool(dut.result_last.value))
                results.append(int(dut.result.value))
        if not slow and valid.all():
            least = len(valid) + Ldpu.SCALE_LATENCY + Ldpu.ADD_LATENCY
            assert clocks <= least + 4, f"{clocks} clocks for {len(valid)} groups"
        dut.valid.value = 0
        for _ in range(Ldpu.DEPTH):
            await self.edge
            assert not dut.result_valid.value, "result without a group"
        return np.array(ended), np.array([unpack(word, self.bits, lanes) for word in results])

    def counts(self, groups: int) -> NDArray[np.uint16]:
        """Counts [groups, lanes] of all magnitudes, corners among them."""
        corner = self.random.choice([0, 1, 2047, 2048, 2049, 2051, 4094, 4095], groups * self.lanes)
        small = self.random.integers(0, 300, groups * self.lanes)
        any_size = self.random.integers(0, formats.COUNT_MAX + 1, groups * self.lanes)
        kind = self.random.integers(0, 3, groups * self.lanes)
        return np.choose(kind, [corner, small, any_size]).astype(np.uint16).reshape(-1, self.lanes)

    def rx(self, groups: int) -> NDArray[np.int8]:
        """RX values [groups, lanes]."""
        return self.random.integers(
            -formats.INT8_MAX, formats.INT8_MAX + 1, (groups, self.lanes), dtype=np.int8
        )


def _half(values: NDArray) -> NDArray[np.uint16]:
    return values.astype(np.float16).view(np.uint16)


def plausible(random: np.random.Generator, columns: int) -> NDArray[np.uint16]:
    """Constants as of a calibrated chip, [columns, 5]: results spread over all of INT8."""
    ranges = {"gain_p": (0.8, 1.2), "gain_n": (0.8, 1.2), "offset": (-30, 30),
              "scale": (0.02, 0.2), "bias": (-30, 30)}  # fmt: skip
    drawn = [
        random.uniform(*ranges[constant.name], columns) for constant in formats.COLUMN_CONSTANTS
    ]
    return _half(np.stack(drawn, axis=1))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_values(dut: Any) -> None:
    """Before the first write, the constants have the values of the specification."""
    bed = Testbed(dut)
    await bed.start()
    await bed.check_constants()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def constants_read_back(dut: Any) -> None:
    """Every constant of every column holds its own value, also while groups are processed."""
    bed = Testbed(dut)
    await bed.start()
    shape = bed.constants.shape
    for _ in range(2):
        await bed.write(bed.random.integers(0, 1 << formats.FP16_BITS, shape, dtype=np.uint16))
        await bed.check_constants()
    await bed.write(plausible(bed.random, shape[0]))
    groups = bed.constants.size
    reading = cocotb.start_soon(bed.check_constants())
    await bed.process(bed.counts(groups), bed.counts(groups), bed.rx(groups), (0, 0, 0), 0, 0.0)
    await reading


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(gaps=[0.0, 0.4])
async def every_flag(dut: Any, gaps: float) -> None:
    """Plausible constants, every combination of flags; each flag has an effect."""
    bed = Testbed(dut)
    await bed.start()
    await bed.write(plausible(bed.random, bed.chip.array.columns))
    groups = benches.current()["groups"]
    p, n, rx = bed.counts(groups), bed.counts(groups), bed.rx(groups)
    for flags in product((0, 1), repeat=3):
        rx_scale = int(_half(bed.random.uniform(-2, 2, 1))[0])
        results = await bed.process(p, n, rx, flags, rx_scale, gaps)
        columns = bed.random.integers(0, bed.chip.array.columns, p.shape)
        right = bed.golden(p, n, rx, columns, flags, rx_scale)
        for place in range(3):
            # With both ReLUs and nothing in between, either alone has the same effect.
            if flags[place] and flags != (1, 1, 0):
                others = tuple(flag & (i != place) for i, flag in enumerate(flags))
                wrong = bed.golden(p, n, rx, columns, others, rx_scale)
                assert (wrong != right).any(), f"{FLAGS[place]} has no effect"
        assert len(np.unique(results)) > 30, "too few different results"


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(kind=["corners", "any"])
async def strange_constants(dut: Any, kind: str) -> None:
    """Constants that no calibration yields: NaN, infinities, subnormals, or random bits."""
    bed = Testbed(dut)
    await bed.start()
    shape = bed.constants.shape
    groups = benches.current()["groups"]

    def draw(size: tuple[int, ...] | int) -> NDArray[np.uint16]:
        if kind == "corners":
            return bed.random.choice(corners(), size)
        return bed.random.integers(0, 1 << formats.FP16_BITS, size, dtype=np.uint16)

    for _ in range(4):
        # Some constants stay plausible, so that not every result is the 0 of a NaN.
        strange = bed.random.random(shape) < 0.5
        await bed.write(np.where(strange, draw(shape), plausible(bed.random, shape[0])))
        for flags in bed.random.permutation(list(product((0, 1), repeat=3)))[:3]:
            await bed.process(
                bed.counts(groups), bed.counts(groups), bed.rx(groups), tuple(flags.tolist()),
                int(draw(1)[0]), 0.2,
            )  # fmt: skip


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_between(dut: Any) -> None:
    """A reset clears the pipeline, and keeps the constants."""
    bed = Testbed(dut)
    await bed.start()
    await bed.write(plausible(bed.random, bed.chip.array.columns))
    dut.valid.value = dut.last.value = 1
    await ClockCycles(dut.clk, Ldpu.SCALE_LATENCY // 2)
    dut.valid.value = dut.last.value = 0
    await bed.reset()
    dut.result_room.value = 1
    for _ in range(Ldpu.SCALE_LATENCY + Ldpu.ADD_LATENCY + 2):
        await bed.edge
        assert not dut.result_valid.value, "result from before the reset"
    await bed.check_constants()
    await bed.process(bed.counts(20), bed.counts(20), bed.rx(20), (1, 0, 1), formats.FP16_ONE, 0.0)
