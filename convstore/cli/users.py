"""`convstore users`: whose sessions there are, and one person's whole data."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, with_store
from convstore.cli.output import fact, print_json, print_table, say, say_more
from convstore.cli.values import bad_option

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.overviews import UserSummary
    from convstore.vocabulary.progress import Progress
    from convstore.vocabulary.records import Page


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {"list": list_, "export": export}


def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="Users of one page.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List users by id, with their sessions and last activity."""

    async def work(store: Store) -> Page[UserSummary]:
        return await store.users.list(limit=limit, cursor=cursor)

    page = with_store(context, work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("user", "sessions", "last activity"),
        (
            (one.user_id, one.session_count, fact(one.last_activity_at))
            for one in page.items
        ),
    )
    say_more(page.next_cursor)


def export(
    context: typer.Context,
    user_id: Annotated[str, typer.Argument(help="Whose data.")],
    to: Annotated[Path, typer.Option(help="A new file.")],
    as_json: AsJson = False,
) -> None:
    """Write everything that is kept of one person to a file, as JSON.

    Their sessions, live and archived, whole: turns, judgements, states; their items;
    what they cost. Changes nothing. Sessions in the bin are counted: restore them
    first, to have them too.
    """
    new = to.with_name(f"{to.name}.part")
    try:
        if to.exists():
            raise FileExistsError(17, "is there already")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise bad_option("--to", f"{to}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            told = with_store(context, lambda store: _write(store, user_id, file))
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, to)
    except BaseException:
        # Half of somebody's data must not be taken for all of it.
        with suppress(FileNotFoundError):
            new.unlink()
        raise
    if as_json:
        print_json({"user_id": user_id, "to": str(to), **told})
        return
    say(f"wrote {told['sessions']} sessions and {told['items']} items to {to}")
    if told["deleted"]:
        say(f"{told['deleted']} sessions are in the bin, and not in it")


async def _write(store: Store, user_id: str, file: IO[bytes]) -> dict[str, int]:
    told: list[Progress] = []
    async for piece in store.personal_data(user_id, on_progress=told.append):
        file.write(piece)
    return {"sessions": told[-1].done, **told[-1].counts}
