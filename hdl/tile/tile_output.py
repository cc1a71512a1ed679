"""The output path of a tile: pooling, and conversion to beats."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.value_formats import value_formats
from caduceus.hdl.common.vector_receiver import units_in_last_group
from caduceus.hdl.common.width_converter import WidthConverter
from caduceus.hdl.tile.ldpu import value_bits
from caduceus.hdl.tile.pool import Pool, PoolConfig, Results
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS


class TileOutput(wiring.Component):
    """Sends one packet per result vector, or per pooling window.

    Latency: that of `Pool` plus `WidthConverter`; each is 0 if it has nothing to do. Back-pressure:
    results wait for the stream.

    Attributes (domain `sync`):
        config: of the pooling; columns, binary16: registers, see COLUMNS and MODE.tx_binary16 in
            `caduceus.spec.registers`; quasi-static.
        restart: pulse of one clock: discard incomplete windows; only while not `busy`.
        input: result vectors.
        output: packets.
        busy: a result is in flight.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        super().__init__(
            {
                "config": In(PoolConfig()),
                "columns": In(range(chip.array.columns + 1)),
                "binary16": In(1),
                "restart": In(1),
                "input": In(Results(chip)),
                "output": Out(AxiStream(chip.link.units)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip, output = self._chip, self.output
        lanes, bits = chip.ldpu.lanes, value_bits(chip)
        m.submodules.pool = pool = Pool(chip)
        connect(m, flipped(self.config), pool.config)
        connect(m, flipped(self.input), pool.input)
        m.d.comb += pool.restart.eq(self.restart)
        results, busy = pool.output, pool.busy
        lanes_in_last = units_in_last_group(self.columns, lanes)
        for size, chosen in value_formats(chip, self.binary16):
            convert = WidthConverter(lanes * size, chip.link.units)
            m.submodules[f"regroup_{size}"] = convert
            values = [
                results.data.word_select(lane, bits)[: size * ACTIVATION_BITS]
                for lane in range(lanes)
            ]
            keep = Cat(bit.replicate(size) for bit in lanes_in_last)
            m.d.comb += [
                convert.input.tdata.eq(Cat(values)),
                convert.input.tkeep.eq(Mux(results.last, keep, ~0)),
                convert.input.tlast.eq(results.last),
                convert.input.tvalid.eq(results.valid & chosen),
                convert.output.tready.eq(output.tready & chosen),
            ]
            with m.If(chosen):
                m.d.comb += [
                    results.ready.eq(convert.input.tready),
                    output.tdata.eq(convert.output.tdata),
                    output.tkeep.eq(convert.output.tkeep),
                    output.tlast.eq(convert.output.tlast),
                    output.tvalid.eq(convert.output.tvalid),
                ]
            busy |= convert.holds
        m.d.comb += self.busy.eq(busy)
        return m
