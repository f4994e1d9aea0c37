"""Prometheus metrics of a store: `convstore_*`, numbers only, never content or ids.

The only module that imports prometheus-client (the extra `metrics`). Counts of this
process are read when they are scraped. Counts of the database are read by `refresh`,
because a collector may not wait for an event loop that waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from convstore.vocabulary.errors import (
    ConvstoreError,
    MissingExtraError,
    UnavailableError,
)
from convstore.vocabulary.watch import Facts

try:
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
    )
    from prometheus_client import Counter as CounterMetric
    from prometheus_client import Histogram as HistogramMetric
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        Metric,
        SummaryMetricFamily,
    )
    from prometheus_client.registry import Collector
except ImportError:  # pragma: no cover - one environment has it, another has not
    raise MissingExtraError("metrics", "metrics") from None

if TYPE_CHECKING:
    from convstore.gateway.prefix_cache.cache import PrefixCache, PrefixCacheStats
    from convstore.store.facade import Store
    from convstore.vocabulary.reports import StoreStats, TierStats

log = logging.getLogger(__name__)

__all__ = ["CONTENT_TYPE_LATEST", "StoreCollector", "collector", "register"]

MAX_AGE_S = 15.0
"""Seconds for which counts of the database are good; counting walks the sessions."""

_PATIENCE_S = 5.0
_LABELS = ("correct", "incorrect", "partial", "thumbs_up", "thumbs_down")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class _Counted:
    """A piece of work while it lasts."""

    __slots__ = ("_collector", "_facts", "_name", "_started")

    def __init__(self, collector: StoreCollector, name: str, facts: Facts) -> None:
        self._collector = collector
        self._name = name
        self._facts = facts

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        outcome = "ok" if error is None else "cancelled_or_failed"
        if isinstance(error, ConvstoreError):
            outcome = error.code
        seconds = time.perf_counter() - self._started
        self._collector.count(self._name, self._facts, outcome, seconds)


class StoreCollector(Collector):
    """The metrics of one store, and of the prefix caches that it is given.

    In a web application: `return Response(await collector.scrape(), …)`. Where another
    thread scrapes (`prometheus_client.start_http_server`), the database is asked on
    the event loop that `refresh` first ran on.
    """

    def __init__(
        self,
        store: Store,
        *,
        prefix_caches: Sequence[PrefixCache] = (),
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._store = store
        self._prefix_caches = tuple(prefix_caches)
        self._max_age_s = max_age_s
        self._stats: StoreStats | None = None
        self._prefixes: list[PrefixCacheStats] = []
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        # The work that this process did is counted as it is done.
        self._own = CollectorRegistry()
        self._operations = CounterMetric(
            "convstore_operations",
            "Pieces of work of this process: writes, reads, jobs.",
            ("work", "operation", "outcome"),
            registry=self._own,
        )
        self._seconds = HistogramMetric(
            "convstore_operation_seconds",
            "Seconds that they took, from the caller's side.",
            ("work",),
            buckets=_SECONDS,
            registry=self._own,
        )
        self._moved = CounterMetric(
            "convstore_records",
            "Sessions, rows or records that jobs of this process have moved.",
            ("work", "what"),
            registry=self._own,
        )
        store.watch.add(self)

    async def scrape(self) -> bytes:
        """The exposition text of this collector alone, counts not older than allowed.

        Its content type is `CONTENT_TYPE_LATEST`.
        """
        await self.refresh()
        registry = CollectorRegistry()
        registry.register(_Once(list(self.collect())))
        return generate_latest(registry)

    async def refresh(self) -> None:
        """Count what is in the database anew, unless that was done `max_age_s` ago.

        Raises:
            UnavailableError: The database is away; the counts stay as they were.
        """
        self._loop = asyncio.get_running_loop()
        async with self._reading:
            if self._stats and time.monotonic() - self._read_at < self._max_age_s:
                return
            stats = await self._store.stats()
            self._prefixes = [await cache.stats() for cache in self._prefix_caches]
            self._stats, self._read_at = stats, time.monotonic()

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now; those of the database as last counted."""
        self._refresh_from_thread()
        yield from self._own.collect()
        yield from self._of_commits()
        if (hot := self._store.cache_stats()) is not None:
            yield from _of_tier(hot)
        if self._stats is not None:
            yield from _of_store(self._stats)
            yield from _of_archive(self._stats)
            yield from _of_retention(self._stats)
        yield from _of_prefixes(self._prefixes)

    def watching(self, name: str, facts: Facts) -> _Counted:
        """Count a piece of work of the store; see `convstore.vocabulary.watch`."""
        return _Counted(self, name, facts)

    def count(self, name: str, facts: Facts, outcome: str, seconds: float) -> None:
        """Count a piece of work that has ended."""
        outcome = str(facts.get("outcome", outcome))
        operation = str(facts.get("operation", ""))
        self._operations.labels(name, operation, outcome).inc()
        self._seconds.labels(name).observe(seconds)
        for what, number in facts.items():
            if isinstance(number, int) and what != "writes":
                self._moved.labels(name, what).inc(number)

    def _refresh_from_thread(self) -> None:
        loop = self._loop
        if loop is None or not loop.is_running() or asyncio._get_running_loop():
            return
        reading = asyncio.run_coroutine_threadsafe(self.refresh(), loop)
        try:
            reading.result(_PATIENCE_S)
        except (TimeoutError, UnavailableError):
            # The old counts say more than none.
            log.warning("counts could not be read", extra={"event": "metrics_stale"})

    def close(self) -> None:
        """Count no more. Idempotent."""
        self._store.watch.remove(self)

    def _of_commits(self) -> Iterator[Metric]:
        commits = self._store.commit_stats()
        for name, text, value in (
            ("commit_queue", "Writes that wait for a commit.", commits.queued),
            ("commit_queue_limit", "Most writes that may wait.", commits.queue_size),
            (
                "commit_batch_size_max",
                "Writes of the largest commit.",
                commits.largest_batch,
            ),
        ):
            yield _gauge(name, text, value)
        yield SummaryMetricFamily(
            "convstore_commit_seconds",
            "Seconds that commits took.",
            count_value=commits.commits,
            sum_value=commits.commit_seconds,
        )
        yield SummaryMetricFamily(
            "convstore_commit_batch_size",
            "Writes of one commit.",
            count_value=commits.commits,
            sum_value=commits.writes,
        )
        yield _counter("commit_failures", "Commits that failed.", commits.failures)


