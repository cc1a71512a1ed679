"""The link controller with few, wide ports, for its bench."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out

from caduceus.hdl.fabric.link_controller import LinkController
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.spec import fabric
from caduceus.spec.chip import Chip

CREDITS = ("credit", "rx_credit")


class Wires(Component):
    """The controller with its streams side by side: one port per signal of all streams."""

    def __init__(self, chip: Chip) -> None:
        self._links = links = LinkController(LinkSizes.of(chip))
        units = chip.link.units
        sources, sinks = len(fabric.sources(chip)), len(fabric.sinks(chip))
        routes = links.routes.signature.members.items()
        super().__init__(
            {
                "in_beats": In(sources * (9 * units + 1)),
                "in_valid": In(sources),
                "in_ready": Out(sources),
                "out_beats": Out(sinks * (9 * units + 1)),
                "out_valid": Out(sinks),
                "out_ready": In(sinks),
                "unknown": Out(1),
                "empty": Out(1),
                "too_long": Out(1),
                "busy": Out(1),
                "error_stream": Out(links.error_stream.shape()),
                "tx_stream": In(links.tx_stream.shape()),
                "part": Out(links.part.shape()),
                **{f"route_{name}": In(member.shape) for name, member in routes},
                **self._credit_ports(),
            }
        )

    def _credit_ports(self) -> dict[str, Any]:
        links = self._links
        return {
            f"{port}_{name}": member
            for port in CREDITS
            for name, member in getattr(links, port).signature.members.items()
        }

    def elaborate(self, platform: object) -> Module:
        """The controller, with its beats as data, keep and last from the lowest bit on."""
        m = Module()
        m.submodules.links = links = self._links
        m.d.comb += [
            Cat(Cat(s.tdata, s.tkeep, s.tlast) for s in links.inputs).eq(self.in_beats),
            Cat(s.tvalid for s in links.inputs).eq(self.in_valid),
            self.in_ready.eq(Cat(s.tready for s in links.inputs)),
            self.out_beats.eq(Cat(Cat(s.tdata, s.tkeep, s.tlast) for s in links.outputs)),
            self.out_valid.eq(Cat(s.tvalid for s in links.outputs)),
            Cat(s.tready for s in links.outputs).eq(self.out_ready),
            links.tx_stream.eq(self.tx_stream),
        ]
        for name in ("unknown", "empty", "too_long", "busy", "error_stream", "part"):
            m.d.comb += getattr(self, name).eq(getattr(links, name))
        for port in CREDITS:
            credit = getattr(links, port)
            for name, member in credit.signature.members.items():
                inner, outer = getattr(credit, name), getattr(self, f"{port}_{name}")
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        for name in links.routes.signature.members:
            m.d.comb += getattr(links.routes, name).eq(getattr(self, f"route_{name}"))
        return m
