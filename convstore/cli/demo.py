"""`convstore demo`: the whole life of conversations, told as it happens.

Uses the public face alone, under a clock that it sets forward itself: from two days
ago to now, so that nothing in the folder that it leaves lies in the future.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import Globals, globals_of
from convstore.cli.output import count, fact, progress, say, size
from convstore.cli.signals import complete
from convstore.vocabulary.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.clock import ManualClock
    from convstore.vocabulary.records import Session
    from convstore.vocabulary.settings import StoreConfig

FOLDER = "convstore-demo"
SAMPLES = ("support.jsonl", "preferences.jsonl")
_SHOWN = 5
_IDLE_DAYS = 2


def demo(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Conversations, such as JSONL with `messages`; or a folder of files."
        ),
    ] = None,
) -> None:
    """Show the whole life of real conversations, in one minute.

    In a new folder of its own (./convstore-demo, or --home): import, list, feedback,
    graph state, two days pass, archive, verify, purge, restore, export. Without FILE it
    takes the samples that come with the package.
    """
    with ExitStack() as stack:
        sources = _files(file) if file else _samples(stack)
        complete(lambda: _tell(_config(globals_of(context)), sources))


def _files(given: Path) -> list[Path]:
    if given.is_file():
        return [given]
    found = sorted(p for p in given.glob("*.jsonl*") if p.is_file())
    if not found:
        problem = "holds no *.jsonl file" if given.is_dir() else "is not a file"
        raise InvalidInputError("FILE", f"{given} {problem}")
    return found


def _samples(stack: ExitStack) -> list[Path]:
    folder = files("convstore") / "samples"
    return [stack.enter_context(as_file(folder / name)) for name in SAMPLES]


def _config(given: Globals) -> StoreConfig:
    """A folder that holds nothing yet: a demonstration touches nobody's data."""
    from convstore.vocabulary.settings import load_config

    if given.url is not None or given.archive_dir is not None:
        raise ConfigError("the demo makes its own database: give only --home")
    home = given.home
    if home is None:
        home, number = Path(FOLDER), 1
        while home.exists():
            number += 1
            home = Path(f"{FOLDER}-{number}")
    elif home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigError(f"{home} is there already: --home names a new folder")
    home.mkdir(parents=True, exist_ok=True)
    return load_config(
        home=home,
        url=f"sqlite:///{home / 'convstore.db'}",
        archive_dir=home / "convstore-archive",
        tenant="default",
    )


async def _tell(config: StoreConfig, sources: list[Path]) -> None:
    from convstore import open_store
    from convstore.vocabulary.clock import ManualClock, SystemClock

    clock = ManualClock(SystemClock().now() - timedelta(days=_IDLE_DAYS))
    async with open_store(config, clock=clock) as store:
        _step(1, "A new store")
        say(f"database  {config.home / 'convstore.db'} (SQLite: nothing to install)")
        say(f"archive   {config.archive_path}")
        await _import(store, sources)
        sessions = [session for session in await _list(store) if session.turn_count]
        if not sessions:
            raise InvalidInputError("FILE", "no record of it could be imported")
        await _judge(store, sessions[0])
        await _save_graph(store, sessions[0])
        await _grow_stale(store, clock)
        await _archive(store, config)
        await _restore(store, sessions[0])
        await _export(store, config)
    _step(10, "Look for yourself")
    say(f"convstore --home {config.home} sessions list")
    segment = next(iter(sorted(config.archive_path.rglob("*.jsonl.zst"))), None)
    say(f"zstd -dc {segment} | jq .session.title")


async def _import(store: Store, sources: list[Path]) -> None:
    _step(2, "Conversations come in")
    with progress("importing") as bar:
        for source in sources:
            done = await store.import_(
                "auto",
                source,
                on_progress=bar.told,
            )
            say(
                f"{source.name}: {count(done.sessions, 'session')}, "
                f"{count(done.turns, 'turn')}, {count(done.interactions, 'judgement')}"
            )
            if done.rejected:
                say(f"set aside: {fact(dict(done.rejected))}")


