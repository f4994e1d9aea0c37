"""`convstore archive`: plan and run retention, look after the archive, restore."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.adoption import adopt
from convstore.cli.compaction import compact
from convstore.cli.context import AsJson, globals_of, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import (
    count,
    fact,
    json_text,
    print_facts,
    print_json,
    print_report,
    print_table,
    progress,
    safe_json,
    say,
    say_more,
    size,
    warn,
)
from convstore.cli.signals import stopping
from convstore.cli.tables import tables
from convstore.cli.values import duration_s
from convstore.vocabulary.errors import (
    ConvstoreError,
    CorruptionError,
    NotFoundError,
    RefusedError,
    RetentionHaltedError,
)

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.records import Page, Session
    from convstore.vocabulary.reports import (
        ArchivedSession,
        RebuildReport,
        RecoveryReport,
        RetentionReport,
        VerifyReport,
    )

OlderThan = Annotated[
    str | None,
    typer.Option(help="Idle for so long, such as 24h; the policy's time if left out."),
]

# Faults of one session, which stop no other.
_OF_ONE_SESSION = (NotFoundError, RefusedError, CorruptionError)
_RESTORED_AT_ONCE = 64
"""Sessions that are brought back together."""


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {
        "plan": plan,
        "run": run,
        "verify": verify,
        "recover": recover,
        "rebuild": rebuild,
        "adopt": adopt,
        "compact": compact,
        "tables": tables,
        "list": list_,
        "cat": cat,
        "restore": restore,
    }


def plan(
    context: typer.Context,
    older_than: OlderThan = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only how many for which reason.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what a run would do to each session, and why.

    Changes nothing. Of every tenant, unless --tenant names one.
    """
    older_s = None if older_than is None else duration_s("--older-than", older_than)

    async def work(store: Store) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        tenant = globals_of(context).tenant
        async for decision in store.archive.plan(
            older_than_s=older_s, tenant_id=tenant
        ):
            session = decision.session
            if as_json and not summary:
                mark = "," if counts else "["
                typer.echo(f"{mark}\n{json_text(decision)}", nl=False)
            elif not summary:
                who = f"{session.tenant_id}/{session.session_id}"
                say(f"{decision.action:<14} {who}  {decision.text}")
            counts[decision.action, decision.reason] += 1
        return counts

    counts = with_store(context, work)
    if as_json and summary:
        print_json(
            [{"action": a, "reason": r, "sessions": n} for (a, r), n in counts.items()]
        )
    elif as_json:
        typer.echo("\n]" if counts else "[]")
    else:
        for (action, reason), number in sorted(counts.items()):
            say(f"{count(number, 'session')}: {action} ({reason})")
        if not counts:
            say("nothing is due")


