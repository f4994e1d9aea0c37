"""`convstore sessions`: list, show, name, tag and delete conversations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, Yes, confirm, globals_of, with_store
from convstore.cli.output import (
    clean,
    fact,
    print_facts,
    print_json,
    print_table,
    safe_json,
    say,
    say_more,
)
from convstore.cli.values import bad_option, moment

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.bulk import BulkReport
    from convstore.vocabulary.records import Page, Session, SessionDocument, Turn

_FORMS = ("markdown", "html", "json", "text", "chatgpt")
_STATES = ("active", "archived", "deleted", "erased")

Judged = Annotated[
    bool | None, typer.Option("--judged/--not-judged", help="Judged, or not.")
]
Disagreed = Annotated[
    bool | None,
    typer.Option(
        "--disagreed/--not-disagreed", help="Called both good and bad, or not."
    ),
]
Held = Annotated[
    bool | None, typer.Option("--held/--not-held", help="Under hold, or not.")
]


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {
        "list": list_,
        "show": show,
        "export": export,
        "rename": rename,
        "tag": tag,
        "delete": delete,
        "fork": fork,
        "bulk": bulk,
    }


def list_(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    language: Annotated[str | None, typer.Option(help="In this language.")] = None,
    state: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(_STATES)}.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Active at or after.")] = None,
    title: Annotated[
        str | None, typer.Option(help="Titles with words that begin so.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Judged so: a label in force.")
    ] = None,
    judged: Judged = None,
    disagreed: Disagreed = None,
    held: Held = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="The bin: --state deleted.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Sessions of one page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List live and archived sessions, newest activity first."""
    if state is not None and state not in _STATES:
        raise bad_option("--state", f"{state!a} is not one of {', '.join(_STATES)}")
    if deleted and state not in (None, "deleted"):
        raise bad_option("--deleted", "is another state than --state")

    async def work(store: Store) -> Page[Session]:
        return await store.sessions.list(
            user_id=user,
            language=language,
            state="deleted" if deleted else state,  # type: ignore[arg-type]
            updated_since=None if since is None else moment("--since", since),
            title=title,
            tag=tag,
            label=label,
            judged=judged,
            disagreed=disagreed,
            held=held,
            limit=limit,
            cursor=cursor,
        )

    page = with_store(context, work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "state", "user", "title", "turns", "feedback", "last activity"),
        (
            (s.id, s.state, s.user_id, s.title, s.turn_count,
             fact(s.feedback_counts), fact(s.last_activity_at))
            for s in page.items
        ),
    )  # fmt: skip
    if not page.complete:
        say("not all was looked at: few sessions meet this, or very many are as recent")
    say_more(page.next_cursor)
    if page.previous_cursor:
        say(f"back: --cursor {page.previous_cursor}")


