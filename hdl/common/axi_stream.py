"""AXI4-Stream of INT8 values, one vector a packet."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.formats import ACTIVATION_BITS


class AxiStream(wiring.Signature):
    """The AXI4-Stream signals as the transmitter sees them.

    A packet is one vector; unit 0 of the first beat is its element 0. `tkeep` is all ones but for
    the last beat of a vector whose length is not a multiple of the beat's units.

    Attributes:
        tdata: one INT8 a unit, in two's complement.
        tkeep: which units of the beat belong to the vector.
        tlast: the vector ends with this beat.
        tvalid, tready: the beat is handed over in a clock in which both are 1. `tvalid` does not
            wait for `tready`, and stays with its beat until then.
    """

    def __init__(self, units: int) -> None:
        super().__init__(
            {
                "tdata": Out(units * ACTIVATION_BITS),
                "tkeep": Out(units),
                "tlast": Out(1),
                "tvalid": Out(1),
                "tready": In(1),
            }
        )
