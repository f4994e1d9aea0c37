"""Every error has the status that a client can act on."""

from __future__ import annotations

import pytest

from convstore import errors
from convstore.types import http_status
from convstore.vocabulary import http_status as table


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInputError("content", "is too long"), 422),
        (errors.SessionNotFoundError("s-1"), 404),
        (errors.TurnNotFoundError("s-1", 3), 404),
        (errors.VersionConflictError("s-1", 1, 2), 409),
        (errors.SessionDeletedError("s-1"), 410),
        (errors.SessionErasedError("s-1"), 410),
        (errors.LegalHoldError("s-1"), 423),
        (errors.LimitExceededError("session_micros", 1, 2), 429),
        (errors.DatabaseBusyError("busy"), 503),
        (errors.StorageFullError("full"), 507),
        (errors.ConfigError("wrong"), 500),
        (errors.SegmentCorruptError("s-1", "damaged"), 500),
        (ValueError("not ours"), 500),
    ],
)
def test_an_error_has_its_status(error: Exception, status: int) -> None:
    assert http_status(error) == status


def test_what_may_be_tried_again_says_so() -> None:
    """A store that is closed too: the next request meets one that is open."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.ConvstoreError):
            status = http_status(kind.__new__(kind))

            away = issubclass(kind, errors.UnavailableError)
            assert (status in (503, 507)) == away, kind


def test_the_docstring_names_every_status() -> None:
    told = table.http_status.__doc__ or ""

    assert all(str(status) in told for status in table._STATUS.values())
