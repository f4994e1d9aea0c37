"""Writes what an import read: one record, one operation, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar, cast

from msgspec import structs

from convstore.db.attachments import kept_of
from convstore.db.codec.inputs import encode_object, encode_tags, encode_time
from convstore.db.codec.records import attachment_row
from convstore.db.engine import Work
from convstore.db.imported_sessions import ImportDocument, ImportSession, Stored
from convstore.db.imported_talks import ImportTalk
from convstore.db.turns import Appended, AppendTurns
from convstore.db.unit import Operation, Row
from convstore.imports.model import GraphStateInput, ImportedSession
from convstore.messages.attached import chars_in, taken_apart
from convstore.repositories.attachments import Attachments
from convstore.repositories.graph_states import GraphStates
from convstore.repositories.imported_items import keep_beside
from convstore.repositories.interactions import Interactions
from convstore.repositories.patching import encode_patch
from convstore.repositories.scope import Scope
from convstore.repositories.turns import Turns
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.codec import check_text, decode_json, encode_json
from convstore.vocabulary.consistency import check_agreement
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import (
    InteractionInput,
    Session,
    SessionDocument,
    TurnInput,
)

T = TypeVar("T")
_MAX_TITLE_BYTES = 4096
MOST_TURNS = 100_000
"""Of one imported conversation."""
MOST_INLINE = 64 * 1024
"""Characters of an imported picture or file; a longer one is an attachment."""
MUCH_INLINE = 4 * 1024 * 1024
"""Characters of all pictures and files of one imported turn."""
# How far the clocks of two machines may lie apart; retention allows as much.
_CLOCK_SLACK = timedelta(seconds=60)
# Our own documents nest their values a few levels deeper than a value alone.
_DOCUMENT_LEVELS = 8


BATCH = "import_batch"
"""The key of metadata that says by which import a session was made."""


BATCH_SIZE = "import_size"
"""The key beside it: how much the session held then; see `size_of`."""


def size_of(session: ImportedSession | Session) -> list[int]:
    """How many turns, interactions and graph states there are: more of any of them
    means that a session went on since it was imported."""
    if isinstance(session, Session):
        counts = session.turn_count, session.interaction_count
        return [*counts, session.graph_state_count]
    given = session.turns, session.interactions, session.graph_states
    return [len(each) for each in given]


@dataclass(frozen=True, slots=True)
class Labels:
    """What an import puts on every session that it makes.

    Attributes:
        user_id: Whose they are, whatever the source says.
        tags: Besides those of the source.
        batch: The import, so that it can be undone; empty for none.
    """

    user_id: str | None = None
    tags: tuple[str, ...] = ()
    batch: str = ""


NO_LABELS = Labels()


def labelled(session: ImportedSession, labels: Labels) -> ImportedSession:
    """The session with the labels of its import.

    Raises:
        InvalidInputError: It is one of our own documents, which stay as they are.
    """
    if session.document is not None:
        if labels.user_id is not None or labels.tags:
            raise InvalidInputError("document", "stays as it is: no user, no tag")
        return session
    metadata = dict(session.metadata)
    if labels.batch:
        metadata |= {BATCH: labels.batch, BATCH_SIZE: size_of(session)}
    owner = labels.user_id or session.user_id
    return replace(
        session,
        user_id=owner,
        items=tuple(
            item if item.user_id is None else replace(item, user_id=owner)
            for item in session.items
        ),
        tags=tuple(dict.fromkeys((*session.tags, *labels.tags))),
        metadata=metadata,
    )


async def write_imported(
    scope: Scope,
    session: ImportedSession,
    labels: Labels = NO_LABELS,
    *,
    home: Scope | None = None,
) -> Stored:
    """Store one imported session; durable on return.

    Args:
        home: Where what lies outside sessions is kept, if that is another database.

    Idempotent. A session that exists is continued if its first turns are the record's,
    and left as it is if it has them all; an archived one is restored to be continued.

    Raises:
        InvalidInputError: Something cannot be stored; names the field.
        TurnNotFoundError: Something refers to a turn that the record does not have.
        ConflictError: The session exists with another content.
        SessionErasedError, SessionDeletedError: Its id must not come back.
    """
    operation: Operation[Stored]
    if labels != NO_LABELS:
        session = labelled(session, labels)
    if session.document is not None:
        operation = _document(scope, session.document)
    else:
        operation = await _session(scope, session)
    await _keep(scope, session)
    stored = await scope.write(operation)
    # Behind the session, which is refused where it was erased; and again by the next
    # import, should this one end in between.
    await keep_beside(home or scope, session.items, labels.batch)
    return stored


async def _keep(scope: Scope, session: ImportedSession) -> None:
    """Keep the files that the session names and that are not kept yet, one at a time:
    should it end before the session is stored, they wait a day for who names them."""
    if not session.files:
        return
    names = {file.hash for file in session.files}
    kept = await scope.runner.read(lambda c: kept_of(c, scope.tenant, names))
    for file in session.files:
        if file.hash not in kept:
            data = await asyncio.to_thread(file.load)
            await Attachments(scope).put(data, media_type=file.media_type)


class _Recorder:
    """A runner that keeps operations in place of carrying them out: the nouns check
    and encode, and everything then goes down as one."""

    in_transaction = False

    def __init__(self) -> None:
        self.operations: list[Any] = []

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        raise AssertionError("an import decides in its own transaction")

    async def write(self, operation: Operation[T]) -> T:
        self.operations.append(operation)
        # Nobody looks at what a noun gives back for this.
        nothing = Appended([], []) if isinstance(operation, AppendTurns) else None
        return cast(T, nothing)


async def _session(scope: Scope, session: ImportedSession) -> ImportSession:
    now = scope.now()
    session = _dated(session)
    key = scope.key(check_id("session_id", session.session_id))
    turns = await _turns(scope, session.session_id, session.turns)
    acts = await _gathered(scope, session.session_id, session.interactions, _record)
    graphs = await _gathered(scope, session.session_id, session.graph_states, _put)
    values = _values(scope, session)
    states = encode_patch(scope.limits, {}, None, session.adapter_state).states
    kind = ImportTalk if session.own_ids else ImportSession
    return kind(
        key=key,
        values=values,
        turns=turns or AppendTurns(key, [], {}, 0, now),
        acts=acts,
        graphs=graphs,
        head_seq=session.head_seq,
        now=now,
        states=states,
        size=sum(o.size for o in (*acts, *graphs)) + (turns.size if turns else 0),
    )


def _dated(session: ImportedSession) -> ImportedSession:
    """With times where the source leaves them out: a turn was said no earlier than the
    one before it in the file, the first when the session began. Without any, now."""
    given = [turn.created_at for turn in session.turns if turn.created_at is not None]
    begun = session.created_at or (min(given) if given else None)
    if begun is None:
        return session
    at, turns = begun, []
    for turn in session.turns:
        at = turn.created_at or at
        dated = turn if turn.created_at else structs.replace(turn, created_at=at)
        turns.append(dated)
    return replace(session, created_at=begun, turns=tuple(turns))


async def _turns(
    scope: Scope, session_id: str, given: Sequence[TurnInput]
) -> AppendTurns | None:
    recorder = _Recorder()
    turns = [_named(turn, place) for place, turn in enumerate(given, 1)]
    _check_different("turns", turns)
    inner = replace(scope, runner=recorder, limits=_limits_of_one(scope.limits))
    turns, apart = _lighter(inner, turns)
    await Turns(inner).append_many(session_id, turns)
    if not recorder.operations:
        return None
    operation: AppendTurns = recorder.operations[0]
    operation.kept_apart += apart
    return operation


@lru_cache(maxsize=16)
def _limits_of_one(limits: Limits) -> Limits:
    """One conversation is one commit, and longer than what a caller sends at once."""
    most = max(limits.max_turns_per_call, MOST_TURNS)
    inline = min(limits.max_inline_bytes, MOST_INLINE)
    return replace(limits, max_turns_per_call=most, max_inline_bytes=inline)


def _lighter(
    scope: Scope, given: Sequence[TurnInput]
) -> tuple[list[TurnInput], list[Row]]:
    """The turns, those with much inline with names in place of the bytes, as these may
    be more together than a turn takes; and the rows of what they name."""
    turns = list(given)
    kept: dict[str, Row] = {}
    for place, turn in enumerate(turns):
        if not turn.parts or chars_in(turn.parts) <= MUCH_INLINE:
            continue
        parts, taken = taken_apart(turn.parts, scope.limits.max_inline_bytes)
        most = max((len(one.data) for one in taken), default=0)
        if isinstance(parts, list) and most <= scope.limits.max_attachment_bytes:
            turns[place] = structs.replace(turn, parts=parts)
            now = scope.now()
            kept |= {one.hash: attachment_row(scope.tenant, one, now) for one in taken}
    return turns, list(kept.values())


async def _gathered(
    scope: Scope, session_id: str, given: Sequence[Any], verb: Any
) -> list[Any]:
    if not given:
        return []
    recorder = _Recorder()
    inner = replace(scope, runner=recorder)
    items = [_named(item, place) for place, item in enumerate(given, 1)]
    _check_different("external_id", items)
    for place, item in enumerate(items):
        try:
            await verb(inner, session_id, item)
        except InvalidInputError as error:
            kind = "interactions" if verb is _record else "graph_states"
            where = f"{kind}[{place}].{error.field}"
            raise InvalidInputError(where, error.problem) from None
    return recorder.operations


async def _record(scope: Scope, session_id: str, act: InteractionInput) -> None:
    given = {name: getattr(act, name) for name in names_of(act)}
    await Interactions(scope).record(session_id, **given)


async def _put(scope: Scope, session_id: str, state: GraphStateInput) -> None:
    given = {f.name: getattr(state, f.name) for f in fields(state)}
    await GraphStates(scope).put(session_id, **given)


def _named(item: Any, place: int) -> Any:
    """With an external id: by it a second import knows what it finds."""
    if item.external_id is not None:
        return item
    return replace(item, external_id=f"import:{place}")


def _check_different(where: str, items: Sequence[Any]) -> None:
    if len({item.external_id for item in items}) != len(items):
        raise InvalidInputError(where, "two of them have one external_id")


def _values(scope: Scope, session: ImportedSession) -> Row:
    values: Row = {
        "user_id": check_optional_id("user_id", session.user_id),
        "language": check_optional_id("language", session.language),
        "tags": encode_tags(scope.limits, session.tags),
        "metadata": encode_object(scope.limits, "metadata", session.metadata),
    }
    if session.title is not None:
        values["title"] = check_text("title", session.title, _MAX_TITLE_BYTES)
    if session.created_at is not None:
        values["created_at"] = encode_time("created_at", session.created_at)
    return values


def _document(scope: Scope, document: SessionDocument) -> ImportDocument:
    session, limits = document.session, scope.limits
    if session.tenant_id != scope.tenant:
        raise InvalidInputError(
            "session.tenant_id", "is another tenant's: open the store of that tenant"
        )
    check_id("session.id", session.id)
    encode_tags(limits, session.tags)
    check_agreement(document)
    _check_times(scope, session)
    # What passed no limit when it was written passes none now; the profile of text
    # and JSON is looked at all the same, for a document may have been made by hand.
    whole = decode_json(encode_document(document))
    encode_json("document", whole, 2**63 - 1, limits.max_json_depth + _DOCUMENT_LEVELS)
    return ImportDocument.of(document, from_micros(scope.now()))


def _check_times(scope: Scope, session: Session) -> None:
    """A session from the future would never be idle, and halt retention for all."""
    latest = scope.clock.now() + _CLOCK_SLACK
    for name in ("created_at", "updated_at", "last_activity_at"):
        if getattr(session, name) > latest:
            raise InvalidInputError(f"session.{name}", "is in the future")
        encode_time(f"session.{name}", getattr(session, name))
