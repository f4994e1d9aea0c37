"""From an error to the status that an HTTP interface answers with."""

from __future__ import annotations

from convstore.vocabulary import errors

# The nearest class of an error's own line of the tree decides.
_STATUS: dict[type[BaseException], int] = {
    errors.InvalidInputError: 422,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.RefusedError: 409,
    errors.SessionDeletedError: 410,
    errors.SessionErasedError: 410,
    errors.LegalHoldError: 423,
    errors.LimitExceededError: 429,
    errors.UnavailableError: 503,
    errors.StorageFullError: 507,
    errors.ConvstoreError: 500,
}


def http_status(error: BaseException) -> int:
    """The HTTP status of an error: whose fault it is, and whether to try again.

    | error | status |
    | --- | --- |
    | `InvalidInputError` | 422 |
    | `NotFoundError`; of another user too: nobody learns what there is | 404 |
    | `ConflictError`; `RefusedError`, where nothing below says otherwise | 409 |
    | `SessionDeletedError`, `SessionErasedError` | 410 |
    | `LegalHoldError` | 423 |
    | `LimitExceededError`: a budget is spent | 429 |
    | `UnavailableError`: the same request may be sent again | 503 |
    | `StorageFullError` | 507 |
    | whatever else: the service's own fault | 500 |

    An error's text names ids and fields and never what people said, and may be shown
    to whoever sent them; its `code` is for programs.
    """
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500
