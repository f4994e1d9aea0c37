"""Conformance suites for third parties."""

__all__ = [
    "blob_suite",
    "cache_suite",
    "chat_store",
    "crash_suite",
    "framework_suite",
    "isolation_suite",
    "race_suite",
]


def __dir__() -> list[str]:
    return sorted(__all__)
