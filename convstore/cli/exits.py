"""Exit codes, by the class of the error: scripts decide by them."""

from __future__ import annotations

from convstore.vocabulary.errors import (
    ConfigError,
    ConflictError,
    ConvstoreError,
    CorruptionError,
    InvalidInputError,
    NewerFormatError,
    NotFoundError,
    RefusedError,
    SchemaMismatchError,
    UnavailableError,
)

OK = 0
FOUND = 1
"""Done, and something needs a look: a fault found, a record or session left out."""
USAGE = 2
INTERNAL = 70
INTERRUPTED = 130

# The first class that fits counts.
_BY_CLASS: tuple[tuple[type[ConvstoreError], int], ...] = (
    (ConfigError, USAGE),
    (InvalidInputError, USAGE),
    (NotFoundError, 3),
    (ConflictError, 4),
    (RefusedError, 5),
    (UnavailableError, 6),
    (SchemaMismatchError, 7),
    (NewerFormatError, 7),
    (CorruptionError, 8),
)

TABLE = f"""Exit codes: {OK} done; {FOUND} done, but something needs a look (see the
output); {USAGE} wrong usage or input; 3 not found; 4 conflict with what is stored;
5 refused (legal hold, erased, limit, halted); 6 database or disk away, busy or full,
try again; 7 the database is at another schema,
or a file of a newer format; 8 damaged data; {INTERNAL} a fault in
convstore; {INTERRUPTED} interrupted."""


def code_of(error: ConvstoreError) -> int:
    """The exit code of an error."""
    return code_of_class(type(error))


def code_of_class(found: type[ConvstoreError]) -> int:
    """The exit code of errors of a class."""
    for kind, code in _BY_CLASS:
        if issubclass(found, kind):
            return code
    return INTERNAL
