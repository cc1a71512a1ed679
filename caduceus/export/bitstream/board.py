"""The chip on a ULX3S board with an ECP5-85F: clock, reset, serial port, LEDs."""

from amaranth.build import Platform
from amaranth.hdl import Elaboratable, Module, Signal, Value
from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from caduceus.export.bitstream.pll import dividers, pll
from caduceus.hdl.host.serial_chip import SerialChip
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.serial_protocol import BAUD

PLATFORM = ULX3S_85F_Platform
PART = ("--85k", "--package", "CABGA381")
"""The FPGA, as nextpnr's options say it."""


def divisor(chip: Chip) -> int:
    """Clocks of a bit of the serial port."""
    return round(chip.clocks.sync_mhz * 1_000_000 / BAUD)


class Board(Elaboratable):
    """Everything that is configured into the FPGA.

    One clock, of `clocks.sync_mhz`, runs the digital side and the emulated arrays: no path between
    the two domains is without a constraint.

    The serial port is the board's USB bridge (`BAUD`). The button "fire 1" resets. LEDs: 0 clock
    stable, 1 some tile or slice is awake, 2 some has an error, 6 and 7 the two lines of the port.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    def elaborate(self, platform: Platform) -> Module:
        m = Module()
        clock, locked = Signal(), Signal()
        m.submodules.serial = serial = SerialChip(self._chip, divisor(self._chip))

        def pin(way: str, name: str, port: object) -> Value:
            m.submodules[f"{name}_pin"] = buffer = io.Buffer(way, port)
            return getattr(buffer, way)

        uart = platform.request("uart", dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        oscillator = pin("i", "clock", platform.request("clk25", dir="-"))
        reset = pin("i", "reset", platform.request("button_fire", 0, dir="-"))
        lights = {0: locked, 1: serial.awake, 2: serial.error, 6: ~serial.rx, 7: ~serial.tx}
        m.submodules.pll = pll(oscillator, self._chip.clocks.sync_mhz, clock, locked)
        m.d.comb += [
            serial.aclk.eq(clock),
            serial.mvm_clk.eq(clock),
            serial.aresetn.eq(locked & ~reset),
            serial.rx.eq(pin("i", "rx", uart.rx)),
            pin("o", "tx", uart.tx).eq(serial.tx),
            *(
                pin("o", f"led_{number}", platform.request("led", number, dir="-")).eq(light)
                for number, light in lights.items()
            ),
        ]
        return m


def demand_clocks(chip: Chip) -> None:
    """Demand that the board can give `chip` its clocks.

    Raises:
        UserError: the chip's clocks differ, or the PLL cannot make them.
    """
    clocks = chip.clocks
    if clocks.mvm_mhz != clocks.sync_mhz:
        raise UserError(
            f"chip {chip.name}: clocks.mvm_mhz = {clocks.mvm_mhz}: allowed on the board is "
            f"that of clocks.sync_mhz ({clocks.sync_mhz})"
        )
    try:
        dividers(clocks.sync_mhz)
    except UserError as error:
        raise UserError(f"chip {chip.name}: {error}") from None


def board(chip: Chip) -> Board:
    """The board with `chip`.

    Raises:
        UserError: as of `demand_clocks`.
    """
    demand_clocks(chip)
    return Board(chip)
