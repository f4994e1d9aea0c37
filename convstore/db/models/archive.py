"""Which segments there are, what lies in them, and in which folder."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, String, text

from convstore.db.models.columns import (
    json_text,
    key_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)
from convstore.db.models.indexes import partial_index

archive_entries = table(
    "archive_entries",
    tenant_id(),
    session_id(),
    Column("segment_id", String(64), nullable=False, comment="where"),
    Column(
        "ordinal", BigInteger, nullable=False, comment="place in the segment, from 0"
    ),
    Column("offset", BigInteger, nullable=False, comment="first byte of the frame"),
    Column("length", BigInteger, nullable=False, comment="bytes of the frame"),
    Column("raw_length", BigInteger, nullable=False, comment="bytes of the document"),
    Column("sha256", String(64), nullable=False, comment="of the document"),
    Column("session_version", BigInteger, nullable=False, comment="that was archived"),
    Column("turn_count", BigInteger, nullable=False, comment="turns in the document"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="sealed, committed, restored, stale or erased",
    ),
    time_column("created_at", "when it was sealed"),
    Column(
        "actors_noted",
        SmallInteger,
        comment="1: archived_actors has whom it names; null: nobody has looked",
    ),
    of_session(),
    # What is still to be done is told by states: asked for without one by one.
    Index("ix_archive_entries_segment_state", "segment_id", "state"),
    partial_index(
        "ix_archive_entries_unnoted",
        "tenant_id",
        "segment_id",
        where=text("actors_noted IS NULL"),
    ),
    key=("tenant_id", "session_id", "segment_id"),
    comment="One session at one version inside one segment.",
)

archived_actors = table(
    "archived_actors",
    tenant_id(),
    session_id(),
    Column("actor_id", key_text(), nullable=False, comment="who judged, chose or held"),
    of_session(),
    Index("ix_archived_actors_actor", "tenant_id", "actor_id", "session_id"),
    key=("tenant_id", "session_id", "actor_id"),
    comment="Whom copies of a session may name, so that an erasure finds them.",
)

archive_segments = table(
    "archive_segments",
    Column("segment_id", String(64), nullable=False, comment="random"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="writing, sealed, quarantined, deleting or deleted",
    ),
    Column("key", String(255), nullable=False, comment="file, relative to the archive"),
    Column("size_bytes", BigInteger, nullable=False, comment="compressed"),
    Column("raw_bytes", BigInteger, nullable=False, comment="uncompressed"),
    Column("sha256", String(64), nullable=False, comment="of the file"),
    Column("entry_count", BigInteger, nullable=False, comment="sessions in it"),
    Column("written_by", String(64), comment="who writes it"),
    Column("problem", String(255), comment="what verification found"),
    time_column("created_at", "when it was begun"),
    time_column("sealed_at", "when it became final", nullable=True),
    time_column("verified_at", "when every frame was last read back", nullable=True),
    Index("ix_archive_segments_state", "state", "verified_at"),
    key=("segment_id",),
    comment="One immutable archive file of many sessions.",
)

archive_folder = table(
    "archive_folder",
    Column("id", Integer, nullable=False, autoincrement=False, comment="always 1"),
    Column("folder_id", String(64), nullable=False, comment="as in the folder's mark"),
    Column(
        "generation",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the newest that is known to be in the folder; 0 before the first",
    ),
    Column("token", String(64), comment="of that generation"),
    Column("next_token", String(64), comment="of the one that is being published"),
    Column(
        "instance", json_text(), comment="what tells this database from a copy of it"
    ),
    key=("id",),
    comment="Which archive folder is this database's, once it has one.",
)
