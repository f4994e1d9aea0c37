"""Statements are compiled once for all stores of a test process, not for each again.

SQLAlchemy keeps what it has compiled with the engine, and a test opens one for itself:
a quarter of the processor time went into compiling the same few hundred statements for
each test. What depends on more than the kind of a database (a schema of one's own)
still is compiled by each engine.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import ClauseElement

_DIALECTS: dict[object, tuple[Dialect, dict[Any, Any]]] = {}
# An engine forgets what it has not needed for long; a run of the tests is not so long.
_ROOM = 20_000


@cache
def share_compiled() -> None:
    """From now on, in this process; once is enough."""
    compile_ = ClauseElement._compile_w_cache

    def shared(self: ClauseElement, dialect: Dialect, **given: Any) -> Any:
        if given["compiled_cache"] is None or given.get("schema_translate_map"):
            return compile_(self, dialect, **given)
        first, known = _DIALECTS.setdefault(_kind(dialect), (dialect, {}))
        if len(known) < _ROOM:
            given["compiled_cache"] = known
            dialect = first
        return compile_(self, dialect, **given)

    ClauseElement._compile_w_cache = shared  # type: ignore[method-assign]


def _kind(dialect: Any) -> object:
    """What of a dialect decides what its statements are, and how rows are read."""
    return (
        type(dialect),
        dialect.paramstyle,
        dialect.server_version_info if dialect.name == "postgresql" else None,
        dialect.default_schema_name,
        getattr(dialect, "_json_deserializer", None),
        getattr(dialect, "_json_serializer", None),
    )
