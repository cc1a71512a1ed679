"""The bank reader: readout of the ADC counter banks to the LDPU's lanes.

Published: a column has two 12-bit counters, which the LDPU reads at one column per clock while the
next MVM may already run. The two banks that make this possible are our choice. The counters belong
to the array's macro (`adc.sv`), as on the published chip, where they match the array's pitch.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.mailbox import Mailbox


class BankReader(wiring.Component):
    """Reads each full counter bank, one group of columns per clock.

    The banks alternate: bank 0, bank 1, bank 0 and so on. A bank is read from group 0 to
    `last_group` and released with its last group.

    Latency: the first group is read in the clock in which `pending` rises, after the `Mailbox` has
    passed the bank. Back-pressure: reads wait while `room` is 0.

    Attributes (domain `mvm`):
        bank_put: per bank, pulse of one clock: it holds the results of an MVM; only while it is not
            full.
        bank_full: per bank: it has not been read completely.

    Attributes (domain `sync`):
        last_group: number of the last group of columns to read; quasi-static.
        room: the consumer can accept a group in this clock.
        read_enable, read_bank, read_group: to the array, which answers one clock later.
        pending: a bank waits to be read, or is being read.
        finished: pulse of one clock: the last group of a bank is being read.
    """

    def __init__(self, groups: int) -> None:
        """Make a reader of banks with `groups` groups of columns."""
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
