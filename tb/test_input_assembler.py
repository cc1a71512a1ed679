"""Input assembler: vectors from parts in any order, with one vector ahead, against a model."""

from collections import deque
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.input_assembler import InputAssembler
from caduceus.spec.fabric import PARTS
from caduceus.spec.program import InputPart
from tb import benches
from tb.assembler_bench import PLACES, Testbed
from tb.benches import Bench, Design, Variant
from tb.chips import sized


def _prepare(variant: Variant, folder: Path) -> Design:
    component = InputAssembler(sized(variant.parameters))
    return Design([write(component, "assembler", folder / "assembler.v")], "assembler")


BENCH = Bench(
    name="input_assembler",
    covers=("input_assembler",),
    variants=(
        Variant("tiny", {"chip": "tiny", "packets": 300}),
        Variant("units4", {"chip": "tiny", "rows": 80, "lanes": 4, "packets": 300}, ("icarus",)),
        Variant("hermes", {"chip": "hermes", "packets": 60}, ("verilator",), True),
        Variant("hermes_wide", {"chip": "hermes_wide", "packets": 180}, ("verilator",), True),
        Variant("long", {"chip": "tiny", "rows": 48, "lanes": 2, "packets": 20_000},
                ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Traffic:
    """Stimulus: packets for the parts with room.

    Attributes:
        order: `random`; `ahead`, first those that are ahead already; `late`, one part only when no
            other has room.
        wrong: share of packets of a wrong length, without payload, or of an undefined part.
    """

    def __init__(self, bed: Testbed, order: str, wrong: float) -> None:
        self.bed, self.order, self.wrong, self.left = bed, order, wrong, 0
        self.late = bed.random.randrange(len(bed.assembly.parts))

    def _part(self) -> int | None:
        bed = self.bed
        parts = [p for p in range(len(bed.assembly.parts)) if bed.room(p)]
        if not parts:
            return None
        if self.order == "ahead":
            most = max(bed.used[part] for part in parts)
            parts = [part for part in parts if bed.used[part] == most]
        elif self.order == "late" and len(parts) > 1:
            parts = [part for part in parts if part != self.late]
        return bed.random.choice(parts)

    def feed(self) -> None:
        """Send a packet, if any is left and some part has room."""
        bed, random = self.bed, self.bed.random
        part = self._part()
        if not self.left or part is None:
            return
        self.left -= 1
        length = bed.assembly.parts[part].length
        if random.random() < self.wrong:
            kind = random.choice(("short", "long", "empty", "stray"))
            if kind == "empty":
                bed.send_empty(part)
                return
            if kind == "stray" and 1 < len(bed.assembly.parts) < PARTS:
                part = random.randrange(len(bed.assembly.parts), PARTS)
            if kind == "short":
                length = random.randrange(1, length + 1)
            else:
                length += random.randrange(1, 3 * bed.units + 1)
        bed.send(part, bed.payload(length))

    async def run(self, packets: int) -> None:
        """Send that many packets; wait for the complete vectors."""
        self.left, self.bed.feed = packets, self.feed
        while self.left:
            await self.bed.step()
        await self.bed.finish()


def _counts(bed: Testbed) -> list[int]:
    most = min(PARTS, bed.rows // bed.units)
    return sorted({min(2, most), min(3, most), min(8, most), most})


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(order=["random", "ahead", "late"], pressure=["none", "both"])
async def any_order(dut: Any, order: str, pressure: str) -> None:
    """Any number of parts, right and wrong packets: each vector consists of its own parts."""
    bed = Testbed(dut)
    await bed.start()
    for count in _counts(bed):
        for wrong in (0.0, 0.2):
            await bed.configure(bed.draw_parts(count))
            if pressure == "both":
                bed.offered, bed.enabled = bed.random.choice((0.3, 0.9)), 0.9
                longest = bed.random.choice((2, 40))
                bed.hold = lambda longest=longest: bed.random.randrange(1, longest)
            bed.ahead = bed.random.choice((1, 2, 4))
            packets = max(3 * count, benches.current()["packets"] // 6)
            await Traffic(bed, order, wrong).run(packets)
            assert bed.committed, "no vector was complete"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "both"])
async def one_part(dut: Any, pressure: str) -> None:
    """With a single part, a packet is a vector, whatever its part number and places."""
    bed = Testbed(dut)
    await bed.start()
    for rows in (1, bed.units, bed.rows - 1, bed.rows):
        await bed.configure_one(rows)
        if pressure == "both":
            bed.offered, bed.enabled = 0.5, 0.9
            bed.hold = lambda: bed.random.randrange(1, 20)

        def feed(rows: int = rows) -> None:
            wrong = bed.random.random() < 0.2
            length = bed.random.randrange(1, rows + 2 * bed.units) if wrong else rows
            bed.send(0, bed.payload(length), instead=bed.random.randrange(PARTS))

        bed.feed = feed
        while len(bed.committed) < 8:
            await bed.step()
        await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_with_one_part(dut: Any) -> None:
    """One beat per clock; a vector is committed with its last beat, without a wait."""
    bed = Testbed(dut)
    bed.hold = lambda: 0
    await bed.start()
    await bed.configure_one(bed.rows)
    bed.feed = lambda: bed.send(0, bed.payload(bed.rows))
    while len(bed.committed) < 4:
        await bed.step()
    periods = {b - a for a, b in zip(bed.committed, bed.committed[1:], strict=False)}
    assert periods == {bed.rows // bed.units} and bed.waited == 0
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_with_several(dut: Any) -> None:
    """One beat per clock, and one more clock for each packet of another part than the last."""
    bed = Testbed(dut)
    bed.hold = lambda: 0
    await bed.start()
    for count in _counts(bed):
        parts = bed.draw_parts(count)
        await bed.configure(parts)
        numbers = deque(number for _ in range(4) for number in range(count))

        def feed(parts: list[InputPart] = parts, numbers: deque[int] = numbers) -> None:
            if numbers and bed.room(numbers[0]):
                number = numbers.popleft()
                bed.send(number, bed.payload(parts[number].length))

        bed.feed = feed
        while len(bed.committed) < 3:
            await bed.step()
        beats = sum(-(-part.length // bed.units) for part in parts)
        assert bed.committed[2] - bed.committed[1] == beats + count
        await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(whole=[False, True])
async def one_vector_ahead(dut: Any, whole: bool) -> None:
    """All parts except one, twice; then the missing one: once, or twice in a row."""
    bed = Testbed(dut)
    await bed.start()
    for count in _counts(bed):
        parts = bed.draw_parts(count)
        await bed.configure(parts)
        bed.hold = lambda: 10
        *others, missing = bed.random.sample(range(count), count)
        for _ in range(PLACES):
            for part in others:
                await bed.bring(part, bed.payload(parts[part].length))
        await bed.finish()
        assert not bed.committed and bed.assembly.incomplete
        assert not any(bed.room(part) for part in others) and bed.room(missing)
        for _ in range(1 + whole):
            await bed.bring(missing, bed.payload(parts[missing].length))
        await bed.finish()
        assert len(bed.committed) == 1 + whole
        if whole:
            copied = [-(-parts[part].length // bed.units) for part in others]
            own = -(-parts[missing].length // bed.units)
            # The modulator is full for ten clocks; the lookup overlaps with that.
            least = 10 + sum(copied) + own
            took = bed.committed[1] - bed.committed[0]
            assert least <= took <= least + 2 * count + 1, f"{took} clocks for {copied} and {own}"
        else:
            # The vector ahead now sits in the staging register: one more packet per part.
            for part in range(count):
                await bed.bring(part, bed.payload(parts[part].length))
            await bed.finish()
            assert len(bed.committed) == 2


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def restart_and_reset(dut: Any) -> None:
    """A reset and a restart drop waiting parts, with all their rows."""
    bed = Testbed(dut)
    await bed.start()
    for number in range(12):
        count = bed.random.choice(_counts(bed))
        await bed.configure(bed.draw_parts(count))
        traffic = Traffic(bed, bed.random.choice(("random", "ahead", "late")), 0.1)
        if number % 2:
            await traffic.run(3 * count)
        else:
            bed.feed, traffic.left = traffic.feed, 1000
            for _ in range(bed.random.randrange(1, 4 * bed.rows // bed.units)):
                await bed.step()
            bed.feed = None
            await bed.reset()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(what=["bit", "part", "place", "length", "order", "lost", "stray"])
async def the_check_can_fail(dut: Any, what: str) -> None:
    """One input differs between RTL and model: the bench must see it."""
    bed = Testbed(dut)
    await bed.start()
    groups = bed.rows // bed.units
    half = groups // 2 * bed.units
    parts = [InputPart(0, half), InputPart(half, half)]
    instead = {
        "place": [parts[0], InputPart(half - bed.units, half)],
        "length": [InputPart(0, half - 1), parts[1]],
    }
    await bed.configure(parts, instead=instead.get(what))
    for number in range(3):
        for part in (0, 1):
            payload = bed.payload(half) | 1
            sent = payload.copy()
            altered = number == 1 and part == 0
            packets = []
            if altered and what == "bit":
                sent[bed.random.randrange(half)] ^= 2
            if altered and what == "order":
                sent = sent[::-1]
            tells = {"part": 1, "stray": 2}.get(what) if altered else None
            if altered and what == "lost":
                bed.assembly.take(part, payload)
            else:
                packets.append((part, payload, tells, sent))
            try:
                for packet in packets:
                    await bed.bring(*packet)
            except AssertionError as error:
                dut._log.info("seen: %s", error)
                return
    try:
        await bed.finish()
    except AssertionError as error:
        dut._log.info("seen: %s", error)
        return
    raise RuntimeError(f"wrong {what} was not detected")
