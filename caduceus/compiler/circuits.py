"""Routes that share no link: every stream has the links of its tree to itself.

So a packet waits for its own ends only, never for another stream's. The trees are negotiated
(PathFinder, McMurchie and Ebeling 1995): all are routed as if alone, then again and again at higher
prices for the links that several want, until every link has one taker.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError

ROUNDS = 40
"""Negotiations before giving up."""
_PRICE_RISE = 0.5
"""What a link that several streams want costs more after every round."""

Link = tuple[int, str]
Tree = dict[int, set[str]]
"""By tile, the sinks of a stream there."""


@dataclass(frozen=True)
class Demand:
    """A stream that is to be routed.

    Attributes:
        source: the tile at which it enters the fabric.
        ends: tiles, and the sink to deliver to.
    """

    source: int
    ends: tuple[tuple[int, str], ...]


class Crowded(UserError):
    """No routes were found that share no link."""


def route(demands: Sequence[Demand], chip: Chip) -> list[Tree]:
    """A tree for every demand; no two have a link in common.

    Raises:
        Crowded: none were found.
        UserError: an end cannot be reached at all.
    """
    out: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for tile, name, other in fabric.links(chip):
        out[tile].append((name, other))
    history: dict[Link, float] = defaultdict(float)
    takers: dict[Link, int] = defaultdict(int)
    found: list[tuple[Tree, list[Link]]] = [({}, []) for _ in demands]
    for turn in range(ROUNDS):
        for index, demand in enumerate(demands):
            for link in found[index][1]:
                takers[link] -= 1
            price = {
                link: (1 + history[link]) * (1 + turn * takers[link])
                for link in set(takers) | set(history)
            }
            found[index] = _tree(demand, out, price, chip)
            for link in found[index][1]:
                takers[link] += 1
        crowded = [link for link, count in takers.items() if count > 1]
        if not crowded:
            return [tree for tree, _ in found]
        for link in crowded:
            history[link] += _PRICE_RISE * (takers[link] - 1)
    tile, name = crowded[0]
    raise Crowded(
        f"{len(crowded)} links are wanted by several streams, the first of them {name} of tile "
        f"{tile}: allowed is one stream a link"
    )


def _tree(
    demand: Demand, out: dict[int, list[tuple[str, int]]], price: dict[Link, float], chip: Chip
) -> tuple[Tree, list[Link]]:
    """A cheap tree: grown by the nearest end that is missing, until all are there."""
    tree: Tree = {demand.source: set()}
    links: list[Link] = []
    missing = {tile for tile, _ in demand.ends} - {demand.source}
    while missing:
        best = dict.fromkeys(tree, 0.0)
        came: dict[int, tuple[int, str]] = {}
        queue = [(0.0, tile) for tile in sorted(tree)]
        goal = None
        while queue:
            cost, tile = heappop(queue)
            if cost > best[tile]:
                continue
            if tile in missing:
                goal = tile
                break
            for name, other in out[tile]:
                total = cost + price.get((tile, name), 1.0)
                if total < best.get(other, total + 1):
                    best[other], came[other] = total, (tile, name)
                    heappush(queue, (total, other))
        if goal is None:
            raise UserError(
                f"chip {chip.name} has no links from tile {demand.source} to tile {min(missing)}: "
                "allowed is an adjacency that connects them"
            )
        missing.discard(goal)
        path, tile = [], goal
        while tile in came:
            before, name = came[tile]
            path.append((before, name, tile))
            tile = before
        for before, name, tile in reversed(path):
            tree[before].add(name)
            tree[tile] = set()
            links.append((before, name))
    for tile, sink in demand.ends:
        tree[tile].add(sink)
    return tree, links
