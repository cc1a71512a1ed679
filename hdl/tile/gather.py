"""The gather unit: a tile's rows of im2col vectors, from the pixels of incoming feature maps.

    packets -> pixel receiver -> activation buffer -> copy -> the modulator's staging register
                  |  arrived          ^ addresses       ^
                  v                   |                 |
              coordinates -> release of pixels <- results, one after the other

(On the published chip the host does this, so all of it is our choice.)
"""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.link_credit import InputCredit
from caduceus.hdl.tile.activation_buffer import ActivationBuffer, address_bits, around
from caduceus.hdl.tile.gather_config import GatherConfig
from caduceus.hdl.tile.input_assembler import PartWrite
from caduceus.hdl.tile.pixel_receiver import PixelReceiver
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS


class Gather(wiring.Component):
    """Makes the vectors of `caduceus.spec.feature_map.Window` as soon as their pixels have arrived.

    Pixels arrive row by row, map after map, each as one packet or as a sequence of parts, and are
    stored in a ring of `config.ring_pixels` pixels. For every result of a map, row by row, the
    tile's rows are copied from the ring, one kernel position after the other. A position in the
    padding gives 0; a position whose pixel has not arrived waits for it. No result of a map starts
    before the map's first pixel arrived, even if the result needs none. The vector is committed
    with its last rows. Then the pixels that no later result needs are released, one per clock.

    Addresses in the ring are those of `Window.ring`, so that no multiplier is needed.

    Back-pressure: `credit` admits only packets that have a place, so the stream waits only for
    `accept`, and while a short packet is padded. While `full`, the first rows of the next vector
    are read and held.

    Latency: one clock per `buffers.gather` rows of a kernel position (or the remaining ones), one
    per position in the padding, and one between vectors. Rows are written two clocks after the last
    beat of the pixel that they waited for, four after the first pixel since the restart.

    Errors: a short packet is padded with 0, the excess of a long one is dropped. The content of a
    dropped packet is undefined.

    Attributes (domain `sync`):
        config, rows, parts: registers, see `FIELDS` in `hdl.tile.gather_config`, ROWS and PARTS;
            quasi-static. With `config.enable` 0 the unit is idle, and `credit.room` is all ones.
        table: lengths of the packets in the sequence; quasi-static. Reset keeps the entries.
        restart: pulse of one clock: restart with a map's first pixel and result, part 0 and an
            empty ring; only while no packet is in flight.
        accept: the stream may be accepted.
        stream: packets, in the order of their admission.
        credit: `room` is 1 for the next part in the sequence (part 0 if there is only one),
            provided that there is a place for it, and 0 for all others.
        full, write_enable, write_row, write_count, write_data, write_first, commit: the
            modulator's.
        too_short, too_long: pulse of one clock: a packet was shorter or longer than its length.
        busy: there is work without a further packet. Pixels that wait for others do not count: the
            clock may stop.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        rows, lanes = chip.array.rows, chip.buffers.gather
        super().__init__(
            {
                "config": In(GatherConfig()),
                "rows": In(range(rows + 1)),
                "parts": In(range(fabric.PARTS + 1)),
                "table": In(PartWrite(rows)),
                "restart": In(1),
                "accept": In(1),
                "stream": In(AxiStream(chip.link.units)),
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
        config = self.config
        extent = max(len(config.height), len(config.width))
        # Including the padding on both sides.
        self._coordinate = signed(extent + 2)
        bits = address_bits(chip.buffers.activation)

        # The present result: its position, and its window in the map and in the ring.
        self._column = Signal.like(config.group)
        self._group = Signal.like(config.groups)
        self._result_row = Signal.like(config.result_rows)
        self._left = Signal(self._coordinate)
        self._needed = Signal(self._coordinate)  # row of its first kernel position
        self._ring_result, self._ring_row, self._ring_map = (
            Signal(bits, name=f"in_ring_{name}") for name in ("result", "row", "map")
        )
        # Pixels: the next to arrive, and the next to be released.
        self._next_y, self._next_x = Signal.like(config.height), Signal.like(config.width)
        self._oldest_y, self._oldest_x = Signal.like(config.height), Signal.like(config.width)
        # Number of maps from that of the present result to that of the next pixel to arrive; -1 if
        # a map's last pixels are not needed.
        self._ahead = Signal(signed(chip.buffers.activation.bit_length() + 1))
        self._behind = Signal()  # the next pixel to release is of the map before the result's

    def _count_arrivals(self, m: Module, arrived: Value, next_map: Value) -> Value:
        """Track the `arrived` pixels; return whether the result's map has begun."""
        config, y, x = self.config, self._next_y, self._next_x
        row_ends, map_ends = x == config.width - 1, Signal()
        m.d.comb += map_ends.eq(arrived & row_ends & (y == config.height - 1))
        with m.If(arrived):
            m.d.sync += x.eq(Mux(row_ends, 0, x + 1))
            with m.If(row_ends):
                m.d.sync += y.eq(Mux(map_ends, 0, y + 1))
        m.d.sync += self._ahead.eq(self._ahead + map_ends - next_map)
        return (self._ahead > 0) | ((self._ahead == 0) & ((y != 0) | (x != 0)))

    def _has_arrived(self, y: Value, x: Value) -> Value:
        """Whether pixel (y, x) of the result's map has arrived."""
        before = (y < self._next_y) | ((y == self._next_y) & (x < self._next_x))
        return (self._ahead > 0) | ((self._ahead == 0) & before)

    def _next_result(self, m: Module, advance: Value) -> Value:
        """Advance to the next result; return whether the present one is its map's last.

        Between two results there is always a clock without reads (state BEGIN), a pipeline stage
        for the address of the next result: the outputs are valid after it.
        """
        config = self.config
        in_group, in_row, in_map = (Signal(name=f"in_{name}") for name in ("group", "row", "map"))
        other_column = self._column != config.group - 1
        other_group = other_column | (self._group != config.groups - 1)
        other_row = other_group | (self._result_row != config.result_rows - 1)
        m.d.sync += [
            in_group.eq(other_column),
            in_row.eq(other_group),
            in_map.eq(other_row),
        ]
        step, base = Signal.like(config.ring_size), Signal.like(self._ring_result)
        with m.If(other_column):
            m.d.comb += [base.eq(self._ring_result), step.eq(config.ring_result)]
        with m.Elif(other_group):
            m.d.comb += [base.eq(self._ring_result), step.eq(config.ring_group)]
        with m.Elif(other_row):
            m.d.comb += [base.eq(self._ring_row), step.eq(config.ring_row)]
        with m.Else():
            m.d.comb += [base.eq(self._ring_map), step.eq(config.ring_map)]
        place = Signal.like(self._ring_result, name="next_place")
        m.d.sync += place.eq(around(base, step, config.ring_size))
        with m.If(advance):
            m.d.sync += [
                self._ring_result.eq(place),
                self._column.eq(Mux(in_group, self._column + 1, 0)),
                self._left.eq(self._left + Mux(in_group, config.stride, config.skip)),
            ]
            with m.If(~in_group):
                m.d.sync += self._group.eq(Mux(in_row, self._group + 1, 0))
            with m.If(~in_row):
                m.d.sync += [
                    self._ring_row.eq(place),
                    self._left.eq(config.left),
                    self._result_row.eq(Mux(in_map, self._result_row + 1, 0)),
                    self._needed.eq(
                        Mux(
                            in_map,
                            self._needed + config.stride,
                            config.position_y - config.padding,
                        )
                    ),
                ]
            with m.If(~in_map):
                m.d.sync += self._ring_map.eq(place)
        return ~in_map

    def _first_result(self) -> list:
        """Assignments for a map's first result in an empty ring."""
        config = self.config
        # Steps from a pixel equal those from one of its bytes.
        place = config.ring_origin - config.position_channel
        return [
            self._needed.eq(config.position_y - config.padding),
            self._left.eq(config.left),
            self._ring_result.eq(place),
            self._ring_row.eq(place),
            self._ring_map.eq(place),
        ]

    def _release(self, m: Module, next_map: Value, holds: Value) -> tuple[Value, Value]:
        """Release pixels that no later result needs.

        Returns:
            Whether a pixel is released, and whether the release has work without further pixels.
        """
        config, y, x = self.config, self._oldest_y, self._oldest_x
        # See `Window.oldest`; a window's left edge outside of the map is less than any x.
        passed = (y < self._needed) | ((y == self._needed) & (x < self._left))
        map_ends = y == config.height
        release = ~map_ends & holds & (self._behind | passed)
        row_ends = x == config.width - 1
        with m.If(release):
            m.d.sync += x.eq(Mux(row_ends, 0, x + 1))
            with m.If(row_ends):
                m.d.sync += y.eq(y + 1)
        with m.If(next_map):
            m.d.sync += self._behind.eq(1)
        with m.If(self._behind & map_ends):
            m.d.sync += [y.eq(0), self._behind.eq(0)]
        return release, release | (self._behind & map_ends)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip, config, lanes = self._chip, self.config, self._chip.buffers.gather
        m.submodules.receiver = receiver = PixelReceiver(
            chip.link.units, chip.buffers.activation, chip.array.rows, fabric.payload_max(chip)
        )
        m.submodules.buffer = buffer = ActivationBuffer(chip)
        for port in ("config", "table", "stream", "credit"):
            connect(m, flipped(getattr(self, port)), getattr(receiver, port))
        for port in ("enable", "address", "count", "data"):
            name = f"write_{port}"
            m.d.comb += getattr(buffer, name).eq(getattr(receiver, name))
        m.d.comb += [
            receiver.parts.eq(self.parts),
            receiver.accept.eq(self.accept),
            self.too_short.eq(receiver.too_short),
            self.too_long.eq(receiver.too_long),
        ]

        last_row, going = Signal(), Signal()  # the vector's last rows are read; rows are read
        next_map = Signal()
        map_begun = self._count_arrivals(m, receiver.arrived, next_map)
        map_ends = self._next_result(m, going & last_row)
        release, releasing = self._release(m, next_map, receiver.holds)
        m.d.comb += [
            next_map.eq(going & last_row & map_ends),
            receiver.release.eq(release),
        ]

        # The present kernel position: its coordinates, and the progress of its copy.
        kernel_x = Signal.like(config.position_x)
        y, x = Signal(self._coordinate), Signal(self._coordinate)
        pixel = Signal.like(self._ring_result)
        channel, row = Signal.like(config.position_channel), Signal.like(self.write_row)
        # Remaining rows of the pixel and of the vector.
        in_pixel, in_vector = Signal.like(config.pixel_bytes), Signal.like(self.rows)
        outside = (y < 0) | (y >= config.height) | (x < 0) | (x >= config.width)
        left = Mux(in_pixel < in_vector, in_pixel, in_vector)
        count = Signal(range(chip.array.rows + 1))
        pixel_ends = (in_pixel <= in_vector) & (outside | (in_pixel <= lanes))
        m.d.comb += [
            count.eq(Mux(outside | (left < lanes), left, lanes)),
            last_row.eq((in_vector <= in_pixel) & (outside | (in_vector <= lanes))),
        ]

        # Steps to the next pixel and to the next line's first, and each minus the ring's size, so
        # that a step across the ring's end is one addition, too. All operands are quasi-static.
        line = around(config.pixel_bytes, config.ring_line, config.ring_size)
        steps = []
        for name, step in (("line", line), ("pixel", config.pixel_bytes)):
            ahead = Signal(len(pixel), name=f"to_{name}")
            back = Signal(signed(len(pixel) + 1), name=f"back_to_{name}")
            m.d.sync += [ahead.eq(step), back.eq(step - config.ring_size)]
            steps.append((ahead, back))

        # Rows are written one clock after they were read.
        read, first = Signal(), Signal(init=1)
        write_last = Signal()
        m.d.comb += [
            self.write_enable.eq(read & ~self.full),
            self.write_first.eq(first),
            self.write_data.eq(buffer.read_data),
            self.commit.eq(self.write_enable & write_last),
            buffer.read_enable.eq(going),
            buffer.read_address.eq(pixel + channel),
            buffer.read_lane.eq(row),
        ]
        with m.If(going):
            m.d.sync += [
                read.eq(1),
                self.write_row.eq(row),
                self.write_count.eq(Mux(outside, 0, count)),
                write_last.eq(last_row),
            ]
        with m.Elif(self.write_enable):
            m.d.sync += read.eq(0)
        with m.If(self.write_enable):
            m.d.sync += first.eq(write_last)

        can_go = Signal()
        with m.FSM(name="vector"):
            with m.State("FIRST"):
                # Until pixels arrive, the configuration may still change.
                m.d.sync += self._first_result()
                m.d.comb += can_go.eq(map_begun)
                with m.If(map_begun):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [
                    y.eq(self._needed),
                    x.eq(self._left + config.position_x),
                    kernel_x.eq(config.position_x),
                    pixel.eq(self._ring_result),
                    channel.eq(config.position_channel),
                    in_pixel.eq(config.pixel_bytes - config.position_channel),
                    in_vector.eq(self.rows),
                    row.eq(0),
                ]
                m.d.comb += can_go.eq(1)
                m.next = "COPY"
            with m.State("COPY"):
                # Pixels of at most one earlier map may wait for their release.
                waits = last_row & map_ends & self._behind
                ready = Mux(outside, map_begun, self._has_arrived(y, x))
                m.d.comb += [
                    can_go.eq(ready & ~waits),
                    going.eq(can_go & (~read | ~self.full)),
                ]
                with m.If(going):
                    m.d.sync += [
                        row.eq(row + count),
                        channel.eq(channel + count),
                        in_pixel.eq(in_pixel - count),
                        in_vector.eq(in_vector - count),
                    ]
                    with m.If(pixel_ends):
                        line_ends = kernel_x == config.kernel - 1
                        ahead, back = (Mux(line_ends, *each) for each in zip(*steps, strict=True))
                        within = pixel + back
                        m.d.sync += [
                            channel.eq(0),
                            in_pixel.eq(config.pixel_bytes),
                            pixel.eq(Mux(within < 0, pixel + ahead, within)),
                            kernel_x.eq(Mux(line_ends, 0, kernel_x + 1)),
                            x.eq(Mux(line_ends, self._left, x + 1)),
                            y.eq(y + line_ends),
                        ]
                    with m.If(last_row):
                        m.next = "BEGIN"
        m.d.comb += self.busy.eq(receiver.busy | releasing | can_go | read)
        return ResetInserter(self.restart)(m)
