"""The durable memory of a chat backend. Begin with `open_store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convstore.shards.opening import open_store
from convstore.vocabulary.attachments import Attachment
from convstore.vocabulary.checkpoints import (
    Checkpoint,
    CheckpointInput,
    CheckpointValue,
    CheckpointWrite,
)
from convstore.vocabulary.clock import Clock, ManualClock, SystemClock
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
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import RetentionOverride, RetentionPolicy
from convstore.vocabulary.records import (
    Applied,
    Branch,
    Choice,
    FeedbackSummary,
    GraphState,
    Interaction,
    Item,
    ItemInput,
    LedgerEntry,
    LedgerStats,
    LedgerSummary,
    LegalHold,
    Page,
    Session,
    SessionDocument,
    Turn,
    TurnInput,
)
from convstore.vocabulary.version import __version__

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.store.repositories import Transaction
    from convstore.vocabulary.settings import StoreConfig

__all__ = [
    "AlreadyExistsError",
    "Applied",
    "ArchiveAwayError",
    "ArchiveTakenError",
    "Attachment",
    "AttachmentNotFoundError",
    "Branch",
    "Checkpoint",
    "CheckpointInput",
    "CheckpointNotFoundError",
    "CheckpointValue",
    "CheckpointWrite",
    "CheckpointsEndedError",
    "Choice",
    "Clock",
    "ConfigError",
    "ConflictError",
    "ConvstoreError",
    "CorruptionError",
    "DatabaseAccessError",
    "DatabaseBusyError",
    "DatabaseFaultError",
    "DatabaseUnavailableError",
    "ErasureNotFoundError",
    "ExportRefusedError",
    "FeedbackSummary",
    "GraphState",
    "GraphStateNotFoundError",
    "HoldNotFoundError",
    "Interaction",
    "InteractionNotFoundError",
    "InvalidInputError",
    "Item",
    "ItemInput",
    "ItemNotFoundError",
    "LedgerEntry",
    "LedgerEntryNotFoundError",
    "LedgerStats",
    "LedgerSummary",
    "LegalHold",
    "LegalHoldError",
    "LimitExceededError",
    "Limits",
    "ManualClock",
    "MissingExtraError",
    "NewerFormatError",
    "NotFoundError",
    "Page",
    "ReadOnlyDatabaseError",
    "RefusedError",
    "RetentionHaltedError",
    "RetentionOverride",
    "RetentionPolicy",
    "RowCorruptError",
    "SchemaMismatchError",
    "SegmentCorruptError",
    "SegmentNotFoundError",
    "Session",
    "SessionArchivedError",
    "SessionDeletedError",
    "SessionDocument",
    "SessionErasedError",
    "SessionNotFoundError",
    "ShardUnavailableError",
    "StorageFullError",
    "Store",
    "StoreClosedError",
    "StoreConfig",
    "SystemClock",
    "Transaction",
    "Turn",
    "TurnInput",
    "TurnNotFoundError",
    "UnavailableError",
    "VersionConflictError",
    "WorkerLostError",
    "__version__",
    "open_store",
]

_LAZY = {
    "Store": "convstore.store.facade",
    "StoreConfig": "convstore.vocabulary.settings",
    "Transaction": "convstore.store.repositories",
}


def __getattr__(name: str) -> Any:
    # SQLAlchemy and pydantic take a third of a second to import: only who opens a
    # store, or names these, pays for it.
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'convstore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
