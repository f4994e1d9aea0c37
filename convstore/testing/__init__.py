"""Conformance suites for third parties."""

__all__ = ["blob_suite", "cache_suite", "framework_suite"]


def __dir__() -> list[str]:
    return sorted(__all__)
