"""Puts the parts of a store together on an open database."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from dataclasses import dataclass, replace

from convstore.archive.context import Context
from convstore.archive.indexer import Indexer
from convstore.archive.inspection import Inspector
from convstore.archive.restorer import Restorer
from convstore.blobs.base import StepHook
from convstore.cache.selection import session_cache
from convstore.commits.group_commit import GroupCommit
from convstore.db.batch import Batches
from convstore.db.engine import Backend
from convstore.db.replica import Replica
from convstore.erasure.eraser import Eraser
from convstore.gateway.prefix_cache.stores import PrefixStores
from convstore.repositories.archive import ArchiveParts
from convstore.repositories.hot_tier import HotTier
from convstore.repositories.scope import Scope
from convstore.retention.job import RetentionJob
from convstore.retention.lifecycle import SessionLifecycle
from convstore.retention.recovery import Recovery
from convstore.store.places import blobs_of, replica_options
from convstore.store.runners import Autocommit
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import Mark
from convstore.vocabulary.watch import Watch


@dataclass(frozen=True, slots=True)
class Parts:
    """What all tenants' faces of one store share."""

    config: StoreConfig
    backend: Backend
    commits: GroupCommit
    prefixes: PrefixStores
    eraser: Eraser
    archive: ArchiveParts
    loop: AbstractEventLoop
    mark: Mark | None = None


async def namespace_of(backend: Backend, config: StoreConfig) -> str:
    """What tells this database, and schema of it, from all others on a cache server.

    Empty where no server is named: nobody is asked then.
    """
    if not config.cache.url:
        return ""
    return " ".join((*await backend.instance(), backend.schema or ""))


async def assemble(
    backend: Backend,
    config: StoreConfig,
    clock: Clock,
    on_step: StepHook,
    watch: Watch,
) -> tuple[Parts, Scope]:
    """The parts, and what the nouns of the settings' tenant work in.

    All that is done is shown to `watch`.

    Raises:
        ConfigError, InvalidInputError: A setting cannot be meant, or the database
            cannot have an index; nothing is left behind but the open backend, which is
            the caller's.
    """
    namespace = await namespace_of(backend, config)
    context = Context(
        backend, blobs_of(config), clock, config.retention, on_step, config.feedback
    )
    indexer = Indexer(context)
    await indexer.begin()
    lanes = config.lanes or backend.lanes
    batches = Batches(backend)
    patient = batches.run_patiently if backend.dialect.has_row_locks else None
    commits = GroupCommit(batches.run, lanes, config.limits, patient, watch)
    hot = None
    if (cache := session_cache(config.cache, namespace)) is not None:
        hot = HotTier(cache, backend, config.cache)
    if hot is not None:
        context = replace(context, on_changed=hot.changed)
    restorer, eraser = Restorer(context), Eraser(context)
    recovery = Recovery(context, eraser)
    job = RetentionJob(context, eraser, recovery)
    job.watch = commits.watch
    archive = ArchiveParts(context, restorer, recovery, Inspector(context), job)
    scope = Scope(
        runner=Autocommit(
            backend, commits, hot, busy_timeout_s=config.limits.busy_timeout_s
        ),
        tenant=check_id("tenant", config.tenant),
        clock=clock,
        limits=config.limits,
        lifecycle=SessionLifecycle(context, restorer, eraser),
        restore_on_read=config.restore_on_read,
        ledger=config.ledger,
        feedback=config.feedback,
        hot=hot,
        indexer=indexer,
        search=config.search,
        replica=_replica(config, backend, commits.watch),
    )
    prefixes = PrefixStores(backend, config.cache, config.limits, namespace)
    loop = get_running_loop()
    return Parts(config, backend, commits, prefixes, eraser, archive, loop), scope


def _replica(config: StoreConfig, backend: Backend, watch: Watch) -> Replica | None:
    if not config.replica_url:
        return None
    return Replica(replica_options(config), backend, watch)
