"""Expand: on PostgreSQL, sessions are counted by statements that are planned once.

The function that keeps `session_counts` worded its statements anew for each session, to
find the table wherever its schema had been renamed to: two thirds of what making a
session cost the server. It now has the statements for the schema in which it was made,
which a connection plans once, and words them where the schema has another name by now.
No row is read or written, and nobody waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0019"
down_revision = "convstore_0018"
branch_labels = None
depends_on = None

# What a session adds to the counts, by column.
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
# To change rows that another has changed since is an error at other levels.
FOLDS = (
    "random() < 0.02 AND current_setting('transaction_isolation') = 'read committed'"
)


def upgrade() -> None:
    if (schema := _schema()) is not None:
        _make(f"IF TG_TABLE_SCHEMA = {_text(schema)} THEN {_body(_planned, schema)} ")


def downgrade() -> None:
    if _schema() is not None:
        _make("IF false THEN NULL; ")


def _schema():
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        return bind.execute(sa.text("SELECT current_schema()")).scalar_one()
    return None


def _make(first):
    body = (
        f"DECLARE folds boolean := {FOLDS}; "
        "counts text := quote_ident(TG_TABLE_SCHEMA) || '.session_counts'; "
        f"BEGIN {first}ELSE {_body(_worded, None)} END IF; RETURN NULL; END"
    )
    # Its owner's rights, and nobody's names but the system's: as it was before.
    op.execute(
        sa.text(
            (
                "CREATE OR REPLACE FUNCTION convstore_count_sessions() RETURNS trigger "
                "LANGUAGE plpgsql SECURITY DEFINER "
                f"SET search_path = pg_catalog, pg_temp AS {_text(body)}"
            ).replace(":", r"\:")
        )
    )


def _body(say, schema):
    """What is done, with statements that `say` words for the place of the table."""

    def added(select):
        return say(f"INSERT INTO @ (tenant_id, state, {NAMES}) {select}", schema)

    def folded(condition):
        sums = ", ".join(f"sum({name})" for name in ADDS)
        # Rows that another adds up meanwhile are taken for not there.
        return "IF folds THEN " + say(
            "WITH chosen AS (SELECT tenant_id, state, id FROM @ "
            f"WHERE {condition} ORDER BY tenant_id, state, id LIMIT 10000 "
            "FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM @ AS kept USING chosen "
            "WHERE kept.tenant_id = chosen.tenant_id AND kept.state = chosen.state "
            f"AND kept.id = chosen.id RETURNING kept.*) INSERT INTO @ "
            f"(tenant_id, state, {NAMES}) SELECT tenant_id, state, {sums} FROM gone "
            "GROUP BY tenant_id, state",
            schema,
        )

    made = ", ".join(f"sum({adds.format('')})" for adds in ADDS.values())
    less = ", ".join(f"-({adds.format('($1).')})" for adds in ADDS.values())
    more = ", ".join(adds.format("($2).") for adds in ADDS.values())
    gone = f"SELECT ($1).tenant_id, ($1).state, {less}"
    come = f"SELECT ($2).tenant_id, ($2).state, {more}"
    of_update = "tenant_id = ($2).tenant_id AND state IN (($1).state, ($2).state)"
    of_insert = "(tenant_id, state) IN (SELECT tenant_id, state FROM added)"
    return (
        "IF TG_OP = 'UPDATE' THEN "
        f"{added(f'{gone} UNION ALL {come}')} {folded(of_update)} END IF; "
        "ELSIF TG_OP = 'INSERT' THEN "
        f"{added(f'SELECT tenant_id, state, {made} FROM added GROUP BY 1, 2')} "
        f"{folded(of_insert)} END IF; "
        f"ELSE {added(gone)} END IF;"
    )


def _planned(statement, schema):
    preparer = op.get_bind().dialect.identifier_preparer
    place = f"{preparer.quote_identifier(schema)}.session_counts"
    statement = statement.replace("@", place)
    return statement.replace("($1)", "OLD").replace("($2)", "NEW") + ";"


def _worded(statement, _):
    """Of a schema that has another name by now; a value that is not used is not bound."""
    worded = " || counts || ".join(_text(part) for part in statement.split("@"))
    uses = {"($1)": "OLD", "($2)": "NEW"}
    rows = [row for sign, row in uses.items() if sign in statement]
    using = f" USING {', '.join(rows)}" if rows else ""
    return f"EXECUTE {worded}{using};"


def _text(sql):
    return "'" + sql.replace("'", "''") + "'"
