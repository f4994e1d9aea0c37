"""Fresh ids, and the check that any id passes. An id is data: no path and no SQL.

Version 7 is made here, in a few lines of the standard library: the oldest Python that
is supported has none of its own, and a package for it would come with every install.
"""

from __future__ import annotations

import secrets
import time
import uuid

from convstore.vocabulary.codec import check_unicode
from convstore.vocabulary.errors import InvalidInputError

MAX_ID_CHARS = 255

SCHEMA_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$"
"""What a schema of a database may be called: also a part of a folder's name."""


def new_id() -> str:
    """A fresh id: time-ordered and unguessable.

    A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74
    random bits from the operating system. Nothing is cut off.
    """
    millis = time.time_ns() // 1_000_000
    value = (millis & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def check_id(field: str, value: object) -> str:
    """`value` if it can be an id: 1 to 255 characters that both databases can hold.

    Raises:
        InvalidInputError: Not text, empty, too long, with NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidInputError(field, f"must be text, not {type(value).__name__}")
    if not 1 <= len(value) <= MAX_ID_CHARS:
        raise InvalidInputError(
            field, f"must have 1 to {MAX_ID_CHARS} characters, not {len(value)}"
        )
    check_unicode(field, value)
    return value


def check_optional_id(field: str, value: object) -> str | None:
    """As `check_id`, but None may pass."""
    return None if value is None else check_id(field, value)
