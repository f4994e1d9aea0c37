"""Who runs what, and which code may open the database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String

from convstore.db.models.columns import table, time_column

retention_runs = table(
    "retention_runs",
    Column("run_id", String(64), nullable=False, comment="time-ordered"),
    time_column("started_at", "when"),
    time_column("finished_at", "null while it runs, or when it died", nullable=True),
    Column(
        "archived", BigInteger, nullable=False, comment="sessions written to segments"
    ),
    Column("purged", BigInteger, nullable=False, comment="sessions whose rows went"),
    Column("failed", BigInteger, nullable=False, comment="sessions set aside"),
    Column("problem", String(255), comment="error code that stopped it"),
    key=("run_id",),
    comment="What retention did, for stats.",
)

leases = table(
    "leases",
    Column("name", String(64), nullable=False, comment="of the job"),
    Column("holder", String(64), nullable=False, comment="worker"),
    Column("epoch", BigInteger, nullable=False, comment="grows with every holder"),
    time_column("expires_at", "the right ends here"),
    key=("name",),
    comment="A worker's time-limited right to run a job.",
)

schema_info = table(
    "schema_info",
    Column("id", Integer, nullable=False, autoincrement=False, comment="always 1"),
    Column(
        "oldest_code",
        String(32),
        nullable=False,
        comment="oldest revision whose code may open this",
    ),
    key=("id",),
    comment="Beside convstore_version: which older code still works here.",
)
