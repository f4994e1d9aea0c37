"""What Prometheus reads: exact values, scraped as text."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from convstore import ManualClock, Store, metrics
from convstore.gateway import PrefixCache

SECRET = "Zwanenmeer"


def samples(text: bytes) -> dict[str, float]:
    """`name{label=value,…}` and its value, as Prometheus parses the text."""
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def talk(store: Store) -> None:
    for name in ("s-1", "s-2"):
        chat = store.conversation(name, user_id=SECRET)
        await chat.add_exchange(SECRET, SECRET)
        await chat.add_feedback(turn_seq=2, feedback="thumbs_up", actor_id="u-1")
    await store.conversation("s-1").add_feedback(
        turn_seq=1, feedback=SECRET, actor_id="u-2"
    )


async def test_a_scrape_says_what_is_in_the_store(store: Store) -> None:
    collector = metrics.collector(store)
    await talk(store)
    await store.run_retention(older_than_s=0, max_batches=1, batch=1)

    found = samples(await collector.scrape())

    stats = await store.stats()
    assert found["convstore_sessions,state=active,tenant=default"] == 1
    assert found["convstore_sessions,state=archived,tenant=default"] == 1
    assert found["convstore_sessions,state=erased,tenant=default"] == 0
    assert found["convstore_turns,tenant=default"] == stats.turns
    assert found["convstore_interactions,tenant=default"] == stats.interactions
    assert found["convstore_archive_segments,state=sealed"] == 1
    assert found["convstore_archive_bytes"] == stats.archive_bytes > 0
    assert found["convstore_database_bytes"] > 0
    assert found["convstore_database_log_bytes"] == stats.log_bytes
    assert found["convstore_retention_last_run_failed"] == 0
    assert stats.last_run_at is not None
    assert (
        found["convstore_retention_last_run_timestamp_seconds"]
        == stats.last_run_at.timestamp()
    )


async def test_feedback_beyond_the_known_labels_is_one_series(store: Store) -> None:
    collector = metrics.collector(store)
    await talk(store)

    found = samples(await collector.scrape())

    assert found["convstore_feedback,label=thumbs_up,tenant=default"] == 2
    assert found["convstore_feedback,label=other,tenant=default"] == 1
    assert found["convstore_feedback,label=incorrect,tenant=default"] == 0


async def test_a_scrape_says_what_group_commit_did(store: Store) -> None:
    collector = metrics.collector(store)
    await store.sessions.get_or_create("s-1")

    await asyncio.gather(
        *(store.turns.append("s-1", role="user", content="x") for _ in range(20))
    )

    found, now = samples(await collector.scrape()), store.commit_stats()
    assert found["convstore_commit_queue"] == 0
    assert found["convstore_commit_queue_limit"] == now.queue_size
    assert found["convstore_commit_seconds_count"] == now.commits
    assert found["convstore_commit_seconds_sum"] == now.commit_seconds
    assert found["convstore_commit_batch_size_sum"] == now.writes == 21
    assert found["convstore_commit_batch_size_max"] == now.largest_batch
    assert found["convstore_commit_failures_total"] == 0


async def test_work_is_counted_by_its_name_and_outcome(store: Store) -> None:
    collector = metrics.collector(store)
    await talk(store)
    with pytest.raises(Exception, match="not found"):
        await store.turns.append("absent", role="user", content="x")
    await store.run_retention(older_than_s=0)

    found = samples(await collector.scrape())

    done = "convstore_operations_total,operation={},outcome={},work={}".format
    refused = done("AppendTurns", "session_not_found", "write")
    # Each first write of a conversation finds no session, and makes it.
    assert found[refused] == 3
    assert found[done("AppendTurns", "ok", "write")] == 2
    assert found[done("", "ok", "retention.run")] == 1
    assert found[done("", "ok", "retention.archive")] == 1
    assert found["convstore_operation_seconds_count,work=retention.purge"] == 1
    moved = "convstore_records_total,what={},work={}".format
    assert found[moved("archived", "retention.run")] == 2
    assert found[moved("purged", "retention.run")] == 2


async def test_exports_and_imports_are_counted(store: Store, tmp_path: Path) -> None:
    collector = metrics.collector(store)
    await talk(store)
    report = await store.export("rlhf-json", to=tmp_path / "out")
    source = tmp_path / "chat.jsonl"
    source.write_text('{"messages": [{"role": "user", "content": "x"}]}\nbroken\n')
    taken = await store.import_("messages", source)

    found = samples(await collector.scrape())

    moved = "convstore_records_total,what={},work={}".format
    assert found[moved("sessions", "export")] == report.documents == 2
    assert found[moved("rows", "export")] == report.rows
    assert found[moved("sessions", "import")] == taken.sessions == 1
    assert found[moved("rejected", "import")] == 1


async def test_prefix_caches_are_counted(store: Store) -> None:
    cache = PrefixCache()
    collector = metrics.collector(store, prefix_caches=[cache], max_age_s=0)
    await cache.look_up("key", [{"role": "user", "content": SECRET}] * 2)

    found = samples(await collector.scrape())

    shown = {n: v for n, v in found.items() if n.startswith("convstore_prefix_cache")}
    assert shown == {
        "convstore_prefix_cache_enabled": 1,
        "convstore_prefix_cache_size": 0,
        "convstore_prefix_cache_max": 256,
        "convstore_prefix_cache_ttl_seconds": 1_800,
        "convstore_prefix_cache_hit_total": 0,
        "convstore_prefix_cache_miss_total": 1,
        "convstore_prefix_cache_evict_total": 0,
        "convstore_prefix_cache_expire_total": 0,
        "convstore_prefix_cache_invalidate_total": 0,
    }


async def test_the_hot_tier_is_counted(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    store = await open_another(cache={"kind": "memory", "staleness_s": 600})
    collector = metrics.collector(store)
    await talk(store)
    for _ in range(3):
        await store.turns.window("s-1")
    await store.sessions.find("absent")

    found, stats = samples(await collector.scrape()), store.cache_stats()

    assert stats is not None
    assert found["convstore_cache_hits_total"] == stats.hits >= 2
    assert found["convstore_cache_misses_total"] == stats.misses > 0
    assert found["convstore_cache_active"] == stats.active == 3
    assert found["convstore_cache_available"] == 1
    for name in ("validations", "expired", "evicted", "errors"):
        assert found[f"convstore_cache_{name}_total"] == 0


async def test_without_a_hot_tier_nothing_is_said_of_one(store: Store) -> None:
    assert b"convstore_cache" not in await metrics.collector(store).scrape()


async def test_counts_of_the_database_are_kept_for_a_while(store: Store) -> None:
    collector = metrics.collector(store, max_age_s=3_600)
    before = samples(await collector.scrape())
    await talk(store)

    after = samples(await collector.scrape())

    name = "convstore_turns,tenant=default"
    assert (before[name], after[name]) == (0, 0)
    assert after["convstore_commit_seconds_count"] > 0


async def test_a_registry_holds_it_beside_the_metrics_of_the_application(
    store: Store,
) -> None:
    registry = CollectorRegistry()
    collector = metrics.register(store, registry)
    await talk(store)
    await collector.refresh()

    found = samples(generate_latest(registry))

    assert found["convstore_turns,tenant=default"] == 4


async def test_another_thread_may_scrape(store: Store) -> None:
    """As `prometheus_client.start_http_server` does."""
    registry = CollectorRegistry()
    collector = metrics.register(store, registry, max_age_s=0)
    await collector.refresh()
    await talk(store)
    texts: list[Any] = []

    thread = threading.Thread(target=lambda: texts.append(generate_latest(registry)))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert samples(texts[0])["convstore_turns,tenant=default"] == 4


async def test_nothing_said_and_no_id_is_in_a_scrape(store: Store) -> None:
    collector = metrics.collector(store)
    await talk(store)

    assert SECRET.encode() not in await collector.scrape()


async def test_a_closed_collector_counts_no_more(
    store: Store, clock: ManualClock
) -> None:
    collector = metrics.collector(store)

    collector.close()
    collector.close()

    assert store.watch.observers == ()


async def test_the_dashboard_asks_for_metrics_that_there_are(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    store = await open_another(cache={"kind": "memory"})
    collector = metrics.collector(store, prefix_caches=[PrefixCache()])
    page = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
    asked = set(re.findall(r"convstore_\w+", page.read_text("utf-8")))

    there = {name.partition(",")[0] for name in samples(await collector.scrape())}

    labelled = {"convstore_operation_seconds_bucket", "convstore_records_total"}
    assert asked - labelled <= there | {"convstore_operations_total"}
