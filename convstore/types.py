"""Every record, report, noun and error that an annotation may name.

Those of the vocabulary are here at once; a noun or a report whose module loads more is
loaded when it is asked for. `tests/architecture/test_public_face.py` walks whatever a
store can be asked for, and fails on a type that is missing here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convstore.vocabulary.agreement import RaterAgreement
from convstore.vocabulary.attachments import Attachment
from convstore.vocabulary.bulk import BulkAct, BulkReport
from convstore.vocabulary.checkpoints import (
    Checkpoint,
    CheckpointEnd,
    CheckpointInput,
    CheckpointValue,
    CheckpointWrite,
    StoredCheckpoint,
    StoredCheckpoints,
    StoredElement,
    StoredValue,
    StoredWrite,
)
from convstore.vocabulary.clock import Clock, ManualClock, SystemClock
from convstore.vocabulary.data_sets import DataSetFile, DataSetState, WrittenDataSet
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ArchiveAwayError,
    ArchiveTakenError,
    AttachmentNotFoundError,
    CheckpointNotFoundError,
    CheckpointsEndedError,
    ConfigError,
    ConflictError,
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseFaultError,
    DatabaseUnavailableError,
    ErasureNotFoundError,
    ExportRefusedError,
    GraphStateNotFoundError,
    HoldNotFoundError,
    InteractionNotFoundError,
    InvalidInputError,
    ItemNotFoundError,
    LedgerEntryNotFoundError,
    LegalHoldError,
    LimitExceededError,
    MissingExtraError,
    NewerFormatError,
    NotFoundError,
    ReadOnlyDatabaseError,
    RefusedError,
    RetentionHaltedError,
    RowCorruptError,
    SchemaMismatchError,
    SegmentCorruptError,
    SegmentNotFoundError,
    SessionArchivedError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    ShardUnavailableError,
    StorageFullError,
    StoreClosedError,
    TurnNotFoundError,
    UnavailableError,
    VersionConflictError,
    WorkerLostError,
)
from convstore.vocabulary.hits import (
    Hit,
    IndexReport,
    SearchPage,
    Span,
)
from convstore.vocabulary.http_status import http_status
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.overviews import (
    ArchiveSegment,
    RetentionRun,
    TenantSummary,
    UserSummary,
)
from convstore.vocabulary.policy import (
    CachePolicy,
    LedgerPolicy,
    RetentionOverride,
    RetentionPolicy,
    SearchPolicy,
)
from convstore.vocabulary.previews import Preview, PreviewRow
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.queues import Queue, QueueItem, QueueTurn
from convstore.vocabulary.records import (
    ActorKind,
    Applied,
    Branch,
    Choice,
    CostBy,
    CostReport,
    CostRow,
    DocumentSource,
    FeedbackSummary,
    GraphState,
    Interaction,
    InteractionInput,
    Item,
    ItemInput,
    Json,
    JsonObject,
    LedgerEntry,
    LedgerStats,
    LedgerSummary,
    LegalHold,
    Page,
    Session,
    SessionDocument,
    SessionState,
    Turn,
    TurnFields,
    TurnInput,
    Unset,
)
from convstore.vocabulary.reports import (
    AdoptionReport,
    ArchivedSession,
    ArchiveFault,
    BackupReport,
    CompactionReport,
    ErasureReceipt,
    Finding,
    RebuildReport,
    RecoveryReport,
    RetentionReport,
    SessionProblem,
    StoreStats,
    TablesReport,
    TierStats,
    UndoReport,
    VerifyReport,
)
from convstore.vocabulary.watch import Facts, Observer, Watch

if TYPE_CHECKING:
    from convstore.archive.inspection import Agreement
    from convstore.commits.lane import CommitStats
    from convstore.export.fields import ExportFields
    from convstore.export.options import (
        Caps,
        ExportOptions,
        Filters,
        Judging,
    )
    from convstore.export.report import ExportReport, FormatReport
    from convstore.gateway.prefix_cache.cache import PrefixCache, PrefixCacheStats
    from convstore.gateway.prefix_cache.memory import PrefixEntry
    from convstore.imports.model import ImportReport, Rejected
    from convstore.messages.anthropic import AnthropicMessages
    from convstore.messages.history import History
    from convstore.messages.message import LeftOut
    from convstore.messages.openai import OpenAIMessages
    from convstore.repositories.answer import Answer
    from convstore.repositories.archive import Archive
    from convstore.repositories.attachments import Attachments
    from convstore.repositories.buffer import Buffer
    from convstore.repositories.checkpoints import Checkpoints
    from convstore.repositories.conversation import Conversation
    from convstore.repositories.erasures import Erasures
    from convstore.repositories.graph_states import GraphStates
    from convstore.repositories.holds import Holds
    from convstore.repositories.interactions import Interactions
    from convstore.repositories.items import Items
    from convstore.repositories.ledger import Ledger
    from convstore.repositories.queues import Queues
    from convstore.repositories.search_index import SearchIndex
    from convstore.repositories.sessions import Sessions
    from convstore.repositories.turns import Turns
    from convstore.repositories.users import Users
    from convstore.retention.plan import Decision, SessionSummary
    from convstore.store.facade import Store
    from convstore.store.repositories import Transaction
    from convstore.tasks.scheduler import Scheduler
    from convstore.vocabulary.settings import StoreConfig

_LATE = {
    "Agreement": "convstore.archive.inspection",
    "CommitStats": "convstore.commits.lane",
    "Caps": "convstore.export.options",
    "Erasures": "convstore.repositories.erasures",
    "ExportFields": "convstore.export.fields",
    "ExportOptions": "convstore.export.options",
    "Filters": "convstore.export.options",
    "Judging": "convstore.export.options",
    "ExportReport": "convstore.export.report",
    "FormatReport": "convstore.export.report",
    "PrefixCache": "convstore.gateway.prefix_cache.cache",
    "PrefixCacheStats": "convstore.gateway.prefix_cache.cache",
    "PrefixEntry": "convstore.gateway.prefix_cache.memory",
    "ImportReport": "convstore.imports.model",
    "Rejected": "convstore.imports.model",
    "AnthropicMessages": "convstore.messages.anthropic",
    "History": "convstore.messages.history",
    "LeftOut": "convstore.messages.message",
    "OpenAIMessages": "convstore.messages.openai",
    "Answer": "convstore.repositories.answer",
    "Archive": "convstore.repositories.archive",
    "Attachments": "convstore.repositories.attachments",
    "Buffer": "convstore.repositories.buffer",
    "Conversation": "convstore.repositories.conversation",
    "Checkpoints": "convstore.repositories.checkpoints",
    "GraphStates": "convstore.repositories.graph_states",
    "Holds": "convstore.repositories.holds",
    "Interactions": "convstore.repositories.interactions",
    "Items": "convstore.repositories.items",
    "Ledger": "convstore.repositories.ledger",
    "Queues": "convstore.repositories.queues",
    "SearchIndex": "convstore.repositories.search_index",
    "Sessions": "convstore.repositories.sessions",
    "Turns": "convstore.repositories.turns",
    "Users": "convstore.repositories.users",
    "Decision": "convstore.retention.plan",
    "SessionSummary": "convstore.retention.plan",
    "Store": "convstore.store.facade",
    "Transaction": "convstore.store.repositories",
    "Scheduler": "convstore.tasks.scheduler",
    "StoreConfig": "convstore.vocabulary.settings",
}

__all__ = [
    "ActorKind",
    "AdoptionReport",
    "Agreement",
    "AlreadyExistsError",
    "Answer",
    "AnthropicMessages",
    "Applied",
    "Archive",
    "ArchiveAwayError",
    "ArchiveFault",
    "ArchiveSegment",
    "ArchiveTakenError",
    "ArchivedSession",
    "Attachment",
    "AttachmentNotFoundError",
    "Attachments",
    "BackupReport",
    "Branch",
    "Buffer",
    "BulkAct",
    "BulkReport",
    "CachePolicy",
    "Caps",
    "Checkpoint",
    "CheckpointEnd",
    "CheckpointInput",
    "CheckpointNotFoundError",
    "CheckpointValue",
    "CheckpointWrite",
    "Checkpoints",
    "CheckpointsEndedError",
    "Choice",
    "Clock",
    "CommitStats",
    "CompactionReport",
    "ConfigError",
    "ConflictError",
    "Conversation",
    "ConvstoreError",
    "CorruptionError",
    "CostBy",
    "CostReport",
    "CostRow",
    "DataSetFile",
    "DataSetState",
    "DatabaseAccessError",
    "DatabaseBusyError",
    "DatabaseFaultError",
    "DatabaseUnavailableError",
    "Decision",
    "DocumentSource",
    "ErasureNotFoundError",
    "ErasureReceipt",
    "Erasures",
    "ExportFields",
    "ExportOptions",
    "ExportRefusedError",
    "ExportReport",
    "Facts",
    "FeedbackSummary",
    "Filters",
    "Finding",
    "FormatReport",
    "GraphState",
    "GraphStateNotFoundError",
    "GraphStates",
    "History",
    "Hit",
    "HoldNotFoundError",
    "Holds",
    "ImportReport",
    "IndexReport",
    "Interaction",
    "InteractionInput",
    "InteractionNotFoundError",
    "Interactions",
    "InvalidInputError",
    "Item",
    "ItemInput",
    "ItemNotFoundError",
    "Items",
    "Json",
    "JsonObject",
    "Judging",
    "Ledger",
    "LedgerEntry",
    "LedgerEntryNotFoundError",
    "LedgerPolicy",
    "LedgerStats",
    "LedgerSummary",
    "LeftOut",
    "LegalHold",
    "LegalHoldError",
    "LimitExceededError",
    "Limits",
    "ManualClock",
    "MissingExtraError",
    "NewerFormatError",
    "NotFoundError",
    "Observer",
    "OnProgress",
    "OpenAIMessages",
    "Page",
    "PrefixCache",
    "PrefixCacheStats",
    "PrefixEntry",
    "Preview",
    "PreviewRow",
    "Progress",
    "Queue",
    "QueueItem",
    "QueueTurn",
    "Queues",
    "RaterAgreement",
    "ReadOnlyDatabaseError",
    "RebuildReport",
    "RecoveryReport",
    "RefusedError",
    "Rejected",
    "RetentionHaltedError",
    "RetentionOverride",
    "RetentionPolicy",
    "RetentionReport",
    "RetentionRun",
    "RowCorruptError",
    "Scheduler",
    "SchemaMismatchError",
    "SearchIndex",
    "SearchPage",
    "SearchPolicy",
    "SegmentCorruptError",
    "SegmentNotFoundError",
    "Session",
    "SessionArchivedError",
    "SessionDeletedError",
    "SessionDocument",
    "SessionErasedError",
    "SessionNotFoundError",
    "SessionProblem",
    "SessionState",
    "SessionSummary",
    "Sessions",
    "ShardUnavailableError",
    "Span",
    "StorageFullError",
    "Store",
    "StoreClosedError",
    "StoreConfig",
    "StoreStats",
    "StoredCheckpoint",
    "StoredCheckpoints",
    "StoredElement",
    "StoredValue",
    "StoredWrite",
    "SystemClock",
    "TablesReport",
    "TenantSummary",
    "TierStats",
    "Transaction",
    "Turn",
    "TurnFields",
    "TurnInput",
    "TurnNotFoundError",
    "Turns",
    "UnavailableError",
    "UndoReport",
    "Unset",
    "UserSummary",
    "Users",
    "VerifyReport",
    "VersionConflictError",
    "Watch",
    "WorkerLostError",
    "WrittenDataSet",
    "http_status",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
