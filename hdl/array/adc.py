"""Readout of the ADC counters into the LDPU.

Published: a column has two 12-bit counters, and its words go to the LDPU at one column a clock
while the next MVM may already run. The two banks that make that possible are our choice. The
counters themselves belong to the array's macro (`adc.sv`), as they do on the chip, where they are
laid out in the pitch of the array.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.mailbox import Mailbox
from caduceus.spec.chip import Chip


class AdcReadout(wiring.Component):
    """Walks the columns of each finished counter bank, `lanes` columns a clock.

    Attributes (domain `mvm`):
        bank_put: the bank holds the results of an MVM.
        bank_full: the bank is not read out yet.

    Attributes (domain `sync`):
        last_group: number of the last group of columns to read; quasi-static.
        room: whoever comes after can take a group. Sampled in every clock of a walk.
        read_enable, read_bank, read_group: to the array, which answers one clock later.
        pending: a bank waits to be read, or is being read.
        finished: one clock: the last group of a bank is being read.
    """

    def __init__(self, chip: Chip) -> None:
        groups = range(max(2, chip.column_groups))
        super().__init__(
            {
                "bank_put": In(2),
                "bank_full": Out(2),
                "last_group": In(groups),
                "room": In(1),
                "read_enable": Out(1),
                "read_bank": Out(1),
                "read_group": Out(groups),
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
