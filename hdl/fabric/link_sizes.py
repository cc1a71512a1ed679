"""The sizes of a tile's link controller."""

from dataclasses import dataclass

from amaranth.lib import data

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError


@dataclass(frozen=True)
class LinkSizes:
    """Parameters of a link controller and its components.

    A chip's are `LinkSizes.of(chip)`; proofs use smaller ones.

    Attributes:
        units: bytes per beat.
        sources: names of the packets' sources, see `fabric.sources`; the last is the tile's own
            results.
        sinks: names of the packets' sinks, see `fabric.sinks`; the last two are the tile's own.
        payload_max: bytes of the longest payload.
        streams: entries of the route table.
        parts: largest number of parts of an input vector.

    Raises:
        UserError: the tile's own sources and sinks are not the last ones.
    """

    units: int
    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    payload_max: int
    streams: int = fabric.STREAMS
    parts: int = fabric.PARTS

    def __post_init__(self) -> None:
        own = (*self.sources[-1:], *self.sinks[-2:])
        expected = (fabric.TX, fabric.INPUT, fabric.RX)
        if own != expected:
            raise UserError(
                f"link controller: the last source and the last two sinks: got {', '.join(own)}, "
                f"expected {', '.join(expected)}"
            )

    @classmethod
    def of(cls, chip: Chip) -> "LinkSizes":
        """The sizes on a chip."""
        return cls(
            units=chip.link.units,
            sources=fabric.sources(chip),
            sinks=fabric.sinks(chip),
            payload_max=fabric.payload_max(chip),
        )

    @property
    def input(self) -> int:
        """Number of the sink INPUT."""
        return self.sinks.index(fabric.INPUT)

    @property
    def rx(self) -> int:
        """Number of the sink RX."""
        return self.sinks.index(fabric.RX)

    @property
    def local(self) -> tuple[int, int]:
        """Numbers of the tile's own sinks, which receive a slice of the payload and no preamble."""
        return self.input, self.rx

    @property
    def stream_bits(self) -> int:
        """Bits of a stream's number."""
        return (self.streams - 1).bit_length()

    @property
    def part_bits(self) -> int:
        """Bits of a part's number."""
        return (self.parts - 1).bit_length()

    @property
    def length_bits(self) -> int:
        """Bits of a payload's length in bytes."""
        return self.payload_max.bit_length()

    @property
    def entry(self) -> data.StructLayout:
        """An entry of the route table, see `caduceus.spec.program.Route`.

        `mask` has one bit per sink, and 0 means no entry; `start` and `length` are the slice of the
        payload that the tile keeps; `part` is the part number of that slice in the tile's input
        vector.
        """
        return data.StructLayout(
            {
                "mask": len(self.sinks),
                "start": self.length_bits,
                "length": self.length_bits,
                "part": self.part_bits,
            }
        )
