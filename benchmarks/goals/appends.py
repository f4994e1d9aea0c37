"""Durable appends of fifty concurrent sessions."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.bench import Bench, Goal, Row, best_of, times
from benchmarks.contestants import PEERS

SESSIONS = 50
# A server is a trip away for the peers too, and the prototype computes nothing.
BEST_PEER = {"SQLite": 25, "PostgreSQL": 12}
PROTOTYPE = {"SQLite": 0.6, "PostgreSQL": 0.45}


def measure(bench: Bench) -> Iterable[Row]:
    """Against the best peer, and against the prototype."""
    for database in bench.databases:
        work = "benchmarks.workloads:appends"
        fast = bench.rounds(
            work,
            database,
            ("convstore", "prototype", "bare"),
            sessions=SESSIONS,
            turns=bench.scaled(200, 60),
        )
        # The peers are a hundred times slower: fewer turns take as long.
        slow = bench.rounds(
            work, database, PEERS, sessions=SESSIONS, turns=bench.scaled(20, 4)
        )
        figures = fast | slow
        ours = fast["convstore"]["per_s"]
        peer, peer_rate = best_of(slow, PEERS)
        ratio = times(ours, peer_rate)
        yield Row(
            "50 sessions, beside the best peer",
            database,
            f"{BEST_PEER[database]} x",
            f"{ratio:.0f} x ({ours:,} against {peer_rate:,} appends/s of {peer})",
            ratio >= BEST_PEER[database],
            figures,
        )
        prototype = fast["prototype"]["per_s"]
        ratio = times(ours, prototype)
        yield Row(
            "50 sessions, beside the prototype",
            database,
            f"{PROTOTYPE[database]} x",
            f"{ratio} x ({ours:,} against {prototype:,} appends/s)",
            ratio >= PROTOTYPE[database],
            {},
        )


GOAL = Goal("appends", measure)
