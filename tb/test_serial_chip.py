"""A whole chip behind its serial pins: the host runs programs over a line that damages bytes."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge
from cocotb.triggers import Timer

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.hdl.common.verilog import write
from caduceus.hdl.host.serial_bridge import CONTROL
from caduceus.hdl.host.serial_chip import SerialChip
from caduceus.host.link import LinkPort, Patience, SerialLink
from caduceus.host.session import Session
from caduceus.sim.chip_design import HIERARCHICAL, PARALLEL, chip_design
from caduceus.sim.scoreboard import compare
from caduceus.sim.tile_host import RESET_NS, start_clock
from caduceus.spec import pcm_state, registers
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.host_port import OKAY, SLVERR, finish
from caduceus.spec.network import Network
from caduceus.spec.program_codes import device_codes
from caduceus.spec.registers import BY_NAME
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.serial_pins import Damage, PinLine

HALF_PERIODS_PS = (1250, 500)
DIVISOR = 4
BAUD = 1e12 / (2 * HALF_PERIODS_PS[0] * DIVISOR)
PATIENCE = Patience(seconds=20e-6, tries=20, baud=int(BAUD))


def design(variant: Variant, folder: Path) -> Design:
    """The chip of a variant's parameters behind serial pins."""
    chip = sized(variant.parameters)
    (simulator,) = variant.simulators
    verilation = HIERARCHICAL if benches.WAVES.get() else PARALLEL
    made = chip_design(folder, chip, simulator, verilation=verilation)
    top = write(SerialChip(chip, DIVISOR), "serial_chip", folder / "serial_chip.v")
    return Design(
        [CONTROL, *made.sources, top],
        "serial_chip",
        build_args=made.arguments,
        engine=made.engine,
    )


BENCH = Bench(
    name="serial_chip",
    covers=("serial_chip",),
    variants=(
        Variant("tiny", {"chip": "tiny", "vectors": 4}, ("verilator",)),
        Variant("tiny", {"chip": "tiny", "vectors": 0}, ("icarus",)),
        Variant("long", {"chip": "tiny", "vectors": 100}, ("verilator",), regress=True),
    ),
    prepare=design,
)


class Pins:
    """The chip's pins, and the host at their other end."""

    def __init__(self, dut: Any, random: np.random.Generator, share: float) -> None:
        self.chip = sized(benches.current())
        self.damage = Damage(random, share)
        self.line = PinLine(dut, BAUD, self.damage)
        self.link = SerialLink(self.line, "the pins", PATIENCE)
        self.port = LinkPort(self.link, self.chip)

    @classmethod
    async def start(cls, dut: Any, share: float) -> "Pins":
        """Start clocks, reset; `share` of the bytes is damaged on the line."""
        random = benches.generator()
        dut.aresetn.value, dut.rx.value = 0, 1
        start_clock(dut.aclk, HALF_PERIODS_PS[0])
        start_clock(dut.mvm_clk, HALF_PERIODS_PS[1])
        await Timer(RESET_NS, "ns")
        pins = cls(dut, random, share)
        dut.aresetn.value = 1
        await Timer(RESET_NS, "ns")
        return pins


@cocotb.test(timeout_time=200, timeout_unit="ms")
@cocotb.parametrize(share=[0, 0.01])
async def registers_over_pins(dut: Any, share: float) -> None:
    """Registers by the host: written, read, refused, and all again after a reset."""
    pins = await Pins.start(dut, share)
    columns = pins.chip.array.columns

    def work() -> None:
        port = pins.port
        pins.link.hello(pins.chip)
        values = list(range(1, columns + 1))
        address = registers.column_address(0, "scale")
        for _ in range(2):
            assert finish(port.read(BY_NAME["ID"].address)) == (registers.ID, OKAY)
            step = registers.COLUMN_TABLE.stride
            assert finish(port.write_words(address, values, step)) == OKAY
            assert finish(port.read_words(address, columns, step)) == (values, OKAY)
            assert finish(port.write(BY_NAME["ID"].address, 1)) == SLVERR
            assert finish(port.read(registers.TILE_SPACE - 4))[1] == SLVERR
            assert finish(port.receive(0, 100)) == (b"", False)
            finish(port.write(BY_NAME["ROWS"].address, 9))
            finish(port.reset())
            assert finish(port.read(BY_NAME["ROWS"].address)) == (1, OKAY)

    await bridge(work)()
    assert (pins.damage.done > 0) == (share > 0)
    assert share or not pins.link.retries, "an undamaged line needs no retries"


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def another_chip(dut: Any) -> None:
    """A host with another description is refused."""
    pins = await Pins.start(dut, 0)
    other = Chip.model_validate(pins.chip.model_dump() | {"name": "other"})

    def work() -> str:
        try:
            pins.link.hello(other)
        except UserError as error:
            return str(error)
        return ""

    assert "another chip than description 'other'" in await bridge(work)()


@cocotb.test(timeout_time=2000, timeout_unit="ms", skip=not benches.current().get("vectors"))
@cocotb.parametrize(share=[0, 0.002])
async def a_program(dut: Any, share: float) -> None:
    """Load, stream and read over the pins; all values equal golden's, whatever the damage."""
    pins = await Pins.start(dut, share)
    random, chip = benches.generator(), pins.chip
    program = compile_network(Network.find("conv_32x16"), chip, ReadMode.ONE_PHASE)
    state = pcm_state.ideal(chip, device_codes(program, chip))
    count = benches.current()["vectors"]
    x = random.integers(-128, 128, (count, program.input_length)).astype(np.int8)

    def work() -> np.ndarray:
        pins.link.hello(chip)
        session = Session(pins.port, chip)
        finish(session.load(program, state))
        found = finish(session.run(program, x, count))
        assert not finish(session.host.errors())
        return found

    got = await bridge(work)()
    compare(
        machine.run(program, chip, state, x).outputs[:, 0],
        got,
        lambda at: f"vector {at[0]}, output {at[1]}",
    )
    assert (pins.link.retries > 0) == (share > 0)
