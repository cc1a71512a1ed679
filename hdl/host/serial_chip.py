"""A chip behind the serial bridge: a board adds clocks and pins."""

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect

from caduceus.hdl.host.serial_bridge import SerialBridge
from caduceus.hdl.host.uart import UartReceiver, UartTransmitter
from caduceus.spec.chip import Chip

CHIP_MODULE = "chip"


class SerialChip(wiring.Component):
    """The chip, an instance of module `chip` (`caduceus.hdl.fabric.chip`), behind a serial port.

    Attributes:
        aclk: clock of bridge, AXI and the digital side; a bit of the serial port lasts `divisor` of
            its clocks.
        mvm_clk: clock of the arrays.
        aresetn: asynchronous reset, active low, with the chip's timing (see `Chip`).
        rx, tx: from and to the host.
        awake, error: OR over all tiles and slices.

    Raises:
        ValueError: `divisor` is too small, see `UartReceiver`.
    """

    aclk: In(1)
    mvm_clk: In(1)
    aresetn: In(1)
    rx: In(1, init=1)
    tx: Out(1, init=1)
    awake: Out(1)
    error: Out(1)

    def __init__(self, chip: Chip, divisor: int) -> None:
        self._chip, self._divisor = chip, divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        domain = ClockDomain("sync")
        m.domains += domain
        m.d.comb += domain.clk.eq(self.aclk)
        m.submodules.reset = ResetSynchronizer(~self.aresetn, domain="sync")
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.submodules.bridge = bridge = SerialBridge(self._chip)
        connect(m, receiver.output, bridge.input)
        connect(m, bridge.output, transmitter.input)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        ports = {
            "i_aclk": ClockSignal("sync"),
            "i_mvm_clk": self.mvm_clk,
            "i_aresetn": self.aresetn & ~bridge.chip_reset,
        }
        interfaces = {"s_axil": bridge.axil}
        for p in range(len(self._chip.host.inputs)):
            interfaces[f"s_axis_{p}"] = getattr(bridge, f"to_chip_{p}")
        for p in range(len(self._chip.host.outputs)):
            interfaces[f"m_axis_{p}"] = getattr(bridge, f"from_chip_{p}")
        for prefix, interface in interfaces.items():
            for name, member in interface.signature.members.items():
                way = "i" if member.flow == Out else "o"
                ports[f"{way}_{prefix}_{name}"] = getattr(interface, name)
        for name in ("awake", "error"):
            tiles = Signal(self._chip.tiles, name=f"tiles_{name}")
            slices = Signal(self._chip.gdpu.slices, name=f"slices_{name}")
            ports |= {f"o_{name}": tiles, f"o_slices_{name}": slices}
            m.d.comb += getattr(self, name).eq(tiles.any() | slices.any())
        m.submodules.chip = Instance(CHIP_MODULE, **ports)
        return m
