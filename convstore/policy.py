"""How long sessions are kept: the policies of retention, the ledger and the caches."""

from convstore.vocabulary.policy import (
    CachePolicy,
    FeedbackPolicy,
    LedgerPolicy,
    ObjectStoragePolicy,
    RetentionOverride,
    RetentionPolicy,
    SearchPolicy,
)

__all__ = [
    "CachePolicy",
    "FeedbackPolicy",
    "LedgerPolicy",
    "ObjectStoragePolicy",
    "RetentionOverride",
    "RetentionPolicy",
    "SearchPolicy",
]


def __dir__() -> list[str]:
    return sorted(__all__)
