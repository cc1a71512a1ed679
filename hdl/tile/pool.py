"""The pooling unit: one result per window of a map of results.

(On the published chip the host does the pooling, so this is our choice.)
"""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.tile.ldpu import value_bits
from caduceus.spec import feature_map_registers, formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS

TOTAL_BITS = 16
"""Bits of a window's largest value or sum."""

FIELDS = {
    "kind": ("POOL", "kind"),
    "size": ("POOL", "size"),
    "shift": ("POOL", "shift"),
    "height": ("POOL_MAP", "height"),
    "width": ("POOL_MAP", "width"),
    "down": ("POOL_WINDOWS", "down"),
    "across": ("POOL_WINDOWS", "across"),
}
"""Members of `PoolConfig`: register and field of each."""

_LARGEST, _AVERAGE = (feature_map_registers.POOL_KINDS.index(kind) for kind in ("max", "average"))


class PoolConfig(wiring.Signature):
    """Fields of `spec.feature_map_registers`, by the names in `FIELDS`; quasi-static."""

    def __init__(self) -> None:
        super().__init__(
            {
                name: Out(feature_map_registers.BY_NAME[register].field(field).width)
                for name, (register, field) in FIELDS.items()
            }
        )


class Results(wiring.Signature):
    """A stream of result groups, one value per LDPU lane, from the source's side.

    Attributes:
        data: `value_bits` per lane, like the LDPU's results.
        last: last group of its result vector.
        valid, ready: handshake: the group is transferred in a clock in which both are 1. `valid`
            does not wait for `ready`; once 1, it and the group stay until the transfer.
    """

    def __init__(self, chip: Chip) -> None:
        super().__init__(
            {
                "data": Out(chip.ldpu.lanes * value_bits(chip)),
                "last": Out(1),
                "valid": Out(1),
                "ready": In(1),
            }
        )


