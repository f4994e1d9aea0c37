"""Whom the record of a session names beside its owner: who judged, chose or held.

An erased user is taken out of other people's sessions by another name, which says
nothing and is the same for all that they did, so that it still counts as one person's.
"""

from __future__ import annotations

import re
from datetime import datetime

from msgspec.structs import replace

from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Interaction, LegalHold, SessionDocument

_PSEUDONYM = re.compile(r"erased-[0-9a-f]{16}", re.ASCII)


def is_pseudonym(actor_id: str) -> bool:
    """Whether a name is one that an erased user has in the sessions of others."""
    return _PSEUDONYM.fullmatch(actor_id) is not None


def with_pseudonyms(
    document: SessionDocument, stored: SessionDocument
) -> SessionDocument:
    """A document of before an erasure, with the names that are stored by now in the
    place of those who were erased."""
    if len(document.interactions) != len(stored.interactions) or (
        len(document.holds) != len(stored.holds)
    ):
        return document
    acts = (
        replace(act, actor_id=_stored(act.actor_id, there.actor_id))
        for act, there in zip(document.interactions, stored.interactions, strict=True)
    )
    holds = (
        replace(
            hold,
            placed_by=_stored(hold.placed_by, there.placed_by),
            released_by=_stored(hold.released_by, there.released_by),
        )
        for hold, there in zip(document.holds, stored.holds, strict=True)
    )
    return replace(document, interactions=tuple(acts), holds=tuple(holds))


def _stored(given: str | None, stored: str | None) -> str | None:
    if given is None or stored is None or not is_pseudonym(stored):
        return given
    return stored


def actors_of(document: SessionDocument) -> set[str]:
    """Every actor that the acts and the holds of a session name."""
    named = {act.actor_id for act in document.interactions}
    for hold in document.holds:
        named |= {hold.placed_by, hold.released_by}
    return {actor for actor in named if actor is not None}


class Renaming(Value, frozen=True):
    """Another name for an actor of a tenant, in what they did until a moment.

    Whoever comes back after it is named by what they do from then on.
    """

    tenant_id: str
    was: str
    name: str
    until: datetime

    def of(self, document: SessionDocument) -> SessionDocument:
        """The document with the other name; the same object where there is nothing to
        be changed."""
        acts = tuple(map(self._act, document.interactions))
        holds = tuple(map(self._hold, document.holds))
        if (acts, holds) == (document.interactions, document.holds):
            return document
        return replace(document, interactions=acts, holds=holds)

    def _act(self, act: Interaction) -> Interaction:
        if act.actor_id != self.was or act.created_at > self.until:
            return act
        return replace(act, actor_id=self.name)

    def _hold(self, hold: LegalHold) -> LegalHold:
        placed, released = hold.placed_by, hold.released_by
        if placed == self.was and hold.placed_at <= self.until:
            placed = self.name
        if released == self.was and (hold.released_at or hold.placed_at) <= self.until:
            released = self.name
        if (placed, released) == (hold.placed_by, hold.released_by):
            return hold
        return replace(hold, placed_by=placed, released_by=released)
