"""The pulse sequencer: programming pulses and verify reads with the published times.

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
    """What the sequencer is to do."""

    SQUARE = 0
    SET = 1
    READ = 2


_PULSES = {
    Command.SQUARE: (Pulse.SQUARE, pcm_write.SQUARE_CLOCKS),
    Command.SET: (Pulse.SET, pcm_write.SET_CLOCKS + pcm_write.SET_TRAILING_CLOCKS),
}


class PulseSequencer(wiring.Component):
    """Does one command after the other.

    A command takes its pulse's or read's clocks of `mvm`, one more, and the mailbox's way there and
    back, two to three clocks of either domain.

    Attributes (domain `sync`):
        start: one clock: do `command`. Only while `busy` is 0.
        command: stays from then until `busy` is 0 again, and so does what else the array is told
            about the pulse or read.
        busy: from the clock after `start` until the command is done, and the counters of a read may
            be read.

    Attributes (domain `mvm`):
        heat, heat_set, verify, clear, integrate: to the array, see `array.pcm_array`. With `verify`
            a read is under way; every row is to be driven in all of its window.
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
