"""The pulse sequencer: PCM-write pulses and verify reads with the published timing.

Published: square pulses of 125 ns, SET pulses of 250 ns with a trailing edge of 50 ns, verify reads
of 256 ns of precharge and 512 ns of pulse on every row.
"""

from enum import IntEnum

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.mailbox import Mailbox
from caduceus.spec import pcm_write
from caduceus.spec.pcm_write import Pulse


class Command(IntEnum):
    """A command to the sequencer."""

    SQUARE = 0
    SET = 1
    READ = 2


_PULSES = {
    Command.SQUARE: (Pulse.SQUARE, pcm_write.SQUARE_CLOCKS),
    Command.SET: (Pulse.SET, pcm_write.SET_CLOCKS + pcm_write.SET_TRAILING_CLOCKS),
}


class PulseSequencer(wiring.Component):
    """Executes one command after the other.

    Latency: the `mvm` clocks of the pulse or read, one more, and the mailbox's handshake: two to
    three clocks in each of the two domains.

    Attributes (domain `sync`):
        start: pulse of one clock: execute `command`. Only while `busy` is 0.
        command: stable from then until `busy` is 0 again, as are the array's other inputs for the
            pulse or read.
        busy: 1 from the clock after `start` until the command is complete; then the counters of a
            read may be read.

    Attributes (domain `mvm`):
        heat, heat_set, verify, clear, integrate: to the array, see `array.pcm_array`. `verify`
            marks a read; every row must be driven throughout its window.
        array_busy: the array is still converting the last window.
    """

    start: In(1)
    command: In(Command)
    busy: Out(1)
    heat: Out(1)
    heat_set: Out(Pulse)
    verify: Out(1)
    clear: Out(1)
    integrate: Out(1)
    array_busy: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.orders = orders = Mailbox(giver="sync", taker="mvm")
        m.d.comb += [orders.put.eq(self.start), self.busy.eq(orders.full)]
        longest = max(pcm_write.VERIFY_SLOTS, *(clocks for _, clocks in _PULSES.values()))
        timer = Signal(range(longest))
        m.d.mvm += self.clear.eq(0)
        with m.FSM(domain="mvm", name="sequence"):
            with m.State("REST"), m.If(orders.available), m.Switch(self.command):
                for command, (shape, clocks) in _PULSES.items():
                    with m.Case(command):
                        m.d.mvm += [
                            self.heat.eq(1),
                            self.heat_set.eq(shape),
                            timer.eq(clocks - 1),
                        ]
                        m.next = "HEAT"
                with m.Case(Command.READ):
                    m.d.mvm += [
                        self.clear.eq(1),
                        self.verify.eq(1),
                        timer.eq(pcm_write.VERIFY_PRECHARGE - 1),
                    ]
                    m.next = "PRECHARGE"
            with m.State("HEAT"):
                m.d.mvm += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.mvm += self.heat.eq(0)
                    m.next = "FINISH"
            with m.State("PRECHARGE"):
                m.d.mvm += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.mvm += [self.integrate.eq(1), timer.eq(pcm_write.VERIFY_SLOTS - 1)]
                    m.next = "INTEGRATE"
            with m.State("INTEGRATE"):
                m.d.mvm += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.mvm += self.integrate.eq(0)
                    m.next = "FINISH"
            with m.State("FINISH"), m.If(~self.array_busy):
                m.d.comb += orders.take.eq(1)
                m.d.mvm += self.verify.eq(0)
                m.next = "REST"
        return m
