"""The verb of the store that copies all of it to somewhere safe."""

from __future__ import annotations

from pathlib import Path

from convstore.archive.backup import back_up
from convstore.store.bulk import Bulk
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.reports import BackupReport


class Backups(Bulk):
    """How a store is copied while it is in use."""

    async def backup(
        self, to: Path | str, *, on_progress: OnProgress | None = None
    ) -> BackupReport:
        """Copy the SQLite database and its archive into a folder, every tenant's.

        Others read and write meanwhile. The database is copied as of one moment, the
        archive after it, and each file is read back and its checksum noted in
        `SHA256SUMS`. `backup.json` comes last: a folder without it is the rest of a
        backup that was cut short. Files are 0600 and folders 0700.

        Args:
            to: A folder that is empty or not there yet. After an error it is so again.
            on_progress: Told of bytes of the database, then of files of the archive.

        Raises:
            ConfigError: The folder is not empty or cannot be written to, or the
                database is on a server, whose own tools copy it (`pg_dump`).
            ArchiveAwayError, ArchiveTakenError: The archive is not proven to be this
                database's.
            CorruptionError: The database is damaged, or a copy reads back differently.
            ConflictError: Erasures rewrote the archive each time it was copied.
            StorageFullError: There is no room for it.
        """
        folder = Path.cwd() / to
        return await back_up(self._parts.archive.context, folder, on_progress)