async def _list(store: Store) -> list[Session]:
    _step(3, "They are listed, newest first")
    page = await store.sessions.list(limit=_SHOWN)
    for session in page.items:
        say(f"{session.id:<40.40} {session.turn_count:>4} turns  {session.title}")
    count = await store.sessions.count()
    if count > len(page.items):
        say(f"… and {count - len(page.items)} more")
    return list(page.items)


async def _judge(store: Store, session: Session) -> None:
    _step(4, "A person judges an answer")
    turns = await store.turns.window(session.id, limit=50)
    answer = next((t for t in reversed(turns) if t.role == "assistant"), turns[-1])
    act = await store.interactions.record(
        session.id,
        action="feedback",
        turn_seq=answer.seq,
        feedback="thumbs_up",
        score=1.0,
        actor_id="demo-user",
        external_id="demo-feedback",
    )
    now = await store.sessions.get(session.id)
    say(f"thumbs_up on turn {act.turn_seq} of {session.id}")
    say(f"feedback of the session: {fact(now.feedback_counts)}")


async def _save_graph(store: Store, session: Session) -> None:
    _step(5, "The application saves its reasoning graph")
    first = await store.graph_states.put(
        session.id, {"nodes": ["question"], "edges": []}, expected_version=0
    )
    second = await store.graph_states.put(
        session.id,
        {"nodes": ["question", "answer"], "edges": [["question", "answer"]]},
        expected_version=first.version,
    )
    say(f"version {second.version}; version {first.version} can still be read")


async def _grow_stale(store: Store, clock: ManualClock) -> None:
    _step(6, f"{_IDLE_DAYS} days pass")
    clock.advance(_IDLE_DAYS * 86_400)
    due = 0
    async for decision in store.archive.plan():
        due += decision.action == "archive"
        if due == 1:
            say(f"{decision.session.session_id}: {decision.text}")
    say(f"{due} sessions are due; nothing has been changed yet")


async def _archive(store: Store, config: StoreConfig) -> None:
    _step(7, "They are archived, read back, and only then purged")
    with progress("archiving") as bar:
        report = await store.run_retention(
            # A person's own word: a first run takes more than a scheduled one may.
            older_than_s=config.retention.stale_after_s,
            on_progress=bar.told,
        )
    where = count(len(report.segments), "segment")
    say(f"{count(report.archived, 'session')} in {where}")
    say(f"{report.purged} compared with their rows and purged from the database")
    for path in sorted(config.archive_path.rglob("*.jsonl.zst")):
        say(f"{path}  {size(path.stat().st_size)}")
    checked = await store.archive.verify()
    faults = count(len(checked.faults), "fault")
    say(f"verified again: {count(checked.sessions, 'session')}, {faults}")


async def _restore(store: Store, session: Session) -> None:
    _step(8, "A user comes back")
    before = await store.archive.read(session.id)
    found, created = await store.sessions.get_or_create(session.id)
    turns = await store.turns.list(session.id, limit=10_000)
    same = turns.items == before.turns[:10_000]
    say(f"{session.id} is {found.state} again with {found.turn_count} turns")
    say("made anew: " + ("yes" if created else "no, restored from the archive"))
    say("turn for turn as it was: " + ("yes" if same else "NO"))


async def _export(store: Store, config: StoreConfig) -> None:
    _step(9, "Training data goes out, from live and archived sessions alike")
    with progress("exporting") as bar:
        report = await store.export(
            "messages",
            to=config.home / "export",
            # Benchmarks publish calls, and seldom what the tools were.
            undefined_tools="infer",
            on_progress=bar.told,
        )
    for fmt in report.formats:
        say(f"{fmt.rows} rows of {fmt.format} from {report.documents} sessions")
        if fmt.dropped:
            say(f"left out: {fact(fmt.dropped)}")
    for path in sorted((config.home / "export").rglob("*.jsonl")):
        say(f"{path}  {size(path.stat().st_size)}")


def _step(number: int, what: str) -> None:
    say()
    say(f"{number}. {what}")
