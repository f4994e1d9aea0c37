"""Several people, each with a token of their own, in a file beside the database.

The file has a digest of each token and nothing that lets anybody in. It is looked at
with every request: whoever is taken out of it is nobody at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convstore.vocabulary.clock import SystemClock
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    CorruptionError,
    InvalidInputError,
)
from convstore.vocabulary.ids import check_id
from convstore.web.actors import ROLES, Actor, Role

FILE = "convstore-web-tokens.json"
_VERSION = 1
_TOKEN_BYTES = 32
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a token: never the token itself.

    Attributes:
        name: Under which their judgements are recorded.
        role: Of `ROLES`.
        tenants: Whose conversations they see.
        digest: SHA-256 of the token, in hexadecimal.
        created_at: When it was made, as ISO 8601 in UTC.
    """

    name: str
    role: str
    tenants: tuple[str, ...]
    digest: str
    created_at: str

    @property
    def actor(self) -> Actor:
        """Who they are at the page."""
        return Actor(self.name, (self.role,), self.tenants)


class TokenFile:
    """The holders of tokens, in a file that nobody but its owner reads.

    Args:
        path: Of the file; none yet is one without holders.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int], tuple[Holder, ...]] | None = None

    def holders(self) -> tuple[Holder, ...]:
        """All of them, in the order in which they were added.

        Raises:
            ConfigError: Others may read the file, or it is none of ours.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o077:
                raise ConfigError(f"{self.path}: others may read it: chmod 600")
            mark = found.st_ino, found.st_mtime_ns, found.st_size
            if self._read is None or self._read[0] != mark:
                self._read = mark, _holders(self.path, file.read(_MOST_BYTES))
            return self._read[1]

    def holder_of(self, token: str) -> Holder | None:
        """Whose token it is. Looks at all of them, so that the time tells nothing."""
        given, found = digest(token), None
        for holder in self.holders():
            if secrets.compare_digest(holder.digest, given):
                found = holder
        return found

    def add(self, name: str, *, role: Role, tenants: Sequence[str]) -> str:
        """Give somebody a token; it is told this once.

        Raises:
            InvalidInputError: A field cannot be meant; it is named.
            AlreadyExistsError: The name has a token: remove it first.
        """
        check_id("name", name)
        if role not in ROLES:
            raise InvalidInputError("role", f"must be one of {', '.join(ROLES)}")
        if isinstance(tenants, str) or not tenants:
            raise InvalidInputError("tenants", "name at least one: none is no tenant")
        own = tuple(check_id("tenants", tenant) for tenant in tenants)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        at = SystemClock().now().isoformat(timespec="seconds")
        holder = Holder(name, role, own, digest(token), at)
        with self._changing() as before:
            if any(other.name == name for other in before):
                raise AlreadyExistsError("a token of this name")
            self._write((*before, holder))
        return token

    def remove(self, name: str) -> bool:
        """Take somebody's token away; whether they had one."""
        with self._changing() as before:
            left = tuple(holder for holder in before if holder.name != name)
            if len(left) != len(before):
                self._write(left)
        return len(left) != len(before)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Holder, ...]]:
        """One process at a time changes the file."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise ConfigError(f"{self.path.parent}: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield self.holders()
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, holders: Sequence[Holder]) -> None:
        told = {"version": _VERSION, "tokens": [asdict(one) for one in holders]}
        new = self.path.with_name(f"{self.path.name}.part")
        # What a process that died has left is nobody's: the folder is locked.
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(new, flags, 0o600), "wb") as file:
            file.write(dumps(told) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)


def _holders(path: Path, text: bytes) -> tuple[Holder, ...]:
    problem = ConfigError(f"{path}: this is no file of tokens that we know")
    try:
        told: Any = decode_json(text)
        if told["version"] != _VERSION:
            raise problem
        found = tuple(
            Holder(**{**one, "tenants": tuple(one["tenants"])})
            for one in told["tokens"]
        )
    except (CorruptionError, KeyError, TypeError):
        raise problem from None
    for holder in found:
        texts = (holder.name, holder.role, holder.digest, *holder.tenants)
        if not all(isinstance(one, str) for one in texts) or holder.role not in ROLES:
            raise problem
    return found


def digest(token: str) -> str:
    """What is kept of a token or a cookie.

    They are 32 random bytes: nobody finds them by trying, however fast a digest is.
    """
    return hashlib.sha256(token.encode()).hexdigest()
