"""Routes through the fabric: multicast trees over links, along shortest paths."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from heapq import heappop, heappush

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError

_USE, _HOP, _CONFLICT = 1, 1 << 10, 1 << 20
"""Costs of a link: for each stream that it carries, for itself, and where a group must not go."""

Link = tuple[int, str]


class Router:
    """Finds routes and remembers what every link carries.

    Streams are routed in groups. Streams of different groups keep apart where they can; a group's
    own streams may share links. All those of a group that start at one tile are a tree together
    where they can, so that packets that share a link keep the order in which they were sent.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._out: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for tile, name, other in fabric.links(chip):
            self._out[tile].append((name, other))
        self._groups: dict[Link, set[Hashable]] = defaultdict(set)
        self._uses: dict[Link, int] = defaultdict(int)
        self._entry: dict[tuple[Hashable, int, int], Link] = {}
        self._streams = 0

    def stream(self) -> int:
        """The number of a new stream.

        Raises:
            UserError: there is none left.
        """
        if self._streams == fabric.STREAMS:
            raise UserError(
                f"the program needs more than {fabric.STREAMS} streams on chip {self.chip.name}: "
                f"allowed are {fabric.STREAMS}"
            )
        self._streams += 1
        return self._streams - 1

    def cost(
        self, source: int, tile: int, group: Hashable, avoid: Collection[int] = ()
    ) -> int | None:
        """Cost of the way from `source` to `tile`, or None if there is none; reserves nothing."""
        found = self._search({source: None}, tile, source, group, avoid)
        return None if found is None else found[0]

    def tree(
        self,
        source: int,
        destinations: Sequence[tuple[int, str]],
        group: Hashable,
        avoid: Collection[int] = (),
    ) -> dict[int, set[str]]:
        """A multicast tree from tile `source`: the sinks at every tile that it passes.

        Args:
            source: the tile where the stream enters the fabric.
            destinations: tiles, and the sink (`fabric.INPUT`, `RX` or `HOST`) to deliver to.
            group: what the stream belongs to, see the class.
            avoid: tiles that it must not pass.

        Raises:
            UserError: a destination cannot be reached.
        """
        sinks: dict[int, set[str]] = {source: set()}
        for tile, sink in destinations:
            if tile not in sinks:
                found = self._search(dict.fromkeys(sinks), tile, source, group, avoid)
                if found is None:
                    raise UserError(
                        f"chip {self.chip.name} has no links from tile {source} to tile {tile}: "
                        "allowed is an adjacency that connects them"
                    )
                for at, name, other in found[1]:
                    sinks[at].add(name)
                    sinks[other] = set()
                    link = at, name
                    self._groups[link].add(group)
                    self._uses[link] += 1
                    self._entry.setdefault((group, source, other), link)
            sinks[tile].add(sink)
        return sinks

    def _weight(self, link: Link, other: int, source: int, group: Hashable) -> int:
        apart = self._groups[link] <= {group}
        # Where two ways to a tile meet, packets could overtake each other.
        one_way = self._entry.get((group, source, other), link) == link
        return _HOP + _USE * self._uses[link] + _CONFLICT * (not apart or not one_way)

    def _search(
        self,
        starts: dict[int, None],
        goal: int,
        source: int,
        group: Hashable,
        avoid: Collection[int] = (),
    ) -> tuple[int, list[tuple[int, str, int]]] | None:
        """Cheapest way from any of `starts`: its cost and its links (Dijkstra's algorithm)."""
        best = dict.fromkeys(starts, 0)
        came: dict[int, tuple[int, str]] = {}
        queue = [(0, tile) for tile in sorted(starts)]
        while queue:
            cost, tile = heappop(queue)
            if tile == goal:
                break
            if cost > best[tile]:
                continue
            for name, other in self._out[tile]:
                total = cost + self._weight((tile, name), other, source, group)
                if other != source and other not in avoid and total < best.get(other, total + 1):
                    best[other], came[other] = total, (tile, name)
                    heappush(queue, (total, other))
        if goal not in best:
            return None
        path, tile = [], goal
        while tile in came:
            before, name = came[tile]
            path.append((before, name, tile))
            tile = before
        return best[goal], path[::-1]