class Pool(wiring.Component):
    """Pools each window of results to one result, or passes results unchanged.

    Results arrive row by row, map after map. A memory with one word per group of each window in a
    row holds the intermediate values; with the window's last result, its groups leave one by one.
    Windows do not overlap, so the word is then free for the window below.

    Latency: none without pooling; with pooling, a window's group leaves two clocks after the group
    of its last result was accepted. Throughput: one group per clock. Back-pressure: a group that
    completes a window waits for the output, and so do all groups behind it.

    Attributes (domain `sync`):
        config: registers; quasi-static. Kind 0: results of any format pass unchanged. Otherwise
            they are INT8, in the lowest bits of their lanes.
        restart: pulse of one clock: discard incomplete windows and restart at a map's first result;
            only while not `busy`.
        input: all results of a map.
        output: results of its windows, row by row.
        busy: a group is in flight. Incomplete windows do not count: the clock may stop.
    """

    def __init__(self, chip: Chip) -> None:
        self._lanes, self._bits = chip.ldpu.lanes, value_bits(chip)
        self._groups = chip.buffers.pool // chip.ldpu.lanes
        super().__init__(
            {
                "config": In(PoolConfig()),
                "restart": In(1),
                "input": In(Results(chip)),
                "output": Out(Results(chip)),
                "busy": Out(1),
            }
        )

    def _count(self, m: Module, name: str, step: Value, extent: Value, windows: Value) -> tuple:
        """Count along an axis of the map, which advances with `step`.

        Returns:
            Whether the present position is a window's first, a window's last, inside a window, and
            the axis' last.
        """
        size = self.config.size
        place = Signal.like(extent, name=f"{name}_in_map")
        inside = Signal.like(size, name=f"{name}_in_window")
        window = Signal.like(windows, name=f"{name}_window")
        ends, window_ends = place == extent - 1, inside == size - 1
        with m.If(step):
            m.d.sync += [
                place.eq(Mux(ends, 0, place + 1)),
                inside.eq(Mux(ends | window_ends, 0, inside + 1)),
                window.eq(Mux(ends, 0, window + window_ends)),
            ]
        return inside == 0, window_ends, window < windows, ends

    def _address(self, m: Module, taken: Value, window_ends: Value, row_ends: Value) -> Signal:
        """Address of the arriving group's word; words are in the order of the windows' groups."""
        address, window = (
            Signal(range(self._groups), name=name) for name in ("address", "window_address")
        )
        following = (address + 1)[: len(address)]
        with m.If(taken):
            m.d.sync += address.eq(following)
            with m.If(self.input.last):
                # The next result belongs to the same window, to the next, or to a row's first.
                first = Mux(row_ends, 0, Mux(window_ends, following, window))
                m.d.sync += [address.eq(first), window.eq(first)]
        return address

    def _joined(self, total: Value, value: Value) -> Value:
        """A lane's intermediate value of a window, updated with one value."""
        total, value = total.as_signed(), value.as_signed()
        larger = Mux(total > value, total, value)
        return Mux(self.config.kind == _LARGEST, larger, total + value)

    def _result(self, m: Module, lane: int, total: Value) -> Value:
        """A lane's result of a complete window."""
        shift = self.config.shift
        # Round to nearest, ties to even: add half a step minus one, plus one if the quotient is
        # odd.
        nearly_half = ((1 << shift) - 1) >> 1
        odd = total.bit_select(shift, 1) & shift.any()
        rounded = Signal(signed(TOTAL_BITS + 1), name=f"rounded_{lane}")
        m.d.comb += rounded.eq((total.as_signed() + nearly_half + odd) >> shift)
        most = formats.INT8_MAX
        clipped = Mux(rounded > most, most, Mux(rounded < -most, -most, rounded))
        return Mux(self.config.kind == _AVERAGE, clipped, total.as_signed())[:ACTIVATION_BITS]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, source, sink = self.config, self.input, self.output
        pools = config.kind != 0
        taken = source.valid & source.ready & pools
        column = self._count(m, "column", taken & source.last, config.width, config.across)
        first_column, last_column, in_column, row_ends = column
        first_row, last_row, in_row, _ = self._count(
            m, "row", taken & source.last & row_ends, config.height, config.down
        )
        address = self._address(m, taken, last_column, row_ends)
        counts = taken & in_column & in_row

        # The memory answers one clock after its address: the group waits for it.
        memory = Memory(shape=self._lanes * TOTAL_BITS, depth=self._groups, init=[])
        m.submodules.windows = memory
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        waits, begins, ends, last = Signal(), Signal(), Signal(), Signal()
        values = Signal(self._lanes * ACTIVATION_BITS)
        leaves = Signal()
        goes = ~(waits & ends) | leaves
        with m.If(goes):
            m.d.sync += waits.eq(counts)
        with m.If(counts):
            m.d.sync += [
                begins.eq(first_row & first_column),
                ends.eq(last_row & last_column),
                last.eq(source.last),
                write.addr.eq(address),
                *(
                    values.word_select(lane, ACTIVATION_BITS).eq(
                        source.data.word_select(lane, self._bits)[:ACTIVATION_BITS]
                    )
                    for lane in range(self._lanes)
                ),
            ]
        joined = []
        for lane in range(self._lanes):
            value = values.word_select(lane, ACTIVATION_BITS).as_signed()
            total = Signal(signed(TOTAL_BITS), name=f"total_{lane}")
            known = read.data.word_select(lane, TOTAL_BITS)
            m.d.comb += total.eq(Mux(begins, value, self._joined(known, value)))
            joined.append(total)
        m.d.comb += [
            read.addr.eq(address),
            read.en.eq(counts),
            write.data.eq(Cat(joined)),
            write.en.eq(waits & ~ends),
        ]

        full, complete, complete_last = Signal(), Signal(self._lanes * TOTAL_BITS), Signal()
        m.d.comb += leaves.eq(~full | sink.ready)
        with m.If(leaves):
            m.d.sync += full.eq(waits & ends)
            with m.If(waits & ends):
                m.d.sync += [complete.eq(Cat(joined)), complete_last.eq(last)]

        m.d.comb += self.busy.eq(waits | full)
        with m.If(pools):
            m.d.comb += [source.ready.eq(goes), sink.valid.eq(full), sink.last.eq(complete_last)]
            for lane in range(self._lanes):
                result = self._result(m, lane, complete.word_select(lane, TOTAL_BITS))
                m.d.comb += sink.data.word_select(lane, self._bits).eq(result)
        with m.Else():
            m.d.comb += [
                source.ready.eq(sink.ready),
                sink.valid.eq(source.valid),
                sink.last.eq(source.last),
                sink.data.eq(source.data),
            ]
        return ResetInserter(self.restart)(m)
