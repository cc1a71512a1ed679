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
"""nextpnr's options for the FPGA."""


def divisor(chip: Chip) -> int:
    """Clocks of `sync` per bit of the serial port."""
    return round(chip.clocks.sync_mhz * 1_000_000 / BAUD)


class Board(Elaboratable):
    """The FPGA's whole design.

    One clock of `clocks.sync_mhz` drives the digital side and the emulated arrays, so every path
    between the two domains has a timing constraint.

    The serial port is the board's USB bridge (`BAUD`). The button "fire 1" resets. LEDs: 0 PLL
    locked, 1 a tile or slice is awake, 2 a tile or slice has an error, 6 and 7 activity on RX and
    TX of the serial port.
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
    """Demand that the board can make the clocks of `chip`.

    Raises:
        UserError: the chip's two clocks differ, or the PLL cannot make their frequency.
    """
    clocks = chip.clocks
    if clocks.mvm_mhz != clocks.sync_mhz:
        raise UserError(
            f"chip {chip.name}: clocks.mvm_mhz: the board has one clock: got {clocks.mvm_mhz}, "
            f"expected {clocks.sync_mhz} (clocks.sync_mhz)"
        )
    try:
        dividers(clocks.sync_mhz)
    except UserError as error:
        raise UserError(f"chip {chip.name}: {error}") from None


def board(chip: Chip) -> Board:
    """Make the board's design with `chip`.

    Raises:
        UserError: as `demand_clocks`.
    """
    demand_clocks(chip)
    return Board(chip)
