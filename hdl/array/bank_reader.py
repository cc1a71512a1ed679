"""The bank reader: the ADC counters' banks, read out to the LDPU's lanes.

Published: a column has two 12-bit counters, and its words go to the LDPU at one column per clock
while the next MVM may already run. The two banks that make that possible are our choice. The
counters themselves belong to the array's macro (`adc.sv`), as they do on the chip, where they are
laid out in the pitch of the array.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.mailbox import Mailbox


class BankReader(wiring.Component):
    """Walks the groups of columns of each full counter bank, one group per clock.

    Banks are filled, and read, in turn: bank 0, bank 1, bank 0 and so on. A bank is read from group
    0 to `last_group`, as fast as there is room, and is given back with its last group.

    Latency: a walk begins when the `Mailbox` hands the bank over, in the clock in which `pending`
    rises.

    Attributes (domain `mvm`):
        bank_put: one clock: the bank holds the results of an MVM; only while it is not full.
        bank_full: the bank is not read out yet.

    Attributes (domain `sync`):
        last_group: number of the last group of columns to read; quasi-static.
        room: the consumer can take a group. Sampled in every clock of a walk.
        read_enable, read_bank, read_group: to the array, which answers one clock later.
        pending: a bank waits to be read, or is being read.
        finished: one clock: the last group of a bank is being read.
    """

    def __init__(self, groups: int) -> None:
        """Make a reader of banks of `groups` groups of columns."""
        group = range(max(2, groups))
        super().__init__(
            {
                "bank_put": In(2),
                "bank_full": Out(2),
                "last_group": In(group),
                "room": In(1),
                "read_enable": Out(1),
                "read_bank": Out(1),
                "read_group": Out(group),
                "pending": Out(1),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = [Mailbox(giver="mvm", taker="sync") for _ in range(2)]
        available = Signal(2)
        for index, bank in enumerate(banks):
            m.submodules[f"bank_{index}"] = bank
            m.d.comb += [
                bank.put.eq(self.bank_put[index]),
                self.bank_full[index].eq(bank.full),
                available[index].eq(bank.available),
                bank.take.eq(self.finished & (self.read_bank == index)),
            ]
        m.d.comb += [
            self.pending.eq(available.bit_select(self.read_bank, 1)),
            self.read_enable.eq(self.pending & self.room),
            self.finished.eq(self.read_enable & (self.read_group == self.last_group)),
        ]
        with m.If(self.read_enable):
            m.d.sync += self.read_group.eq(self.read_group + 1)
        with m.If(self.finished):
            m.d.sync += [self.read_group.eq(0), self.read_bank.eq(~self.read_bank)]
        return m