def run(
    context: typer.Context,
    older_than: OlderThan = None,
    batch: Annotated[
        int, typer.Option(min=1, max=10_000, help="Sessions of one segment.")
    ] = 500,
    once: Annotated[bool, typer.Option("--once", help="One run (the default).")] = True,
    loop: Annotated[
        bool, typer.Option("--loop", help="Again every interval, until stopped.")
    ] = False,
    time_budget: Annotated[
        str | None, typer.Option(help="Begin no batch after so long, such as 10m.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide and count; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Archive what is stale, verify it, then purge it.

    Of every tenant, unless --tenant names one. With --older-than the checks for a
    clock that jumped are left out: it is your own word. Exit code 1: sessions were left
    that could not be archived.
    """
    older_s = None if older_than is None else duration_s("--older-than", older_than)
    budget_s = None if time_budget is None else duration_s("--time-budget", time_budget)

    async def one(store: Store) -> RetentionReport:
        with progress("archiving") as bar:
            return await store.run_retention(
                older_than_s=older_s,
                tenant_id=globals_of(context).tenant,
                batch=batch,
                time_budget_s=budget_s,
                dry_run=dry_run,
                on_progress=lambda told: bar.at(
                    told.done, None, f"{told.done} sessions archived and purged"
                ),
            )

    async def work(store: Store) -> RetentionReport:
        if not loop:
            return await one(store)
        interval_s = store.config.retention.interval_s
        async with stopping() as stop:
            while True:
                report = await one(store)
                if report.archived or report.halted or report.problems:
                    _tell_run(report, as_json, indent=False)
                if await stop.within(interval_s):
                    return report

    report = with_store(context, work)
    if not loop:
        _tell_run(report, as_json, indent=True)
        if report.halted:
            raise RetentionHaltedError(report.halted)
    return FOUND if report.problems else 0


def _tell_run(report: RetentionReport, as_json: bool, *, indent: bool) -> None:
    if as_json:
        print_json(report, indent=indent)
        return
    if report.skipped or report.halted:
        say(report.skipped or report.halted)
        return
    done = "would be archived" if report.dry_run else "archived"
    print_facts(
        (
            ("looked at", report.examined),
            (done, report.archived),
            ("verified and purged", None if report.dry_run else report.purged),
            ("written to meanwhile", report.changed or None),
            ("held by others", report.held or None),
            ("archives expired", report.archives_expired or None),
            ("bytes", size(report.archived_bytes) if report.archived_bytes else None),
            ("segments", report.segments),
            ("reasons", report.reasons),
            ("unfinished", None if report.finished else "yes: run again"),
        )
    )
    for problem in report.problems:
        say(f"kept: {problem.tenant_id}/{problem.session_id}: {problem.code}")


def verify(
    context: typer.Context,
    segment: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Only so many, longest unread first.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also decode every document.")
    ] = False,
    no_record: Annotated[
        bool,
        typer.Option("--no-record", help="Write nothing: for a standby."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read segments back and compare every checksum.

    Exit code 1: something is wrong; each fault is printed with its session.
    """

    async def work(store: Store) -> VerifyReport:
        with progress("verifying") as bar:
            return await store.archive.verify(
                segment,
                most=most,
                deep=deep,
                record=not no_record,
                on_progress=bar.told,
            )

    report = with_store(context, work)
    if as_json:
        print_json(report)
        return 0 if report.ok else FOUND
    say(
        f"read {count(report.segments, 'segment')}, "
        f"{count(report.sessions, 'session')}, {size(report.size_bytes)}: "
        + ("all as written" if report.ok else count(len(report.faults), "fault"))
    )
    for fault in report.faults:
        who = f" {fault.tenant_id}/{fault.session_id}" if fault.session_id else ""
        say(f"segment {fault.segment_id}{who}: {fault.problem}")
    for segment_id in report.newer:
        say(f"segment {segment_id} is of a newer format: upgrade convstore to look")
    for risk in report.sessions_at_risk:
        say(f"no other copy of {risk.tenant_id}/{risk.session_id}: restore a backup")
    return 0 if report.ok else FOUND


def recover(
    context: typer.Context,
    alone: Annotated[
        bool, typer.Option("--alone", help="No other worker runs: wait for nobody.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Finish or remove what a crash left behind.

    Every run of retention begins so.
    """

    async def work(store: Store) -> RecoveryReport:
        return await store.archive.recover(alone=alone)

    report = with_store(context, work)
    if as_json:
        print_json(report)
        return
    print_report(report)


def rebuild(context: typer.Context, as_json: AsJson = False) -> int:
    """Take up what the database lacks of the archive folder.

    Makes the database if there is none; overwrites nothing. Exit code 1: some files
    could not be read.
    """

    async def work(store: Store) -> RebuildReport:
        with progress("rebuilding") as bar:
            return await store.archive.rebuild(on_progress=bar.told)

    report = with_store(context, work, create=True)
    if as_json:
        print_json(report)
    else:
        print_report(
            report,
            newer_in_archive=len(report.newer_in_archive),
            faults=len(report.faults),
        )
        for fault in report.faults:
            say(f"segment {fault.segment_id}: {fault.problem}")
    return FOUND if report.faults else 0


def list_(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    limit: Annotated[int, typer.Option(help="Sessions of one page.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List archived sessions by id."""

    async def work(store: Store) -> Page[ArchivedSession]:
        return await store.archive.list(user_id=user, limit=limit, cursor=cursor)

    page = with_store(context, work)
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "user", "title", "turns", "archived", "segment", "size"),
        (
            (s.session_id, s.user_id, s.title, s.turn_count, fact(s.archived_at),
             s.segment_id, size(s.size_bytes))
            for s in page.items
        ),
    )  # fmt: skip
    say_more(page.next_cursor)


def cat(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(help="Of the archived session.")],
    as_json: AsJson = True,
) -> None:
    """Print an archived session as JSON.

    Verified, and without restoring it.
    """
    from convstore.vocabulary.documents import encode_document

    document = with_store(context, lambda store: store.archive.read(session_id))
    typer.echo(safe_json(encode_document(document, indent=True)))


def restore(
    context: typer.Context,
    session_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Sessions.")
    ],
    as_json: AsJson = False,
) -> int:
    """Bring archived sessions back as rows. A live one is left as it is.

    Of several, those that cannot be restored stop nothing: exit code 1.
    """
    restored: list[Session] = []
    failed: list[ConvstoreError] = []

    def tell(result: Session | BaseException) -> None:
        of_several = len(session_ids) > 1
        if isinstance(result, _OF_ONE_SESSION) and of_several:
            failed.append(result)
            warn(f"convstore: {result}")
        elif isinstance(result, BaseException):
            raise result
        else:
            restored.append(result)
            if not as_json:
                turns = count(result.turn_count, "turn")
                say(f"{result.id} is {result.state} with {turns}")

    async def work(store: Store) -> None:
        for first in range(0, len(session_ids), _RESTORED_AT_ONCE):
            # Together: they share their commits.
            some = session_ids[first : first + _RESTORED_AT_ONCE]
            done = await asyncio.gather(
                *(store.restore(session_id) for session_id in some),
                return_exceptions=True,
            )
            for result in done:
                tell(result)

    with_store(context, work)
    if as_json:
        told = [{"error": error.code, "message": str(error)} for error in failed]
        print_json({"items": restored, "failed": told})
    return FOUND if failed else 0
