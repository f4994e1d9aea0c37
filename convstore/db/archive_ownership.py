"""Which archive folder is this database's: its half of the mark that the folder has."""

from __future__ import annotations

from sqlalchemy import Connection, select

from convstore.db import models
from convstore.db.dialects import dialect_of

F = models.archive_folder.c
_ONLY = 1


def bound(connection: Connection) -> str | None:
    """The id of the folder that this database archives to; None before the first."""
    return connection.execute(select(F.folder_id)).scalar_one_or_none()


def bind(connection: Connection, folder_id: str) -> str:
    """Bind the database to a folder, once; the id in force, if another was quicker."""
    insert = dialect_of(connection).insert_ignore(models.archive_folder)
    connection.execute(insert, {"id": _ONLY, "folder_id": folder_id})
    return bound(connection) or folder_id
