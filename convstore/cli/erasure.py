"""`convstore erase`: destroy a person's data everywhere, and read the receipts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, Yes, confirm, with_store
from convstore.cli.exits import OK, code_of_class
from convstore.cli.output import (
    clean,
    fact,
    print_json,
    print_report,
    print_table,
    say,
    say_more,
    warn,
)
from convstore.vocabulary.errors import ArchiveAwayError, ArchiveTakenError

if TYPE_CHECKING:
    from convstore.vocabulary.records import Page
    from convstore.vocabulary.reports import ErasureReceipt


def erase(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="All sessions of this user.")] = None,
    session: Annotated[str | None, typer.Option(help="This session.")] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Repeat every erasure: after a backup came back."
        ),
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the receipts, the newest first.")
    ] = False,
    receipt: Annotated[
        str | None, typer.Option(metavar="ID", help="Print this receipt again.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Receipts of one page.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Erase a user or a session for good, everywhere.

    From rows, archive and data set shards. The ids are refused for ever. The receipt
    says what was destroyed; it is kept in the database too, and holds nothing of what
    was said: --list and --receipt read it back. Exit code 6: the rows are gone, and the
    receipt names the segments that wait for the archive folder; 5: likewise, and a copy
    of the database works there.
    """
    if sum((user is not None, session is not None, replay, list_, bool(receipt))) != 1:
        raise typer.BadParameter(
            "give one of --user, --session, --replay, --list and --receipt"
        )
    if list_:
        page = with_store(
            context, lambda store: store.erasures.list(limit=limit, cursor=cursor)
        )
        _tell_list(page, as_json)
        return OK
    if receipt:
        _tell(with_store(context, lambda s: s.erasures.get(receipt)), as_json)
        return OK
    if replay:
        # What a person agreed to when it was asked for.
        receipts = with_store(context, lambda store: store.replay_erasures())
        _tell_repeated(receipts, as_json)
        return _code(receipts)
    subject = f"user {user}" if user is not None else f"session {session}"
    confirm(f"Erase {clean(subject)} for good, in database and archive?", yes)
    done = with_store(context, lambda s: s.erase(user_id=user, session_id=session))
    _tell(done, as_json)
    return _code([done])


def _tell(receipt: ErasureReceipt, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(receipt))
        return
    if receipt.is_empty:
        say("nothing was found")
    print_report(receipt)
    say()


def _tell_repeated(receipts: list[ErasureReceipt], as_json: bool) -> None:
    if as_json:
        print_json({"items": [_as_json(receipt) for receipt in receipts]})
        return
    for receipt in receipts:
        _tell(receipt, as_json)
    say(f"{len(receipts)} erasures repeated")


def _tell_list(page: Page[ErasureReceipt], as_json: bool) -> None:
    if as_json:
        shown = [_as_json(receipt) for receipt in page.items]
        print_json({"items": shown, "next_cursor": page.next_cursor})
        return
    print_table(
        ("id", "of", "sessions", "found", "requested", "done"),
        (
            (r.erasure_id, f"a {r.subject}", len(r.session_ids), fact(r.found),
             fact(r.requested_at), "not yet" if r.done_at is None else fact(r.done_at))
            for r in page.items
        ),
    )  # fmt: skip
    say_more(page.next_cursor)


def _as_json(receipt: ErasureReceipt) -> dict[str, object]:
    """The receipt, and whether it is about nothing."""
    return asdict(receipt) | {"is_empty": receipt.is_empty}


def _code(receipts: list[ErasureReceipt]) -> int:
    """Not 0 while a copy in the archive is still to be destroyed."""
    waiting = [receipt for receipt in receipts if receipt.done_at is None]
    if not waiting:
        return 0
    segments = {name for receipt in waiting for name in receipt.segments_waiting}
    warn(
        f"convstore: {len(waiting)} not done: the archive folder is not there, or not "
        f"this database's alone; {len(segments)} segments with copies wait for it"
    )
    taken = any(r.waits_for == ArchiveTakenError.code for r in waiting)
    return code_of_class(ArchiveTakenError if taken else ArchiveAwayError)
