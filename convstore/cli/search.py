"""`convstore search`: what was said, and the index that it is looked up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, with_store
from convstore.cli.exits import FOUND, OK
from convstore.cli.output import (
    clean,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    say_more,
)
from convstore.cli.values import bad_option, since_moment

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.hits import Hit, IndexReport, SearchPage

_ORDERS = ("newest", "best")


def search(
    context: typer.Context,
    text: Annotated[
        list[str],
        typer.Argument(help="What is looked for; or `rebuild`, `check`, `index`."),
    ],
    user: Annotated[str | None, typer.Option(help="In this user's sessions.")] = None,
    session: Annotated[str | None, typer.Option(help="In this session.")] = None,
    role: Annotated[
        str | None, typer.Option(help="Turns of the user, or the assistant.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Said at this time or later, or `7d` ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Said before this time, or `7d` ago.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="In this language.")] = None,
    label: Annotated[
        str | None, typer.Option(help="In sessions judged so: a label in force.")
    ] = None,
    order: Annotated[str, typer.Option(help="`newest` or `best` first.")] = "newest",
    limit: Annotated[int, typer.Option(help="Hits of one page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    as_json: AsJson = False,
) -> int:
    """Find titles, turns and comments, in live and archived sessions.

    Words between spaces must all occur, in any order; "…" is a phrase, -word keeps
    out, word* finds beginnings. Put -- before a text that begins with a dash.

    `search index` indexes what waits, `search rebuild` makes the index anew, `search
    check` compares it with what is there. To look for such a word alone, quote it
    twice: '"check"'.
    """
    if len(text) == 1 and text[0] in _UPKEEP:
        return _UPKEEP[text[0]](context, as_json)
    if order not in _ORDERS:
        raise bad_option("--order", f"{order!a} is not one of {', '.join(_ORDERS)}")

    async def work(store: Store) -> SearchPage:
        return await store.search(
            " ".join(text),
            user_id=user,
            session_id=session,
            role=role,
            since=None if since is None else since_moment("--since", since),
            until=None if until is None else since_moment("--until", until),
            language=language,
            label=label,
            order=order,  # type: ignore[arg-type]
            limit=limit,
            cursor=cursor,
        )

    page = with_store(context, work)
    if as_json:
        print_json(page)
        return OK
    print_table(
        ("said", "session", "where", "what"),
        ((h.at, h.session.id, _where(h), clean(h.text)) for h in page.items),
    )
    if not page.complete:
        say("not all was looked at: see `convstore search check`")
    say_more(page.next_cursor)
    return OK


def _where(hit: Hit) -> str:
    if hit.kind == "title":
        return "title"
    if hit.kind == "turn":
        return f"turn {hit.turn_seq}, {hit.role}"
    on = "" if hit.turn_seq is None else f" on turn {hit.turn_seq}"
    return f"comment {hit.interaction_seq}{on}"


def _index(context: typer.Context, as_json: bool) -> int:
    async def work(store: Store) -> IndexReport:
        with progress("indexing", quiet=as_json) as bar:
            return await store.search_index.run(on_progress=bar.told)

    return _told(with_store(context, work), as_json)


def _rebuild(context: typer.Context, as_json: bool) -> int:
    async def work(store: Store) -> IndexReport:
        with progress("indexing", quiet=as_json) as bar:
            return await store.search_index.rebuild(on_progress=bar.told)

    return _told(with_store(context, work), as_json)


def _check(context: typer.Context, as_json: bool) -> int:
    async def work(store: Store) -> IndexReport:
        return await store.search_index.check()

    return _told(with_store(context, work), as_json)


def _told(report: IndexReport, as_json: bool) -> int:
    if as_json:
        print_json(report)
    else:
        names = ("entries", "waiting", "missing", "unwanted", "problem")
        print_facts((name, getattr(report, name)) for name in names)
    return OK if report.ok else FOUND


_UPKEEP = {"index": _index, "rebuild": _rebuild, "check": _check}
