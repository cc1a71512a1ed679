"""The programming unit and its array, as the DUT of the PCM writer's bench."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.array.pcm_array import PcmArray, ports
from caduceus.hdl.array.pcm_write import PcmWrite
from caduceus.hdl.array.pcm_writer import Order
from caduceus.spec.chip import Chip

_OTHERS = (
    "state_load", "state_index", "reference_level", "pulse_add", "pulse_sub", "select_plus",
    "select_minus", "steer", "bank", "clear", "integrate", "read_enable", "read_bank", "read_group",
)  # fmt: skip
"""Array inputs for a bench that loads states and runs MVMs between PCM writes."""


_STATUS = {name: Out(1) for name in ("busy", "pulsed", "verified")}


class PcmWriteArray(wiring.Component):
    """`caduceus.hdl.array.pcm_write.PcmWrite` and `caduceus.hdl.array.pcm_array.PcmArray`.

    Attributes:
        order, busy, pulsed, verified: of the programming unit.
        array_busy: as the array's `busy`.
    All other ports are the array's, under their names.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        members = ports(chip)
        names = (*_OTHERS, "read_p", "read_n")
        super().__init__(
            {
                "order": In(Order(chip)),
                "array_busy": Out(1),
                **_STATUS,
                **{n: members[n] for n in names},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = PcmArray(self._chip)
        m.submodules.pcm_write = unit = PcmWrite(self._chip)
        connect(m, flipped(self.order), unit.order)
        unit.share(m, array, self, self)
        for name in _STATUS:
            m.d.comb += getattr(self, name).eq(getattr(unit, name))
        for name in ("state_load", "state_index", "reference_level"):
            m.d.comb += getattr(array, name).eq(getattr(self, name))
        for name in ("read_p", "read_n"):
            m.d.comb += getattr(self, name).eq(getattr(array, name))
        return m
