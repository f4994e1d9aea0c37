"""`convstore erase`: destroy a person's data everywhere, and print the receipt."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, Yes, confirm, with_store
from convstore.cli.exits import code_of_class
from convstore.cli.output import clean, print_facts, print_json, say, warn
from convstore.vocabulary.errors import ArchiveAwayError, ArchiveTakenError

if TYPE_CHECKING:
    from convstore.store.facade import Store
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
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Erase a user or a session for good, everywhere.

    From rows, archive and data set shards. The ids are refused for ever. The receipt
    says what was destroyed; it is kept in the database too, and holds nothing of what
    was said. Exit code 6: the rows are gone, and the receipt names the segments that
    wait for the archive folder; 5: likewise, and a copy of the database works there.
    """
    if sum((user is not None, session is not None, replay)) != 1:
        raise typer.BadParameter("give one of --user, --session and --replay")
    if not replay:
        subject = f"user {user}" if user is not None else f"session {session}"
        confirm(f"Erase {clean(subject)} for good, in database and archive?", yes)

    async def work(store: Store) -> list[ErasureReceipt]:
        if replay:
            return await store.replay_erasures()
        return [await store.erase(user_id=user, session_id=session)]

    receipts = with_store(context, work)
    if as_json:
        shown = [_as_json(receipt) for receipt in receipts]
        print_json({"items": shown} if replay else shown[0])
        return _code(receipts)
    for receipt in receipts:
        if receipt.is_empty:
            say("nothing was found")
        facts = {name: getattr(receipt, name) for name in type(receipt).__slots__}
        print_facts((name.replace("_", " "), value) for name, value in facts.items())
        say()
    if replay:
        say(f"{len(receipts)} erasures repeated")
    return _code(receipts)


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
