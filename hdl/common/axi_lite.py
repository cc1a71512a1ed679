"""AXI4-Lite in front of a simple register bus."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.host_port import SLVERR
from caduceus.spec.registers import ADDRESS_BITS

DATA_BITS = 32


class AxiLite(wiring.Signature):
    """AXI4-Lite from the manager's side; names and meaning as in the AXI standard."""

    def __init__(self, address_bits: int = ADDRESS_BITS) -> None:
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(DATA_BITS),
                "wstrb": Out(DATA_BITS // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(DATA_BITS),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class RegisterBus(wiring.Signature):
    """A register bus from the initiator's side: one access at a time.

    Attributes:
        request: requests an access; stays 1, with stable `write`, `address` and `write_data`, until
            `done`.
        write, address, write_data: the access. `address` is in bytes.
        done: pulse of one clock, any number of clocks after `request` rose: the access is complete.
        error, read_data: valid with `done`; with `error` the access had no effect.
    """

    def __init__(self, address_bits: int = ADDRESS_BITS) -> None:
        super().__init__(
            {
                "request": Out(1),
                "write": Out(1),
                "address": Out(address_bits),
                "write_data": Out(DATA_BITS),
                "done": In(1),
                "error": In(1),
                "read_data": In(DATA_BITS),
            }
        )


class AxiLiteBridge(wiring.Component):
    """Bridge from AXI4-Lite to a `RegisterBus`: one access at a time, writes before reads.

    A write needs all four byte strobes; any other write answers SLVERR, as does an access that the
    registers refuse. Address and data of a write may arrive in either order.

    Latency: `READ_LATENCY` or `WRITE_LATENCY` clocks plus those of the registers, from the
    handshake of the address (or the later one of address and data) to that of the response.

    Back-pressure: AWREADY, WREADY and ARREADY are 0 until the response has been accepted.
    """

    READ_LATENCY = 1
    WRITE_LATENCY = 2

    def __init__(self, address_bits: int = ADDRESS_BITS) -> None:
        super().__init__({"axi": In(AxiLite(address_bits)), "bus": Out(RegisterBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi, bus = self.axi, self.bus
        has_address, has_data = Signal(), Signal()
        strobes = Signal(DATA_BITS // 8)
        responding = Signal()
        reading = Signal()

        take_address = axi.awvalid & axi.awready
        take_data = axi.wvalid & axi.wready
        take_read = axi.arvalid & axi.arready
        idle = ~bus.request & ~responding
        m.d.comb += [
            axi.awready.eq(idle & ~has_address & ~reading),
            axi.wready.eq(idle & ~has_data & ~reading),
            # A write that has begun, or begins now, goes first.
            axi.arready.eq(idle & ~reading & ~has_address & ~has_data & ~axi.awvalid & ~axi.wvalid),
            axi.bvalid.eq(responding & ~reading),
            axi.rvalid.eq(responding & reading),
            axi.rresp.eq(axi.bresp),
        ]
        with m.If(take_address):
            m.d.sync += [bus.address.eq(axi.awaddr), has_address.eq(1)]
        with m.If(take_data):
            m.d.sync += [bus.write_data.eq(axi.wdata), strobes.eq(axi.wstrb), has_data.eq(1)]
        with m.If(take_read):
            m.d.sync += [bus.address.eq(axi.araddr), reading.eq(1), bus.request.eq(1)]
        with m.If(has_address & has_data):
            m.d.sync += [has_address.eq(0), has_data.eq(0)]
            with m.If(strobes.all()):
                m.d.sync += [bus.request.eq(1), bus.write.eq(1)]
            with m.Else():
                m.d.sync += [responding.eq(1), axi.bresp.eq(SLVERR)]
        with m.If(bus.request & bus.done):
            m.d.sync += [
                bus.request.eq(0),
                bus.write.eq(0),
                responding.eq(1),
                axi.bresp.eq(bus.error << 1),  # SLVERR or OKAY
                axi.rdata.eq(bus.read_data),
            ]
        with m.If((axi.bvalid & axi.bready) | (axi.rvalid & axi.rready)):
            m.d.sync += [responding.eq(0), reading.eq(0)]
        return m
