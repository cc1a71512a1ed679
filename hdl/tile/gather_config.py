"""Configuration of the gather unit by registers."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from caduceus.spec import feature_map_registers

FIELDS = {
    "enable": ("GATHER", "enable"),
    "kernel": ("GATHER", "kernel"),
    "stride": ("GATHER", "stride"),
    "padding": ("GATHER", "padding"),
    "height": ("MAP", "height"),
    "width": ("MAP", "width"),
    "pixel_bytes": ("PIXEL", "bytes"),
    "pixel_packets": ("PIXEL", "packets"),
    "position_y": ("POSITION", "y"),
    "position_x": ("POSITION", "x"),
    "position_channel": ("POSITION", "channel"),
    "result_rows": ("RESULTS", "rows"),
    "groups": ("RESULTS", "groups"),
    "group": ("COLUMN", "group"),
    "left": ("COLUMN", "left"),
    "skip": ("COLUMN", "skip"),
    "ring_pixels": ("RING_PIXELS", "value"),
    "ring_size": ("RING_SIZE", "value"),
    "ring_origin": ("RING_ORIGIN", "value"),
    "ring_result": ("RING_RESULT", "value"),
    "ring_group": ("RING_GROUP", "value"),
    "ring_row": ("RING_ROW", "value"),
    "ring_map": ("RING_MAP", "value"),
    "ring_line": ("RING_LINE", "value"),
}
"""Members of `GatherConfig`: register and field of each."""


class GatherConfig(wiring.Signature):
    """Fields of `spec.feature_map_registers`, by the names in `FIELDS`; quasi-static.

    Width and sign are those of the register.
    """

    def __init__(self) -> None:
        members = {}
        for name, (register, field) in FIELDS.items():
            found = feature_map_registers.BY_NAME[register].field(field)
            members[name] = Out((signed if found.signed else unsigned)(found.width))
        super().__init__(members)
