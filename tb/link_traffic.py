"""Random stimulus for the link controller's bench."""

from caduceus.spec import fabric
from tb.link_bench import Packet, Route, Testbed


class Traffic:
    """Random routes, and packets for them from every source."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed

    def route(self) -> Route:
        """A route to any sinks, with a slice that may not fit the payload."""
        random, bed = self.bed.random, self.bed
        most = bed.most
        count = random.choice((1, 1, 1, 2, 3, bed.sinks))
        start = bed.units * random.choice((0, 0, 1, random.randrange(most // bed.units)))
        length = random.choice((0, 1, bed.units, random.randrange(1, 20), most - start, most))
        sinks = frozenset(random.sample(range(bed.sinks), count))
        return Route(sinks, start, length, random.randrange(fabric.PARTS))

    async def change(self, streams: int) -> None:
        """Rewrite the entries of some streams; every tenth loses its entry."""
        bed, random = self.bed, self.bed.random
        for stream in random.sample(range(fabric.STREAMS), streams):
            await bed.enter(stream, None if random.random() < 0.1 else self.route())
        await bed.set_tx(random.randrange(fabric.STREAMS))

    def one(self, source: int) -> Packet:
        """A packet; sometimes without payload, or of a stream without entry."""
        bed, random = self.bed, self.bed.random
        known = list(bed.reference.routes)
        stream = random.choice(known) if random.random() < 0.95 else random.randrange(256)
        length = random.choice((1, bed.units, random.randrange(1, 6 * bed.units)))
        if random.random() < 0.03:
            length = random.choice((bed.most, random.randrange(1, bed.most)))
        elif random.random() < 0.02:
            length = bed.most + random.choice((1, random.randrange(1, 4 * bed.units)))
        elif source < bed.sources - 1 and random.random() < 0.03:
            length = 0
        return bed.packet(source, stream, length)

    def feed(self, source: int) -> None:
        """Send a packet; a wrong one only while no other is in flight."""
        for _ in range(10):
            packet = self.one(source)
            if not (
                self.bed.exact and self.bed.errors and self.bed.reference.deliveries(packet)[1]
            ):
                self.bed.send(source, packet)
                return

    async def run(self, packets: int) -> None:
        """Send packets, and wait for their arrival."""
        wanted = self.bed.packets + packets
        self.bed.feed = self.feed
        while self.bed.packets < wanted:
            await self.bed.step()
        await self.bed.finish()
