"""A UART, 8N1: one start bit, eight data bits, lowest first, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

DATA_BITS = 8
DIVISOR_MIN = 4
"""Fewest clocks per bit: below that a receiver cannot sample the middle of a bit."""


def _demand(divisor: int) -> None:
    if divisor < DIVISOR_MIN:
        raise ValueError(f"UART: divisor: got {divisor}, expected {DIVISOR_MIN} or more")


class UartReceiver(wiring.Component):
    """Receives bytes; a bit lasts `divisor` clocks of `sync`.

    Every bit is sampled in its middle, counted from the beginning of the start bit. A start bit
    that ends before its middle, and a byte without stop bit, are dropped.

    Back-pressure: none; a byte that is not accepted in the clock in which it is valid is lost.

    Attributes:
        rx: the line, asynchronous; 1 when idle.
        output: the bytes.

    Raises:
        ValueError: `divisor` is less than `DIVISOR_MIN`.
    """

    rx: In(1, init=1)
    output: Out(stream.Signature(DATA_BITS))

    def __init__(self, divisor: int) -> None:
        _demand(divisor)
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)
        rest = Signal(range(self._divisor))
        left = Signal(range(DATA_BITS + 1))
        m.d.sync += self.output.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [rest.eq(self._divisor // 2 - 1), left.eq(DATA_BITS)]
                with m.If(~rx):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += rest.eq(rest - 1)
                with m.If(rest == 0):
                    m.d.sync += rest.eq(self._divisor - 1)
                    m.next = "BITS"
                    with m.If(rx):
                        m.next = "IDLE"
            with m.State("BITS"):
                m.d.sync += rest.eq(rest - 1)
                with m.If(rest == 0):
                    m.d.sync += [rest.eq(self._divisor - 1), left.eq(left - 1)]
                    with m.If(left != 0):
                        m.d.sync += self.output.payload.eq(Cat(self.output.payload[1:], rx))
                    with m.Elif(rx):
                        m.d.sync += self.output.valid.eq(1)
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "BREAK"
            with m.State("BREAK"), m.If(rx):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Transmits bytes; a bit lasts `divisor` clocks of `sync`.

    Attributes:
        input: the bytes, accepted one per 10 * `divisor` clocks.
        tx: the line, from a flip-flop; 1 when idle.

    Raises:
        ValueError: `divisor` is less than `DIVISOR_MIN`.
    """

    input: In(stream.Signature(DATA_BITS))
    tx: Out(1, init=1)

    def __init__(self, divisor: int) -> None:
        _demand(divisor)
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rest = Signal(range(self._divisor))
        bits = Signal(DATA_BITS + 1)
        left = Signal(range(DATA_BITS + 2))
        idle = (left == 0) & (rest == 0)
        m.d.comb += self.input.ready.eq(idle)
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        with m.Elif(left != 0):
            m.d.sync += [
                rest.eq(self._divisor - 1),
                left.eq(left - 1),
                self.tx.eq(bits[0]),
                bits.eq(Cat(bits[1:], 1)),
            ]
        with m.If(idle & self.input.valid):
            m.d.sync += [
                self.tx.eq(0),
                rest.eq(self._divisor - 1),
                bits.eq(Cat(self.input.payload, 1)),
                left.eq(DATA_BITS + 1),
            ]
        return m
