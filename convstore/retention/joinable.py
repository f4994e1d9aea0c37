"""Which small segments are worth joining: pure, and the same for a dry run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from convstore.db.joining import Candidate

SESSIONS_OF_ONE = 20_000
"""Of one joined segment: what becomes known of them does so in one transaction."""

SEGMENTS_OF_ONE = 1_000
"""That one is joined of: each is a transaction of its own."""


@dataclass(slots=True)
class Group:
    """Segments of one tenant and month that become one."""

    members: list[Candidate] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Packed bytes of all."""
        return sum(member.size_bytes for member in self.members)

    @property
    def sessions(self) -> int:
        """Copies in all of them."""
        return sum(member.entry_count for member in self.members)

    def takes(self, one: Candidate, most_bytes: int) -> bool:
        """Whether there is room for another one."""
        return (
            self.size_bytes + one.size_bytes <= most_bytes
            and self.sessions + one.entry_count <= SESSIONS_OF_ONE
            and len(self.members) < SEGMENTS_OF_ONE
        )


def groups(found: Iterable[Candidate], most_bytes: int) -> list[Group]:
    """What is to be joined to what, none of it larger than `most_bytes`.

    A segment holds one tenant, and a folder one month, so both stay apart. A large one
    is not written again for a few small ones, but when the others have half of its
    size: so each byte is copied as often as its segment grows by half.
    """
    open_groups: defaultdict[tuple[str, str], Group] = defaultdict(Group)
    done = []
    for one in found:
        if one.tenant_id is None:
            continue  # nothing in it: recovery removes it
        place = one.tenant_id, one.key.rpartition("/")[0]
        if not open_groups[place].takes(one, most_bytes):
            done.append(open_groups.pop(place))
        open_groups[place].members.append(one)
    worth = (_worth(group.members) for group in [*done, *open_groups.values()])
    return [Group(members) for members in worth if members]


def _worth(members: Sequence[Candidate]) -> list[Candidate]:
    left = sorted(members, key=lambda one: (one.size_bytes, one.segment_id))
    total = sum(one.size_bytes for one in left)
    # Smallest first, so the last one is what the others are compared with.
    while left and left[-1].size_bytes > 2 * (total - left[-1].size_bytes):
        total -= left.pop().size_bytes
    return left if len(left) > 1 else []
