"""Routes through the fabric: multicast trees over links, along cheapest paths."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError

_USE, _HOP, _CONFLICT = 1, 1 << 10, 1 << 20
"""Costs of a link: for each stream that it carries, for itself, and where a group must not go."""
ROUNDS = 40
"""Negotiations before giving up."""
_PRICE_RISE = 0.5
"""What a link that several streams want costs more after every round."""

Link = tuple[int, str]
End = tuple[int, str]
"""A tile, and the sink (`fabric.INPUT`, `RX`, `GDPU` or `HOST`) to deliver to."""
Tree = dict[int, set[str]]
"""By tile, the sinks of a stream there: links that it goes on by, and ends."""
_Weight = Callable[[Link, int], float]
"""Cost of a link that leads to a tile."""


@dataclass(frozen=True)
class Demand:
    """A stream to route.

    Attributes:
        source: the tile at which it enters the fabric.
        ends: where it goes to.
    """

    source: int
    ends: tuple[End, ...]


class Crowded(UserError):
    """No routes were found that share no link."""


class Router:
    """Finds routes and remembers what every link carries.

    `tree` routes streams one by one, in groups. Streams of different groups keep apart where they
    can; a group's own streams may share links. All those of a group that start at one tile are a
    tree together where they can, so that packets that share a link keep the order in which they
    were sent. `apart` routes streams all at once, so that no two share a link.
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
                f"chip {self.chip.name}: the program needs more than {fabric.STREAMS} streams, "
                "which is as many as packets can name"
            )
        self._streams += 1
        return self._streams - 1

    def cost(
        self, source: int, tile: int, group: Hashable, avoid: Collection[int] = ()
    ) -> float | None:
        """Cost of the way from `source` to `tile`, or None if there is none; reserves nothing."""
        found = self._search([source], [tile], self._weights(source, group), avoid)
        return None if found is None else found[0]

    def tree(
        self, source: int, ends: Sequence[End], group: Hashable, avoid: Collection[int] = ()
    ) -> Tree:
        """A multicast tree from tile `source`: the sinks at every tile that it passes.

        Args:
            source: the tile where the stream enters the fabric.
            ends: where it goes to; the way to each begins wherever those before it lead.
            group: what the stream belongs to, see the class.
            avoid: tiles that it must not pass.

        Raises:
            UserError: an end cannot be reached.
        """
        weight = self._weights(source, group)
        tree, links = self._grow(source, ends, weight, avoid, nearest_first=False)
        for link, other in links:
            self._groups[link].add(group)
            self._uses[link] += 1
            self._entry.setdefault((group, source, other), link)
        return tree

    def apart(self, demands: Sequence[Demand]) -> list[Tree]:
        """A tree for every demand, no two of which have a link in common; reserves nothing.

        So a packet waits for its own ends only, never for another stream's. The trees are
        negotiated (PathFinder, McMurchie and Ebeling 1995): all are routed as if alone, then again
        and again at higher prices for the links that several want, until every link has one taker.

        Raises:
            Crowded: none were found.
            UserError: an end cannot be reached at all.
        """
        history: dict[Link, float] = defaultdict(float)
        takers: dict[Link, int] = defaultdict(int)
        found: list[tuple[Tree, list[tuple[Link, int]]]] = [({}, []) for _ in demands]
        for turn in range(ROUNDS):

            def price(link: Link, _: int, *, turn: int = turn) -> float:
                return (1 + history.get(link, 0.0)) * (1 + turn * takers.get(link, 0))

            for index, demand in enumerate(demands):
                for link, _ in found[index][1]:
                    takers[link] -= 1
                found[index] = self._grow(demand.source, demand.ends, price, (), nearest_first=True)
                for link, _ in found[index][1]:
                    takers[link] += 1
            crowded = [link for link, count in takers.items() if count > 1]
            if not crowded:
                return [tree for tree, _ in found]
            for link in crowded:
                history[link] += _PRICE_RISE * (takers[link] - 1)
        tile, name = crowded[0]
        raise Crowded(
            f"several streams want {len(crowded)} links, the first of them {name} of tile {tile}: "
            "expected one stream per link"
        )

    def _weights(self, source: int, group: Hashable) -> _Weight:
        return lambda link, other: self._weight(link, other, source, group)

    def _weight(self, link: Link, other: int, source: int, group: Hashable) -> int:
        apart = self._groups[link] <= {group}
        # Where two ways to a tile meet, packets could overtake each other.
        one_way = self._entry.get((group, source, other), link) == link
        return _HOP + _USE * self._uses[link] + _CONFLICT * (not apart or not one_way)

    def _grow(
        self,
        source: int,
        ends: Sequence[End],
        weight: _Weight,
        avoid: Collection[int],
        nearest_first: bool,
    ) -> tuple[Tree, list[tuple[Link, int]]]:
        """A tree to all ends, grown by one way after another, and its links with their far tiles.

        Raises:
            UserError: an end cannot be reached.
        """
        tree: Tree = {source: set()}
        links: list[tuple[Link, int]] = []
        while missing := [tile for tile, _ in ends if tile not in tree]:
            goals = missing if nearest_first else missing[:1]
            found = self._search(tree, goals, weight, avoid)
            if found is None:
                raise UserError(
                    f"chip {self.chip.name} has no links from tile {source} to tile {min(goals)}: "
                    "expected an adjacency that connects them"
                )
            for at, name, other in found[1]:
                tree[at].add(name)
                tree[other] = set()
                links.append(((at, name), other))
        for tile, sink in ends:
            tree[tile].add(sink)
        return tree, links

    def _search(
        self,
        starts: Collection[int],
        goals: Collection[int],
        weight: _Weight,
        avoid: Collection[int],
    ) -> tuple[float, list[tuple[int, str, int]]] | None:
        """Cheapest way from any of `starts` to any of `goals` (Dijkstra's algorithm).

        Returns its cost, and its links: tile, port, next tile.
        """
        best: dict[int, float] = dict.fromkeys(starts, 0)
        came: dict[int, Link] = {}
        queue: list[tuple[float, int]] = [(0, tile) for tile in sorted(starts)]
        while queue:
            cost, tile = heappop(queue)
            if tile in goals:
                break
            if cost > best[tile]:
                continue
            for name, other in self._out[tile]:
                total = cost + weight((tile, name), other)
                if other not in avoid and total < best.get(other, total + 1):
                    best[other], came[other] = total, (tile, name)
                    heappush(queue, (total, other))
        else:
            return None
        path = []
        while tile in came:
            before, name = came[tile]
            path.append((before, name, tile))
            tile = before
        return cost, path[::-1]


def pruned(tree: Tree, root: int, wanted: Collection[End], chip: Chip) -> Tree:
    """The part of a tree from `root` on that leads to the ends `wanted`."""
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    found: Tree = {}

    def visit(tile: int) -> bool:
        names = set()
        for name in tree[tile]:
            if name in directions:
                if visit(fabric.neighbour(chip, tile, directions[name])):
                    names.add(name)
            elif (tile, name) in wanted:
                names.add(name)
        if names:
            found[tile] = names
        return bool(names)

    visit(root)
    return found


def distance(chip: Chip, one: int, other: int) -> tuple[int, int]:
    """Rows and columns between two tiles."""
    (row, column), (other_row, other_column) = (
        divmod(tile, chip.grid.columns) for tile in (one, other)
    )
    return abs(row - other_row), abs(column - other_column)
