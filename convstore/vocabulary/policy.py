"""When a session is stale and how long its archive is kept: the words of retention."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class RetentionOverride:
    """What differs for one tenant or one tag; None leaves the general rule in force.

    `never` keeps the sessions live whatever their age. Where several overrides fit one
    session, `never` wins, then the longest time; a tag goes before the tenant.
    """

    stale_after_s: float | None = None
    keep_archive_for_s: float | None = None
    never: bool = False


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """The retention settings.

    Attributes:
        stale_after_s: Seconds idle after which a session goes to the archive.
        max_sessions: Live sessions of one tenant; over it, the oldest tenth goes.
        interval_s: Seconds between two runs of the scheduler.
        keep_archive_for_s: Seconds after which an archived session may be destroyed for
            good; None keeps it for ever.
        segment_bytes: A run begins a new segment when one has so many bytes, packed,
            and `convstore archive compact` joins smaller ones up to it.
        compact_interval_s: Seconds between two times that the scheduler joins small
            segments; 0 leaves that to `convstore archive compact`.
        exports: Data set formats written beside each segment.
        readable_json: Also write one readable JSON file per session beside the segment.
        max_fraction: A scheduled run that would archive more than this share of the
            live sessions (and more than 100) stops and says so: a clock may have
            jumped.
        tenants: Overrides by tenant id.
        tags: Overrides by session tag.
    """

    stale_after_s: float = 86_400.0
    max_sessions: int | None = None
    interval_s: float = 300.0
    keep_archive_for_s: float | None = None
    segment_bytes: int = 256 * 1024 * 1024
    compact_interval_s: float = 86_400.0
    exports: tuple[str, ...] = ()
    readable_json: bool = False
    max_fraction: float = 0.2
    tenants: dict[str, RetentionOverride] = field(default_factory=dict)
    tags: dict[str, RetentionOverride] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectStoragePolicy:
    """The settings of an archive in a bucket; credentials are not among them.

    Attributes:
        endpoint: URL of a server that speaks S3, Azure's or Google's; None is the
            maker's own.
        region: Of the bucket, on S3; None is what `AWS_REGION` says, or us-east-1.
        publish: How S3 gives an object its key where nothing may be replaced: `copy`
            within the server, `put` once more, or `auto`, which tries both.
        timeout_s: Seconds that one request may take.
    """

    endpoint: str | None = None
    region: str | None = None
    publish: Literal["auto", "copy", "put"] = "auto"
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class FeedbackPolicy:
    """How labels and scores are read; they are stored as they were given.

    Words are compared without case, spaces, dashes and underscores between letters,
    and without the tone of a hand: `thumbs_up` is also `Thumbs-Up` and `thumbsUp`.

    Attributes:
        positive: Labels that mean good.
        negative: Labels that mean bad.
        neutral: Labels that mean neither.
        scale: From the worst to the best score that can be given.
        scales: The scale of a surface or an action, by its name; a surface goes before
            an action. What the act itself says, in `metadata["scale"]`, before both.
    """

    positive: tuple[str, ...] = tuple(
        "correct right thumbs_up up upvote like liked good great positive helpful "
        "satisfied yes +1 👍 ✅".split()
    )
    negative: tuple[str, ...] = tuple(
        "incorrect wrong thumbs_down down downvote dislike disliked bad negative "
        "unhelpful dissatisfied no -1 👎 ❌".split()
    )
    neutral: tuple[str, ...] = ("partial", "partially_correct", "neutral", "mixed")
    scale: tuple[float, float] = (0.0, 1.0)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerPolicy:
    """The settings of the session ledger.

    Attributes:
        tiers: From the smallest to the largest; escalation goes one to the right.
        timeout_s: Seconds after its last use from which an entry reads as absent.
        max_strikes: Repeated requests in a row after which a session escalates.
        window: Recent request hashes that are remembered.
        cache_ttl_s: Seconds that a provider's prefix cache stays warm; `default` is for
            providers not named.
        session_budget_micros: Most that a session may cost; None is no limit. The same
            for a user's sessions together, and for the tenant's.
    """

    tiers: tuple[str, ...] = ("small", "medium", "large")
    timeout_s: float = 1_800.0
    max_strikes: int = 3
    window: int = 10
    cache_ttl_s: dict[str, float] = field(
        default_factory=lambda: {"anthropic": 300.0, "default": 300.0}
    )
    session_budget_micros: int | None = None
    user_budget_micros: int | None = None
    tenant_budget_micros: int | None = None


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """The settings of the hot tier, which keeps sessions and windows warm.

    Attributes:
        kind: `none`, `memory` (of this process) or `redis` (shared; also Valkey).
        url: `redis://…` of the server, for `redis` and for shared prefix caches.
        staleness_s: Seconds after which an entry is compared with the session's version
            in the database before it is served: what another process wrote is seen
            no later. What this process wrote is seen at once.
        ttl_s: Seconds without use after which an entry goes.
        cleanup_interval_s: Seconds between two looks for entries to let go of, in a
            process where nothing else happens.
        max_sessions: Entries kept in memory, or decoded copies of those on the server;
            the least recently used go.
        max_turns: Newest turns kept of one session.
        timeout_s: Seconds that the server may take for one answer.
        retry_after_s: Seconds for which a server that failed is left alone.
    """

    kind: Literal["none", "memory", "redis"] = "none"
    url: str = field(default="", repr=False)  # it may hold a password
    staleness_s: float = 1.0
    ttl_s: float = 1_800.0
    cleanup_interval_s: float = 300.0
    max_sessions: int = 10_000
    max_turns: int = 200
    timeout_s: float = 0.25
    retry_after_s: float = 1.0


SearchMode: TypeAlias = Literal["off", "deferred", "inline"]


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """The settings of search.

    Attributes:
        mode: `off` keeps no index: a search reads through what is there. `deferred`
            marks what is to be indexed, for the worker or the next search. `inline`
            indexes in the commit that says it.
        budget_s: Seconds after which a search gives what it has found, and says that it
            has not looked at all.
    """

    mode: SearchMode = "off"
    budget_s: float = 2.0
