"""Messages that name what they follow, in the order in which they become turns. Pure.

The order is: parents first, then by time, then by place in the file. It never goes
depth first, so that an answer that is added to an old question later pushes nothing
aside. Circles and parents that are not there lose no message: it begins a first turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Node:
    """A message, or what only stands between two.

    Attributes:
        id: Its id in the file.
        parent: The id of what it follows; None for a first one.
        at: When it was said, if known.
        kept: False for what becomes no turn: its children hang on its own parent.
    """

    id: str
    parent: str | None
    at: datetime | None = None
    kept: bool = True


@dataclass(slots=True)
class Arranged:
    """The order of the kept nodes, by their places in the file, and their parents'.

    `parents` has for each kept id the id of the kept node that it follows, or None.
    `absent` and `circles` count the nodes that became first ones for these reasons,
    `repeated` those whose id was there before: they are left out.
    """

    order: list[int] = field(default_factory=list)
    parents: dict[str, str | None] = field(default_factory=dict)
    absent: int = 0
    circles: int = 0
    repeated: int = 0


def arranged(nodes: Sequence[Node]) -> Arranged:
    """The order of these nodes, which are as the file has them."""
    found = Arranged()
    places: dict[str, int] = {}
    for place, node in enumerate(nodes):
        if node.id in places:
            found.repeated += 1
        else:
            places[node.id] = place
    known = {node_id: nodes[place] for node_id, place in places.items()}
    _resolve(known, found)
    _break_circles(known, places, found)
    found.order = list(_ordered(known, places, found.parents))
    return found


def nearest_kept(nodes: Mapping[str, Node], start: str | None) -> str | None:
    """`start` if it is kept, else the nearest kept one above it; None without one."""
    seen: set[str] = set()
    while start is not None and start in nodes and start not in seen:
        if nodes[start].kept:
            return start
        seen.add(start)
        start = nodes[start].parent
    return None


def _resolve(known: Mapping[str, Node], found: Arranged) -> None:
    """For each kept node the kept one above it, each way up walked once."""
    above: dict[str, str | None] = {}
    for node in known.values():
        way, at = [], node.parent
        seen: set[str] = set()
        while at is not None and at not in above:
            parent = known.get(at)
            if parent is None or at in seen:
                break
            if parent.kept:
                break
            seen.add(at)
            way.append(at)
            at = parent.parent
        if at is None:
            top = None
        elif at in above:
            top = above[at]
        elif at in seen or at not in known:
            if node.kept:
                found.circles += at in seen
                found.absent += at not in known
            top = None
        else:
            top = at
        above.update(dict.fromkeys(way, top))
        if node.kept:
            found.parents[node.id] = top


def _break_circles(
    known: Mapping[str, Node], places: Mapping[str, int], found: Arranged
) -> None:
    """Let the first message of every circle begin one."""
    done: set[str] = set()
    for node_id in found.parents:
        way: dict[str, None] = {}
        at: str | None = node_id
        while at is not None and at not in done and at not in way:
            way[at] = None
            at = found.parents[at]
        if at is not None and at in way:
            names = list(way)
            circle = names[names.index(at) :]
            first = min(circle, key=lambda name: (_time(known[name]), places[name]))
            found.parents[first] = None
            found.circles += 1
        done.update(way)  # `|=` would copy them all each time


def _time(node: Node) -> datetime:
    return _BEFORE_ALL if node.at is None else node.at


def _ordered(
    known: Mapping[str, Node],
    places: Mapping[str, int],
    parents: Mapping[str, str | None],
) -> Iterator[int]:
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for node_id, parent in parents.items():
        children[parent].append(node_id)
    ready: list[tuple[datetime, int, str]] = []

    def add(parent: str | None, at: datetime) -> None:
        for child in children[parent]:
            # What has no time of its own was said right after what it follows.
            own = known[child].at or at
            heappush(ready, (own, places[child], child))

    add(None, _BEFORE_ALL)
    while ready:
        at, place, node_id = heappop(ready)
        yield place
        add(node_id, at)
