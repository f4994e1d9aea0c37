"""One request as a page sees it, and what a page answers with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from convstore.vocabulary.errors import InvalidInputError, shown
from convstore.vocabulary.feedback import RATING_ACTIONS
from convstore.vocabulary.judgements import Reading
from convstore.web.actors import Actor, Role
from convstore.web.entrance import MOST_BODY_BYTES
from convstore.web.text import address, visible

if TYPE_CHECKING:
    from starlette.requests import Request

    from convstore.store.facade import Store

SURFACE = "convstore web"
"""As which surface judgements of the page are recorded."""
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class View:
    """A page: its template, what that shows, and the same as JSON."""

    template: str
    title: str
    shown: dict[str, Any]
    json: dict[str, Any]
    here: str = ""


@dataclass(frozen=True, slots=True)
class Go:
    """The end of a form: where to look next, and what was done, as JSON."""

    to: str
    json: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file: what it is called where it is kept, its kind, and its bytes.

    One that ends early is cut off so that the browser tells: half of somebody's data
    must not be taken for all of it.
    """

    name: str
    media_type: str
    pieces: AsyncIterator[bytes]
    inline: bool = False


Answer: TypeAlias = View | Go | Sent


async def begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, of which the first was made: what fails at once is told as a page."""
    first = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who may see this tenant.

    Attributes:
        store: Of the tenant that is looked at.
        actor: Who looks.
        query: The address's parameters, empty ones left out.
        form: The fields of a form, empty ones left out.
        now: The time.
        root: Where the application is mounted.
        elsewhere: The tenant, where it is not the store's own: it stays in addresses.
        read_only: No form is taken.
        data_sets: The folder of this tenant's data sets; None where there is none.
        seen: Ids of the sessions whose words the answer shows: pages note them.
    """

    store: Store
    actor: Actor
    query: Mapping[str, str]
    form: Mapping[str, str]
    now: datetime
    root: str
    elsewhere: str | None
    read_only: bool
    data_sets: Path | None = None
    seen: list[str] = field(default_factory=list)

    def url(self, path: str, **query: object) -> str:
        """The address of a page, of the same tenant."""
        return address(self.root, path, {**query, "tenant": self.elsewhere})

    def may(self, role: Role) -> bool:
        """Whether a form of this role would be taken."""
        if role == "reader":
            return True
        return not self.read_only and self.actor.may(role)

    def needed(self, name: str) -> str:
        """A parameter of the address that must be there."""
        if name not in self.query:
            raise InvalidInputError(name, "is missing in the address")
        return self.query[name]

    def confirmed(self, wanted: str) -> None:
        """See that something was typed once more by hand.

        Raises:
            InvalidInputError: Something else was typed; nothing was done.
        """
        # As the page shows it is right, too: some characters nobody can type.
        as_shown = {_spaced(wanted), _spaced(visible(wanted))}
        if _spaced(self.form.get("confirm", "")) not in as_shown:
            raise InvalidInputError("confirm", f"type {shown(wanted)} to go ahead")

    def number(self, name: str) -> int | None:
        """A parameter of the address that is a whole number."""
        given = self.query.get(name)
        return None if given is None else whole(name, given)

    @property
    def reading(self) -> Reading:
        """What labels and scores mean here."""
        return Reading(self.store.config.feedback)


def _spaced(given: str) -> str:
    return " ".join(given.split())


def whole(name: str, given: str) -> int:
    """A whole number that was written down."""
    if not given.isascii() or not given.isdecimal() or len(given) > 18:
        raise InvalidInputError(name, "must be a whole number")
    return int(given)


def parameters(given: bytes) -> dict[str, str]:
    """The fields of an address or a form, empty ones left out.

    Raises:
        InvalidInputError: There are too many, one comes twice, or it is not UTF-8.
    """
    try:
        pairs = parse_qsl(
            given.decode("ascii"), errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise InvalidInputError("form", "cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInputError("form", "has a field twice")
    return fields


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; bounded, whatever its head says of its length."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY_BYTES:
            raise InvalidInputError("form", "is too large")
    return parameters(body)


def chips(counts: Mapping[str, int], reading: Reading) -> list[tuple[str, str, int]]:
    """Labels as they are shown: what kind, the word, how many; the most first."""
    kinds = {"good": "good", "bad": "bad"}
    found = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [
        (kinds.get(reading.meaning(label) or "", "plain"), label, count)
        for label, count in found
    ]


def said(counts: Mapping[str, int], reading: Reading) -> list[tuple[str, str, int]]:
    """What was said, in one line: kind, the labels it is of, and how often."""
    labels: dict[str, list[str]] = {"good": [], "bad": [], "plain": []}
    for label in sorted(counts):
        kind = reading.meaning(label) or ""
        labels[kind if kind in labels else "plain"].append(label)
    return [
        (kind, ", ".join(names), sum(counts[name] for name in names))
        for kind, names in labels.items()
        if names
    ]


def disagreeing(counts: Mapping[str, int], reading: Reading) -> bool:
    """Whether both good and bad was said."""
    meanings = {reading.meaning(label) for label, count in counts.items() if count}
    return {"good", "bad"} <= meanings


ACTION = RATING_ACTIONS[0]
