"""Archive, verify and purge; restore; rebuild: their speed, and flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.archiving import peers, stages
from benchmarks.bench import Bench, Figures, Goal, Row, times

FEW, MANY = 10_000, 100_000
RESTORED = 5_000
CODEC = 0.5
"""Of orjson and zstd alone, where no database is."""
DRIVER = {"SQLite": (0.45, 0.45), "PostgreSQL": (0.3, 0.9)}
"""Of the bare driver: archiving and restoring."""
FLAT = 1.3
"""How much more memory ten times the sessions may take: what an allocator keeps."""


def measure(bench: Bench) -> Iterable[Row]:
    """Files beside orjson and zstd alone; with the database, beside its bare driver."""
    few, restored = bench.scaled(FEW, 1_000), bench.scaled(RESTORED, 500)
    codec = bench.best(f"{peers.__name__}:codec", "SQLite", sessions=few)
    written = bench.best(f"{stages.__name__}:segments", "SQLite", sessions=few)
    yield _beside_codec(
        "segments written and read back, no database", "none", written, codec
    )
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
    archived, restored = DRIVER[database]
    what = f"{done['sessions']:,} sessions: archive, verify and purge"
    rate = driver["per_s"]
    yield _beside_driver(what, database, done["archive"], rate, archived)
    what = f"restore of {done['restored']:,} of {done['sessions']:,} sessions"
    rate = driver["restored_per_s"]
    yield _beside_driver(what, database, done["restore"], rate, restored)
    what = f"rebuild of {done['sessions']:,} sessions from the files"
    reading = {"per_s": codec["read_per_s"]}
    yield _beside_codec(what, database, done["rebuild"], reading)


def _beside_driver(
    what: str, database: str, ours: Figures, driver: float, at_least: float
) -> Row:
    ratio = times(ours["per_s"], driver)
    return Row(
        f"{what}, beside the bare driver that checks nothing",
        database,
        f"{at_least} x",
        f"{ratio} x ({ours['per_s']:,} against {driver:,} sessions/s)",
        ratio >= at_least,
        {"convstore": ours, "driver": driver},
    )


def _beside_codec(what: str, database: str, ours: Figures, codec: Figures) -> Row:
    ratio = times(ours["per_s"], codec["per_s"])
    return Row(
        f"{what}, beside orjson and zstd alone",
        database,
        f"{CODEC} x" if database == "none" else "told, no goal",
        f"{ratio} x ({ours['per_s']:,} against {codec['per_s']:,} sessions/s)",
        ratio >= CODEC or database != "none",
        {"convstore": ours, "codec": codec},
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