def collector(
    store: Store,
    *,
    prefix_caches: Sequence[PrefixCache] = (),
    max_age_s: float = MAX_AGE_S,
) -> StoreCollector:
    """The collector of a store, watching it from now on.

    Args:
        store: Counts of sessions are of its tenant; all else is of the whole.
        prefix_caches: Those whose counts to show.
        max_age_s: Seconds for which counts of the database are good.
    """
    return StoreCollector(store, prefix_caches=prefix_caches, max_age_s=max_age_s)


def register(
    store: Store,
    registry: CollectorRegistry,
    *,
    prefix_caches: Sequence[PrefixCache] = (),
    max_age_s: float = MAX_AGE_S,
) -> StoreCollector:
    """As `collector`, put into a registry beside the application's own metrics.

    Await its `refresh` before `generate_latest(registry)`.
    """
    made = collector(store, prefix_caches=prefix_caches, max_age_s=max_age_s)
    registry.register(made)
    return made


class _Once(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_store(stats: StoreStats) -> Iterator[Metric]:
    sessions = _family("sessions", "Sessions of the tenant.", ("tenant", "state"))
    for state in sorted({"active", "archived", "deleted", "erased", *stats.sessions}):
        sessions.add_metric((stats.tenant_id, state), stats.sessions.get(state, 0))
    yield sessions
    for name, text, value in (
        ("turns", "Turns of the tenant's sessions.", stats.turns),
        ("interactions", "Interactions of them.", stats.interactions),
        ("unreadable_sessions", "Sessions set aside for a person.", stats.unreadable),
    ):
        family = _family(name, text, ("tenant",))
        family.add_metric((stats.tenant_id,), value)
        yield family
    whole = _family("counts_complete", "0 where some are of a part.", ("tenant",))
    whole.add_metric((stats.tenant_id,), stats.complete)
    yield whole
    feedback = _family("feedback", "Effective feedback by label.", _PER_LABEL)
    for label in _LABELS:
        feedback.add_metric((stats.tenant_id, label), stats.feedback.get(label, 0))
    # Labels are the callers' own words: as many time series as there are words of
    # theirs would bring a monitoring system down.
    other = sum(n for label, n in stats.feedback.items() if label not in _LABELS)
    feedback.add_metric((stats.tenant_id, "other"), other)
    yield feedback


_PER_LABEL = ("tenant", "label")


def _of_tier(stats: TierStats) -> Iterator[Metric]:
    yield _gauge("cache_active", "Warm entries of this process.", stats.active)
    yield _gauge("cache_available", "1 unless its server is away.", stats.available)
    for name in ("hits", "misses", "validations", "expired", "evicted", "errors"):
        count = getattr(stats, name)
        yield _counter(f"cache_{name}", "Reads and entries of the hot tier.", count)


def _of_archive(stats: StoreStats) -> Iterator[Metric]:
    segments = _family("archive_segments", "Segments of the archive.", ("state",))
    quarantined = stats.quarantined_segments
    segments.add_metric(("sealed",), stats.archive_segments - quarantined)
    segments.add_metric(("quarantined",), quarantined)
    yield segments
    yield _gauge("archive_bytes", "Bytes of all segments.", stats.archive_bytes)
    yield _gauge("database_bytes", "Bytes of the database.", stats.database_bytes)
    yield _gauge(
        "database_log_bytes",
        "Of these, bytes of SQLite's write-ahead log.",
        stats.log_bytes,
    )


def _of_retention(stats: StoreStats) -> Iterator[Metric]:
    last = stats.last_run_at
    yield _gauge(
        "retention_lag_seconds",
        "How long the stalest session has been overdue.",
        stats.retention_lag_s,
    )
    yield _gauge(
        "retention_last_run_timestamp_seconds",
        "When retention last began, by any worker; 0 is never.",
        0 if last is None else last.timestamp(),
    )
    yield _gauge(
        "retention_last_run_failed",
        "1 when the last run stopped for a problem.",
        int(stats.last_run_problem is not None),
    )


def _of_prefixes(caches: Sequence[PrefixCacheStats]) -> Iterator[Metric]:
    if not caches:
        return
    yield _gauge(
        "prefix_cache_enabled", "1 when it is.", max(c.enabled for c in caches)
    )
    yield _gauge("prefix_cache_size", "Entries.", max(c.size for c in caches))
    yield _gauge("prefix_cache_max", "Most entries.", max(c.max for c in caches))
    yield _gauge("prefix_cache_ttl_seconds", "Of one.", max(c.ttl_s for c in caches))
    for name in ("hit", "miss", "evict", "expire", "invalidate"):
        total = sum(getattr(cache, f"{name}_total") for cache in caches)
        yield _counter(f"prefix_cache_{name}", "Look-ups and entries.", total)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"convstore_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"convstore_{name}", text, value=value)


def _family(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"convstore_{name}", text, labels=labels)