def show(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session.")],
    turns: Annotated[int, typer.Option(min=0, help="How many; newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show one session with its newest turns.

    With --json the whole document. An archived session is read where it lies, and not
    restored.
    """
    session, document = with_store(context, lambda store: _read(store, session_id))
    if as_json:
        from convstore.vocabulary.documents import encode_document

        typer.echo(safe_json(encode_document(document, indent=True)))
        return
    print_facts(
        (name, getattr(session, name))
        for name in (
            "id state user_id title language tags created_at last_activity_at "
            "turn_count interaction_count graph_state_count feedback_counts "
            "current_slots hold_count archived_at segment_id"
        ).split()
    )
    for turn in _path(document)[-turns or len(document.turns) :]:
        say()
        say(f"{turn.seq} {turn.role}" + (f" ({turn.name})" if turn.name else ""))
        for line in _lines(turn):
            say(f"   {line}")


def rename(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session.")],
    title: Annotated[str, typer.Argument(help="The new one.")],
    as_json: AsJson = False,
) -> None:
    """Give a session another title. An archived session is restored."""

    async def work(store: Store) -> Session:
        return await store.sessions.patch(session_id, title=title)

    _tell(with_store(context, work), as_json)


def tag(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session.")],
    tags: Annotated[list[str] | None, typer.Argument(help="To be added.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="To be taken away; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add tags to a session, and take others away. An archived session is restored."""

    async def work(store: Store) -> Session:
        return await store.sessions.patch(
            session_id, add_tags=tags or (), remove_tags=remove or ()
        )

    _tell(with_store(context, work), as_json)


def _tell(session: Session, as_json: bool) -> None:
    if as_json:
        print_json(session)
    else:
        print_facts((name, getattr(session, name)) for name in ("id", "title", "tags"))


def export(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session.")],
    form: Annotated[
        str, typer.Option("--as", help=f"One of {', '.join(_FORMS)}.")
    ] = "markdown",
    branches: Annotated[
        bool, typer.Option("--branches", help="All turns, not the active branch.")
    ] = False,
    attachments: Annotated[
        bool,
        typer.Option(
            "--attachments", help="Embed pictures and files in HTML and Markdown."
        ),
    ] = False,
    to: Annotated[Path | None, typer.Option(help="A new file, not the screen.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one conversation as a page to read, live or archived.

    The page loads nothing and runs nothing, whatever was said.
    """
    if form not in _FORMS:
        raise bad_option("--as", f"{form!a} is not one of {', '.join(_FORMS)}")
    page = with_store(
        context,
        lambda store: store.render(
            session_id, form, branches=branches, attachments=attachments
        ),
    )
    told = {"session_id": session_id, "as": form}
    if to is None and as_json:
        print_json({**told, "page": page})
        return
    if to is None:
        typer.echo(safe_json(page.encode()) if form == "json" else page, nl=False)
        return
    try:
        with open(
            os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600),
            "w",
            encoding="utf-8",
        ) as file:
            file.write(page)
    except OSError as error:
        raise bad_option("--to", f"{to}: {error.strerror}") from None
    if as_json:
        print_json({**told, "to": str(to)})
    else:
        say(f"wrote {to}")


def delete(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session.")],
    no_archive: Annotated[
        bool, typer.Option("--no-archive", help="Keep no archived copy either.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a session; an archived copy is kept.

    Unless told otherwise. Its id is refused from then on.
    """
    how = "for good, without a copy" if no_archive else "(an archived copy is kept)"
    confirm(f"Delete session {clean(session_id)} {how}?", yes)

    async def work(store: Store) -> None:
        await store.sessions.delete(session_id, archive=not no_archive)

    with_store(context, work)
    if as_json:
        print_json({"deleted": session_id, "archived": not no_archive})
    else:
        tenant = globals_of(context).tenant
        say(f"deleted {session_id}" + (f" of {tenant}" if tenant else ""))


def fork(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the session to go on from.")],
    new_id: Annotated[str, typer.Argument(help="Of the session to make.")],
    at: Annotated[
        int | None, typer.Option(min=0, help="Its last turn to take; 0 for none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a session with the turns of another one.

    With those of its active branch, or of the one that ends in turn --at.
    """
    made = with_store(context, lambda s: s.sessions.fork(session_id, new_id, at))
    if as_json:
        print_json(made)
    else:
        say(f"{made.id}: {made.turn_count} turns of {session_id}")


def bulk(
    context: typer.Context,
    act: Annotated[str, typer.Argument(help="tag, untag, hold, delete or export.")],
    text: Annotated[
        str | None,
        typer.Argument(help="The tag, the reason of the hold, or the new file."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    language: Annotated[str | None, typer.Option(help="In this language.")] = None,
    since: Annotated[str | None, typer.Option(help="Active at or after.")] = None,
    title: Annotated[
        str | None, typer.Option(help="Titles with words that begin so.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    label: Annotated[str | None, typer.Option(help="A label in force.")] = None,
    judged: Judged = None,
    disagreed: Disagreed = None,
    held: Held = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which; change nothing.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Do one act to all sessions that meet a filter, 10,000 a call at most.

    `delete` keeps an archived copy. What is held is left and counted. `export` writes
    whole sessions to a file, which `import convstore` reads.
    """

    async def work(store: Store, only_look: bool) -> BulkReport:
        return await store.bulk(
            act,  # type: ignore[arg-type]
            text,
            user_id=user,
            language=language,
            updated_since=None if since is None else moment("--since", since),
            title=title,
            tag=tag,
            label=label,
            judged=judged,
            disagreed=disagreed,
            held=held,
            dry_run=only_look,
        )

    if act == "delete" and not dry_run:
        seen = with_store(context, lambda store: work(store, True))
        confirm(f"Delete {len(seen.matched)} sessions (archived copies are kept)?", yes)
    report = with_store(context, lambda store: work(store, dry_run))
    if as_json:
        print_json(report)
        return
    for session_id in report.matched if dry_run else ():
        say(clean(session_id))
    say(f"{len(report.matched)} meet the filter, done to {report.done}")
    for code, count in report.refused.items():
        say(f"   {count} left as they are: {code}")
    if not report.complete:
        say("there may be more: run it again")


async def _read(store: Store, session_id: str) -> tuple[Session, SessionDocument]:
    session = await store.sessions.get(session_id)
    if session.state == "archived":
        return session, await store.archive.read(session_id)
    async for document in store.documents(session_ids=[session_id]):
        return session, document
    return await _read(store, session_id)  # archived between the two


def _path(document: SessionDocument) -> list[Turn]:
    """The turns of the active branch, oldest first."""
    turns = {turn.seq: turn for turn in document.turns}
    path = []
    seq = document.session.head_seq
    while seq is not None:
        path.append(turns[seq])
        seq = turns[seq].parent_seq
    return path[::-1]


def _lines(turn: Turn) -> list[str]:
    lines = [] if turn.content is None else turn.content.splitlines()
    if turn.parts:
        lines.append(f"[{len(turn.parts)} parts; --json shows them]")
    return lines
