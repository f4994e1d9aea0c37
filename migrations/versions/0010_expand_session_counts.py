"""Expand: how many sessions there are, kept instead of counted.

Adds the table `session_counts` and the triggers that keep it, then counts what is
there. Triggers, because code of before works beside this: what it makes, archives and
deletes is counted too. No append fires one: it names none of their columns.

Counting reads every session once while writes wait: 200,000 sessions took 0.4 s on
SQLite and 0.3 s on PostgreSQL, on two busy cores.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0010"
down_revision = "convstore_0009"
branch_labels = None
depends_on = None

# What a session adds to the row of its tenant and state, by column. Turns and
# interactions only once it is not live any more, for then their number stands still.
ADDS = {
    "sessions": "1",
    "in_archive": "CASE WHEN {0}segment_id IS NULL THEN 0 ELSE 1 END",
    "unreadable": "CASE WHEN {0}problem IS NULL THEN 0 ELSE 1 END",
    "turns": "CASE WHEN {0}state = 'active' THEN 0 ELSE {0}turn_count END",
    "interactions": (
        "CASE WHEN {0}state = 'active' THEN 0 ELSE {0}interaction_count END"
    ),
}
NAMES = ", ".join(ADDS)
CHANGES = (
    "OLD.state <> NEW.state"
    " OR (OLD.segment_id IS NULL) <> (NEW.segment_id IS NULL)"
    " OR (OLD.problem IS NULL) <> (NEW.problem IS NULL)"
    " OR (NEW.state <> 'active' AND (OLD.turn_count <> NEW.turn_count"
    " OR OLD.interaction_count <> NEW.interaction_count))"
)
WHEN = {
    "insert": "AFTER INSERT ON sessions",
    "update": "AFTER UPDATE OF state, segment_id, problem ON sessions",
    "delete": "AFTER DELETE ON sessions",
}


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "session_counts",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("state", sa.String(16), nullable=False, comment="as sessions.state"),
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
            comment="0 on SQLite, which adds to one row; else a number for each addition",
        ),
        sa.Column(
            "sessions", sa.BigInteger(), nullable=False, comment="of tenant and state"
        ),
        sa.Column(
            "in_archive",
            sa.BigInteger(),
            nullable=False,
            comment="of them, those that a segment holds",
        ),
        sa.Column(
            "unreadable",
            sa.BigInteger(),
            nullable=False,
            comment="of them, those with a problem",
        ),
        sa.Column(
            "turns",
            sa.BigInteger(),
            nullable=False,
            comment="of those that are not active",
        ),
        sa.Column(
            "interactions",
            sa.BigInteger(),
            nullable=False,
            comment="of those that are not active",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "state", "id", name=op.f("pk_session_counts")
        ),
        comment="Counts of sessions, to be added up; kept by triggers.",
        sqlite_with_rowid=False,
    )
    # From the first trigger on nobody changes a session until this is committed.
    for statement in _on_postgres() if postgres else _on_sqlite():
        op.execute(statement)
    sums = ", ".join(f"SUM({adds.format('')})" for adds in ADDS.values())
    number, zero = ("", "") if postgres else ("id, ", "0, ")
    op.execute(
        f"INSERT INTO session_counts (tenant_id, state, {number}{NAMES}) "
        f"SELECT tenant_id, state, {zero}{sums} FROM sessions GROUP BY tenant_id, state"
    )


def downgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    for what in WHEN:
        name = f"count_sessions_{what}"
        op.execute(f"DROP TRIGGER {name}" + (" ON sessions" if postgres else ""))
    op.drop_table("session_counts")
    if postgres:
        op.execute("DROP FUNCTION convstore_count_sessions()")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def _on_sqlite():
    """One writer at a time: one row for each tenant and state is added to."""
    new, old = _added_to("NEW", "+"), _added_to("OLD", "-")
    yield _trigger("insert", "", new)
    yield _trigger("update", f"WHEN {CHANGES}", old + new)
    yield _trigger("delete", "", old)


def _trigger(what, condition, body):
    return (
        f"CREATE TRIGGER count_sessions_{what} {WHEN[what]} FOR EACH ROW {condition} "
        f"BEGIN {body}END"
    )


def _added_to(row, sign):
    # No ON CONFLICT: that of the statement that fires a trigger would go before it.
    of_row = f"tenant_id = {row}.tenant_id AND state = {row}.state AND id = 0"
    changes = ", ".join(
        f"{name} = {name} {sign} {adds.format(f'{row}.')}"
        for name, adds in ADDS.items()
    )
    return (
        f"INSERT INTO session_counts (tenant_id, state, id, {NAMES}) "
        f"SELECT {row}.tenant_id, {row}.state, 0, 0, 0, 0, 0, 0 WHERE NOT EXISTS "
        f"(SELECT 1 FROM session_counts WHERE {of_row}); "
        f"UPDATE session_counts SET {changes} WHERE {of_row}; "
    )


def _on_postgres():
    """Rows that are added up now and then: two that make sessions never wait for each
    other.

    The function has its owner's rights, so that a role without any on the new table
    goes on making sessions; it finds the table beside the one that it counts, so that
    a schema may be renamed.
    """
    yield (
        "CREATE FUNCTION convstore_count_sessions() RETURNS trigger "
        "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
        f"AS $body$ {_body()} $body$"
    )
    # Whoever may call it could make it write elsewhere in the owner's name.
    yield "REVOKE ALL ON FUNCTION convstore_count_sessions() FROM PUBLIC"
    call = "EXECUTE FUNCTION convstore_count_sessions()"
    yield (
        f"CREATE TRIGGER count_sessions_insert {WHEN['insert']} "
        f"REFERENCING NEW TABLE AS added FOR EACH STATEMENT {call}"
    )
    yield (
        f"CREATE TRIGGER count_sessions_update {WHEN['update']} "
        f"FOR EACH ROW WHEN ({CHANGES}) {call}"
    )
    yield f"CREATE TRIGGER count_sessions_delete {WHEN['delete']} FOR EACH ROW {call}"


def _body():
    added = ", ".join(f"sum({adds.format('')})" for adds in ADDS.values())
    less = ", ".join(f"-({adds.format('($1).')})" for adds in ADDS.values())
    more = ", ".join(adds.format("($2).") for adds in ADDS.values())
    gone = "SELECT ($1).tenant_id, ($1).state, " + less
    come = "SELECT ($2).tenant_id, ($2).state, " + more
    made = f"SELECT tenant_id, state, {added} FROM added GROUP BY tenant_id, state"
    of_update = "tenant_id = ($2).tenant_id AND state IN (($1).state, ($2).state)"
    of_insert = "(tenant_id, state) IN (SELECT tenant_id, state FROM added)"
    return (
        "DECLARE counts text := quote_ident(TG_TABLE_SCHEMA) || '.session_counts'; "
        f"adding text := 'INSERT INTO ' || counts || ' (tenant_id, state, {NAMES}) '; "
        # To change rows that another has changed since is an error at other levels.
        "folds boolean := random() < 0.02 AND "
        "current_setting('transaction_isolation') = 'read committed'; "
        "BEGIN "
        "IF TG_OP = 'UPDATE' THEN "
        f"EXECUTE adding || {_text(f'{gone} UNION ALL {come}')} USING OLD, NEW; "
        f"IF folds THEN EXECUTE {_fold(of_update)} USING OLD, NEW; END IF; "
        "ELSIF TG_OP = 'INSERT' THEN "
        f"EXECUTE adding || {_text(made)}; "
        f"IF folds THEN EXECUTE {_fold(of_insert)}; END IF; "
        "ELSE "
        f"EXECUTE adding || {_text(gone)} USING OLD; "
        "END IF; RETURN NULL; END"
    )


def _fold(condition):
    """The text of the statement that adds up rows, and takes those that another adds
    up meanwhile for not there."""
    sums = ", ".join(f"sum({name})" for name in ADDS)
    start = "WITH chosen AS (SELECT tenant_id, state, id FROM "
    some = (
        f" WHERE {condition} ORDER BY tenant_id, state, id LIMIT 10000 "
        "FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM "
    )
    gone = (
        " AS kept USING chosen WHERE kept.tenant_id = chosen.tenant_id "
        "AND kept.state = chosen.state AND kept.id = chosen.id RETURNING kept.*) "
    )
    end = f"SELECT tenant_id, state, {sums} FROM gone GROUP BY tenant_id, state"
    return (
        f"{_text(start)} || counts || {_text(some)} || counts || {_text(gone)} "
        f"|| adding || {_text(end)}"
    )


def _text(sql):
    return "'" + sql.replace("'", "''") + "'"
