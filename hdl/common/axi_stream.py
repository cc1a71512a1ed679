"""AXI4-Stream of INT8 values, one vector a packet."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.formats import ACTIVATION_BITS


class AxiStream(wiring.Signature):
    """AXI4-Stream from the transmitter's side.

    A packet is one vector; unit 0 of the first beat is its element 0. `tkeep` is all ones, except
    in the last beat of a vector whose length is not a multiple of `units`.

    Attributes:
        tdata: one INT8 per unit, in two's complement.
        tkeep: mask of the units that belong to the vector.
        tlast: last beat of the vector.
        tvalid, tready: handshake: the beat is transferred in a clock in which both are 1. `tvalid`
            does not wait for `tready`; once 1, it and the beat stay until the transfer.
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
