"""The input path of a tile: vectors assembled from packets, or gathered from pixels."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.link_credit import InputCredit
from caduceus.hdl.tile.gather import Gather
from caduceus.hdl.tile.gather_config import GatherConfig
from caduceus.hdl.tile.input_assembler import InputAssembler, PartWrite
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS


class TileInput(wiring.Component):
    """An `InputAssembler` and a `Gather` in parallel; `config.enable` selects the `Gather`.

    Latency, back-pressure and errors: those of the selected one.

    Attributes (domain `sync`):
        config, parts, rows, table: registers and the part table; quasi-static.
        restart: pulse of one clock: discard parts and pixels; only while no packet is in flight.
        accept: the stream may be accepted.
        stream: packets; part: part number of the packet, with every beat.
        credit: room for parts.
        full, write_enable, write_row, write_count, write_data, write_first, commit: the
            modulator's.
        too_short, too_long: pulse of one clock: a packet was shorter or longer than its length.
        busy: a packet is in progress, or there is work without a further packet.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        rows, lanes = chip.array.rows, chip.buffers.gather
        super().__init__(
            {
                "config": In(GatherConfig()),
                "parts": In(range(fabric.PARTS + 1)),
                "rows": In(range(rows + 1)),
                "table": In(PartWrite(rows)),
                "restart": In(1),
                "accept": In(1),
                "stream": In(AxiStream(chip.link.units)),
                "part": In(fabric.PART_BITS),
                "credit": In(InputCredit()),
                "full": In(1),
                "write_enable": Out(1),
                "write_row": Out(range(rows)),
                "write_count": Out(range(lanes + 1)),
                "write_data": Out(lanes * ACTIVATION_BITS),
                "write_first": Out(1),
                "commit": Out(1),
                "too_short": Out(1),
                "too_long": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.assembler = assembler = InputAssembler(self._chip)
        m.submodules.gather = gather = Gather(self._chip)
        gathers = self.config.enable
        connect(m, flipped(self.config), gather.config)
        m.d.comb += [
            assembler.part.eq(self.part),
            assembler.enable.eq(self.accept & ~gathers),
            gather.accept.eq(self.accept & gathers),
            self.stream.tready.eq(Mux(gathers, gather.stream.tready, assembler.stream.tready)),
            self.credit.room.eq(Mux(gathers, gather.credit.room, assembler.credit.room)),
            self.busy.eq(assembler.busy | gather.busy),
        ]
        for unit, chosen in ((assembler, ~gathers), (gather, gathers)):
            connect(m, flipped(self.table), unit.table)
            m.d.comb += [
                unit.parts.eq(self.parts),
                unit.rows.eq(self.rows),
                unit.restart.eq(self.restart),
                unit.full.eq(self.full),
                unit.stream.tdata.eq(self.stream.tdata),
                unit.stream.tkeep.eq(self.stream.tkeep),
                unit.stream.tlast.eq(self.stream.tlast),
                unit.stream.tvalid.eq(self.stream.tvalid & chosen),
                unit.credit.take.eq(self.credit.take & chosen),
                unit.credit.take_part.eq(self.credit.take_part),
                unit.credit.drop.eq(self.credit.drop & chosen),
                unit.credit.drop_part.eq(self.credit.drop_part),
            ]
            with m.If(chosen):
                for port in ("write_enable", "write_first", "commit", "too_short", "too_long"):
                    m.d.comb += getattr(self, port).eq(getattr(unit, port))
        # A group has the rows of a beat; the modulator takes each row in the lane of its number.
        units = self._chip.link.units
        spread = assembler.write_data.replicate(self._chip.buffers.gather // units)
        m.d.comb += [
            self.write_row.eq(
                Mux(gathers, gather.write_row, assembler.write_group << exact_log2(units))
            ),
            self.write_count.eq(Mux(gathers, gather.write_count, units)),
            self.write_data.eq(Mux(gathers, gather.write_data, spread)),
        ]
        return m
