"""Pages, counts and filters do not depend on how many sessions there are."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import Target
from benchmarks.workloads import fastest

FEW = 1_000
_PAGES = {
    "first": "page of 50 (first)",
    "middle": "page of 50 (middle)",
    "of_user": "page of 50 (of user)",
    "nobody": "filter that nothing meets (user)",
    "no_tag": "filter that nothing meets (tag)",
    "no_label": "filter that nothing meets (label)",
    "count": "count of all",
    "count_active": "count of a state",
    "stats": "stats",
}


async def pages(target: list[Any], sessions: int) -> Figures:
    """Microseconds of each of `_PAGES`, and which were cut short and said so."""
    from convstore import open_store
    from convstore.db.migrate import upgrade
    from convstore.repositories.cursors import encode_cursor

    place = Target(*target)
    await asyncio.to_thread(upgrade, place.url)
    await _fill(place, sessions)
    middle = encode_cursor(_BEGIN + sessions // 2 * _APART, f"s-{sessions // 2}")
    async with open_store(place.url) as store:
        listed = store.sessions.list
        assert len((await listed(cursor=middle)).items) == 50
        counted = store.sessions.count
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "first": listed,
            "middle": lambda: listed(cursor=middle),
            "of_user": lambda: listed(user_id="u-7"),
            "nobody": lambda: listed(user_id="nobody"),
            "no_tag": lambda: listed(tag="none"),
            "no_label": lambda: listed(label="none"),
            "count": counted,
            "count_active": lambda: counted(state="active"),
            "stats": store.stats,
        }
        found: Figures = {n: await fastest(call, 200) for n, call in calls.items()}
        answers = {name: await call() for name, call in calls.items()}
        short = [n for n, a in answers.items() if not getattr(a, "complete", True)]
        return {**found, "cut_short": short}


_BEGIN, _APART = 1_700_000_000_000_000, 1_000_000
# Each user has as many sessions, however many there are in all.
_OF_A_USER = 100


def _rows(sessions: int) -> Iterator[dict[str, Any]]:
    from convstore.db.sessions import new_row

    users = max(1, sessions // _OF_A_USER)
    for number in range(sessions):
        at = _BEGIN + number * _APART
        row = new_row(("default", f"s-{number}"), at)
        yield row | {"user_id": f"u-{number % users}", "title": f"Session {number}"}


async def _fill(place: Target, sessions: int) -> None:
    """Straight into the table: a million creations are not what is measured."""
    names = list(next(_rows(1)))
    rows = (tuple(row.values()) for row in _rows(sessions))
    if place.postgres is None:
        connection = sqlite3.connect(place.path)
        marks = ", ".join("?" * len(names))
        connection.executemany(
            f"INSERT INTO sessions ({', '.join(names)}) VALUES ({marks})", rows
        )
        connection.commit()
        connection.close()
        return
    import asyncpg

    server = await asyncpg.connect(place.postgres)
    await server.copy_records_to_table("sessions", records=rows, columns=names)
    await server.execute("VACUUM ANALYZE sessions")
    await server.close()


def measure(bench: Bench) -> Iterable[Row]:
    """At a million sessions against a thousand."""
    many = bench.scaled(1_000_000, 50_000)
    for database in bench.databases:
        work = f"{__name__}:pages"
        few_us = bench.run(work, database, sessions=FEW)
        many_us = bench.run(work, database, sessions=many)
        again = bench.run(work, database, sessions=FEW)
        for page, what in _PAGES.items():
            few = min(few_us[page], again[page])
            ratio = times(many_us[page], few)
            short = page in many_us["cut_short"]
            yield Row(
                f"{what} of {many:,} sessions, beside {FEW:,}",
                database,
                "under 2 x the time, or cut short and said",
                f"{ratio} x ({many_us[page]:.0f} us against {few:.0f} us"
                f"{', cut short' if short else ''})",
                ratio < 2 or short,
                {"few": few_us, "many": many_us} if page == "first" else {},
            )


GOAL = Goal("session_pages", measure)
