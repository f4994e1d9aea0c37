"""Archive, verify and purge; restore; rebuild: their speed, and flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.archiving import peers, stages
from benchmarks.bench import Bench, Figures, Goal, Row, times

FEW, MANY = 10_000, 100_000
RESTORED = 5_000
AT_LEAST = 0.5
FLAT = 1.3
"""How much more memory ten times the sessions may take: what an allocator keeps."""


def measure(bench: Bench) -> Iterable[Row]:
    """Beside orjson and zstd alone on the same records; the driver stands beside it."""
    few, restored = bench.scaled(FEW, 1_000), bench.scaled(RESTORED, 500)
    codec = bench.best(f"{peers.__name__}:codec", "SQLite", sessions=few)
    written = bench.best(f"{stages.__name__}:segments", "SQLite", sessions=few)
    yield _speed("segments written and read back, no database", "none", written, codec)
    for database in bench.databases:
        life = f"{stages.__name__}:life"
        done = bench.run(life, database, sessions=few, restored=restored)
        driver = bench.run(f"{peers.__name__}:driver", database, sessions=few)
        yield from _rows(database, done, codec, driver)


def measure_many(bench: Bench) -> Iterable[Row]:
    """Ten times the sessions: as fast, in no more memory."""
    few, many = bench.scaled(FEW, 1_000), bench.scaled(MANY, 5_000)
    restored = bench.scaled(RESTORED, 500)
    for database in bench.databases:
        life = f"{stages.__name__}:life"
        small = bench.run(life, database, sessions=few, restored=restored)
        large = bench.run(life, database, sessions=many, restored=restored)
        for stage in ("archive", "restore", "rebuild"):
            yield _flat(stage, database, small, large)


def _rows(
    database: str, done: Figures, codec: Figures, driver: Figures
) -> Iterator[Row]:
    what = f"{done['sessions']:,} sessions: archive, verify and purge"
    yield _speed(what, database, done["archive"], codec, driver["per_s"])
    what = f"restore of {done['restored']:,} of {done['sessions']:,} sessions"
    reading = {"per_s": codec["read_per_s"]}
    yield _speed(what, database, done["restore"], reading, driver["restored_per_s"])
    what = f"rebuild of {done['sessions']:,} sessions from the files"
    yield _speed(what, database, done["rebuild"], reading)


def _speed(
    what: str, database: str, ours: Figures, codec: Figures, driver: float = 0
) -> Row:
    ratio = times(ours["per_s"], codec["per_s"])
    measured = f"{ratio} x ({ours['per_s']:,} against {codec['per_s']:,} sessions/s"
    if driver:
        measured += f"; {times(ours['per_s'], driver)} x of the bare driver"
    return Row(
        f"{what}, beside orjson and zstd alone",
        database,
        f"{AT_LEAST} x",
        f"{measured})",
        ratio >= AT_LEAST,
        {"convstore": ours, "codec": codec, "driver": driver},
    )


def _flat(stage: str, database: str, small: Figures, large: Figures) -> Row:
    few, many = small[stage], large[stage]
    ratio = times(many["peak_mb"], few["peak_mb"])
    slower = times(few["per_s"], many["per_s"])
    return Row(
        f"{stage} at {large['sessions']:,} sessions, beside {small['sessions']:,}",
        database,
        f"under {FLAT} x the memory",
        f"{ratio} x ({many['peak_mb']:.0f} MB against {few['peak_mb']:.0f} MB); "
        f"{slower} x the time a session ({many['per_s']:,} sessions/s)",
        ratio < FLAT,
        {"few": small, "many": large},
    )


GOAL = Goal("archive", measure)
GOAL_MANY = Goal("archive_many", measure_many)
