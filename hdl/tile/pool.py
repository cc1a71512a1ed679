"""The pooling unit: windows of a map of results become one result each.

(The published chip left pooling to its host, so this is our choice.)
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
"""Of a window's largest value or sum."""

FIELDS = {
    "kind": ("POOL", "kind"),
    "size": ("POOL", "size"),
    "shift": ("POOL", "shift"),
    "height": ("POOL_MAP", "height"),
    "width": ("POOL_MAP", "width"),
    "down": ("POOL_WINDOWS", "down"),
    "across": ("POOL_WINDOWS", "across"),
}
"""Members of `PoolConfig`, each with the register and the field that it is."""

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
    """Results in groups of the LDPU's lanes, as who gives them sees it.

    Attributes:
        data: `value_bits` a lane, as the LDPU's.
        last: the group is its result vector's last.
        valid, ready: the group is handed over in a clock in which both are 1. `valid` does not wait
            for `ready`, and stays with its group until then.
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
    """Makes one result of each window of results, or lets them pass.

    Results come row by row, map after map. What is known of a window stays in a memory with a place
    for every group of each window of a row; where the window's last result meets it, group by
    group, it leaves. Windows do not overlap, so the place is then free for the window below.

    A group a clock. Latency: none without pooling; with it, a window's group leaves two clocks
    after its last result's was taken. Back-pressure: a group that ends a window waits for the one
    that leaves, and all others behind it.

    Attributes (domain `sync`):
        config: registers; quasi-static. Kind 0: results of any kind pass unchanged. Otherwise they
            are INT8, in the lowest bits of their lanes.
        restart: one clock: a map's first result comes next, windows that are not complete are
            forgotten; only while not `busy`.
        input: results of a map, all that it has.
        output: results of its windows, row by row.
        busy: a group is inside that is on its way. Windows that are not complete are not busy: the
            clock may stop.
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
        """Follow an axis of the map that goes on with `step`.

        Returns:
            Whether the present place is a window's first and its last, whether it is in a window at
            all, and whether it is the axis' last.
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
        """Where the group that comes is kept: places follow each other as windows' groups do."""
        address, window = (
            Signal(range(self._groups), name=name) for name in ("address", "window_address")
        )
        following = (address + 1)[: len(address)]
        with m.If(taken):
            m.d.sync += address.eq(following)
            with m.If(self.input.last):
                # The next result is of the same window, or of the next, or of a row's first.
                first = Mux(row_ends, 0, Mux(window_ends, following, window))
                m.d.sync += [address.eq(first), window.eq(first)]
        return address

    def _joined(self, total: Value, value: Value) -> Value:
        """What a lane knows of a window with one more value."""
        total, value = total.as_signed(), value.as_signed()
        larger = Mux(total > value, total, value)
        return Mux(self.config.kind == _LARGEST, larger, total + value)

    def _result(self, m: Module, lane: int, total: Value) -> Value:
        """What a lane makes of a complete window."""
        shift = self.config.shift
        # To nearest, ties to even: half a step less one, and that one only if the kept part is odd.
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

        # The memory answers a clock after it was asked: the group waits for it.
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
