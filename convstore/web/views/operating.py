"""Forms of operators: what names, keeps, brings back and destroys sessions."""

from __future__ import annotations

from convstore.vocabulary.errors import InvalidInputError
from convstore.web.visit import Go, Visit, whole


async def describe(visit: Visit) -> Go:
    """Another title, and other tags."""
    session_id = visit.needed("id")
    given = [tag.strip() for tag in visit.form.get("tags", "").split(",")]
    wanted = [tag for tag in given if tag]
    session = await visit.store.sessions.get(session_id)
    changed = await visit.store.sessions.patch(
        session_id,
        title=visit.form.get("title", session.title),
        add_tags=[tag for tag in wanted if tag not in session.tags],
        remove_tags=[tag for tag in session.tags if tag not in wanted],
    )
    return Go(_conversation(visit, session_id), {"session": changed})


async def hold(visit: Visit) -> Go:
    """Put a session under hold."""
    session_id = visit.needed("id")
    reason = visit.form.get("reason", "").strip()
    if not reason:
        raise InvalidInputError("reason", "say why it is held")
    placed = await visit.store.holds.place(
        session_id, reason=reason, actor_id=visit.actor.id
    )
    return Go(_conversation(visit, session_id), {"hold": placed})


async def release(visit: Visit) -> Go:
    """End a hold."""
    session_id = _confirmed(visit)
    number = whole("number", visit.needed("number"))
    released = await visit.store.holds.release(
        session_id, number=number, actor_id=visit.actor.id
    )
    return Go(_conversation(visit, session_id), {"holds": released})


async def restore(visit: Visit) -> Go:
    """Bring an archived or deleted session back."""
    session_id = _confirmed(visit)
    restored = await visit.store.restore(session_id)
    return Go(_conversation(visit, session_id), {"session": restored})


async def delete(visit: Visit) -> Go:
    """Delete a session; an archived copy is kept, from which it can come back."""
    session_id = _confirmed(visit)
    await visit.store.sessions.delete(session_id)
    return Go(visit.url("/"), {"deleted": session_id})


async def erase(visit: Visit) -> Go:
    """Destroy a session, or all of a person, everywhere, with a receipt."""
    if "user" in visit.query:
        user_id = visit.query["user"]
        visit.confirmed(user_id)
        receipt = await visit.store.erase(user_id=user_id)
    else:
        receipt = await visit.store.erase(session_id=_confirmed(visit))
    return Go(visit.url("/receipt", id=receipt.erasure_id), {"receipt": receipt})


def _confirmed(visit: Visit) -> str:
    """The session's id, which was typed once more by hand."""
    session_id = visit.needed("id")
    visit.confirmed(session_id)
    return session_id


def _conversation(visit: Visit, session_id: str) -> str:
    return visit.url("/conversation", id=session_id)
