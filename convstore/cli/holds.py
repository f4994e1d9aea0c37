"""`convstore hold`: legal holds, which no path of destruction passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, with_store
from convstore.cli.output import count, fact, print_json, print_table, say, say_more

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.records import LegalHold, Page

SessionId = Annotated[str, typer.Argument(help="Of the session.")]
Actor = Annotated[str | None, typer.Option(help="Who decided it.")]


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {"place": place, "release": release, "list": list_}


def place(
    context: typer.Context,
    session_id: SessionId,
    reason: Annotated[str, typer.Option(help="Why; kept as history.")],
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Hold a session: nothing destroys it until released.

    It is not purged, deleted, erased or expired.
    """

    async def work(store: Store) -> LegalHold:
        return await store.holds.place(session_id, reason=reason, actor_id=actor)

    hold = with_store(context, work)
    if as_json:
        print_json(hold)
    else:
        say(f"hold {hold.number} placed on {hold.session_id}")


def release(
    context: typer.Context,
    session_id: SessionId,
    number: Annotated[
        int | None, typer.Option(help="Which hold; all of them if left out.")
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Release the holds of a session, or one of them. They are kept as history."""

    async def work(store: Store) -> list[LegalHold]:
        return await store.holds.release(session_id, number=number, actor_id=actor)

    released = with_store(context, work)
    if as_json:
        print_json({"items": released})
    else:
        say(f"released {count(len(released), 'hold')} on {session_id}")


def list_(
    context: typer.Context,
    session_id: Annotated[str | None, typer.Argument(help="Only its holds.")] = None,
    in_force: Annotated[
        bool, typer.Option("--in-force", help="Leave out the released ones.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Holds of one page.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List holds, released ones included."""

    async def work(store: Store) -> Page[LegalHold]:
        return await store.holds.list(
            session_id, in_force=in_force, limit=limit, cursor=cursor
        )

    page = with_store(context, work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("session", "hold", "reason", "placed", "by", "released", "by"),
        (
            (h.session_id, h.number, h.reason, fact(h.placed_at), h.placed_by,
             h.released_at and fact(h.released_at), h.released_by)
            for h in page.items
        ),
    )  # fmt: skip
    say_more(page.next_cursor)
