"""What a PostgreSQL server must be like to keep the guarantees, and whether it is."""

from __future__ import annotations

from sqlalchemy import Connection

from convstore.vocabulary.reports import Finding

# Limits after which the server ends work of ours, in milliseconds; 0 is none.
_LIMITS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)


def examine(connection: Connection) -> list[Finding]:
    """A line for each thing; what our own connections were told is looked at as they
    see it."""
    settings = connection.exec_driver_sql("SELECT name, setting FROM pg_settings")
    shown: dict[str, str] = {row[0]: row[1] for row in settings}
    superuser, standby = connection.exec_driver_sql(
        "SELECT rolsuper, pg_is_in_recovery() FROM pg_roles "
        "WHERE rolname = current_user"
    ).one()
    version, fsync = shown["server_version"], shown["fsync"]
    commit, encoding = shown["synchronous_commit"], shown["server_encoding"]
    isolation = shown["default_transaction_isolation"]
    read_only = standby or shown["default_transaction_read_only"] == "on"
    triggers = shown["session_replication_role"] != "replica"
    ends = [f"{n} = {shown[n]} ms" for n in _LIMITS if shown.get(n, "0") != "0"]
    return [
        Finding("PostgreSQL version", int(version.split(".")[0]) >= 14, version,
                "upgrade to PostgreSQL 14 or later"),
        Finding("fsync", fsync == "on", fsync,
                "set fsync=on: without it a power cut loses everything"),
        Finding("synchronous_commit", commit != "off", commit,
                "set synchronous_commit=on: acknowledged turns may be lost"),
        Finding("encoding", encoding == "UTF8", encoding,
                "make the database with ENCODING 'UTF8' TEMPLATE template0"),
        Finding("isolation", isolation == "read committed", isolation,
                "leave default_transaction_isolation at read committed"),
        Finding("triggers", triggers, "on" if triggers else "off",
                "leave session_replication_role at origin: counts would be wrong"),
        Finding("writable", not read_only, "a standby, or read-only"
                if read_only else "yes",
                "name the primary, or set target_session_attrs=read-write"),
        Finding("time limits", not ends, ", ".join(ends) or "none",
                "ALTER ROLE … SET each of them to 0: long work would be cut off"),
        Finding("role", True, "superuser: a role of its own is safer"
                if superuser else "not a superuser"),
    ]  # fmt: skip
