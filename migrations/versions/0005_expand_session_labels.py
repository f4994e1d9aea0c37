"""Expand: find sessions by the labels they were given, and acts by their time.

Adds the table `session_labels` and fills it; adds an index on the times of
interactions. The effective feedback has one definition from here on: a choice is the
same target whichever way it went, people and models without a name are two actors, and
a score alone replaces the label before it. So the counts of live sessions are made
anew, and choices get new names of their targets.

200,000 judged sessions took 13 s on SQLite and 14 on PostgreSQL, on two busy cores.
Sessions whose counts change cannot be written to until it is done, nor can interactions
be while their index is built; everything else goes on, but for a moment at the end.
Code of before works beside it, and leaves the labels of what it writes as they were.
"""

import json
from collections import Counter
from itertools import groupby

import sqlalchemy as sa
from alembic import op

from convstore.vocabulary.codec import digest, dumps

revision = "convstore_0005"
down_revision = "convstore_0004"
branch_labels = None
depends_on = None

_STEP = 10_000
_COLUMNS = (
    "tenant_id session_id seq action turn_seq node_id choice actor_id actor_kind "
    "feedback supersedes"
)


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "session_labels",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column(
            "label", _key(), nullable=False, comment="of effective feedback, any word"
        ),
        sa.Column(
            "count", sa.BigInteger(), nullable=False, comment="at least 1, else no row"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "label", name=op.f("pk_session_labels")
        ),
        *_foreign_key_at_once(),
        comment="As sessions.feedback_counts, to find sessions by.",
        sqlite_with_rowid=False,
    )
    _rename_targets(_place)
    _recount()
    _fill()
    op.create_index(
        "ix_session_labels_label",
        "session_labels",
        ["tenant_id", "label", "session_id"],
    )
    op.create_index(
        "ix_interactions_time",
        "interactions",
        ["tenant_id", "created_at", "session_id", "seq"],
    )
    if op.get_bind().dialect.name == "postgresql":
        # Last: it keeps writers away from the sessions until the commit.
        op.create_foreign_key(
            "fk_session_labels_sessions",
            "session_labels",
            "sessions",
            ["tenant_id", "session_id"],
            ["tenant_id", "session_id"],
        )


def downgrade() -> None:
    op.drop_index("ix_interactions_time", table_name="interactions")
    op.drop_index("ix_session_labels_label", table_name="session_labels")
    op.drop_table("session_labels")
    _rename_targets(lambda choice: dumps(choice).decode())


def _foreign_key_at_once() -> list[sa.ForeignKeyConstraint]:
    if op.get_bind().dialect.name == "postgresql":
        return []
    return [
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_labels_sessions"),
        )
    ]


def _place(choice):
    """The turns that a choice was between."""
    chosen = [] if choice["chosen"] is None else [choice["chosen"]]
    return tuple(sorted({*choice["rejected"], *chosen}))


def _pages(where):
    """Interactions in the order of their keys, a bounded number at a time."""
    columns = ", ".join(
        f"CAST(i.{name} AS TEXT) AS {name}" if name == "choice" else f"i.{name}"
        for name in _COLUMNS.split()
    )
    query = sa.text(
        f"SELECT {columns}, CAST(s.feedback_counts AS TEXT) AS counts "
        "FROM interactions i JOIN sessions s "
        "ON s.tenant_id = i.tenant_id AND s.session_id = i.session_id "
        f"WHERE {where} AND (i.tenant_id, i.session_id, i.seq) "
        "> (:tenant, :session, :seq) "
        f"ORDER BY i.tenant_id, i.session_id, i.seq LIMIT {_STEP}"
    )
    last = ("", "", 0)
    while True:
        given = dict(zip(("tenant", "session", "seq"), last, strict=True))
        rows = op.get_bind().execute(query, given).all()
        yield from rows
        if len(rows) < _STEP:
            return
        last = rows[-1][:3]


def _rename_targets(place):
    change = sa.text(
        "UPDATE interactions SET target_hash = :hash WHERE tenant_id = :tenant_id "
        "AND session_id = :session_id AND seq = :seq"
    )
    batch = []
    for row in _pages("i.choice IS NOT NULL"):
        between = place(json.loads(row.choice))
        named = digest(row.actor_id, row.action, row.turn_seq, row.node_id, between)
        batch.append(
            {"hash": named, "tenant_id": row[0], "session_id": row[1], "seq": row[2]}
        )
        if len(batch) == _STEP:
            op.get_bind().execute(change, batch)
            batch = []
    if batch:
        op.get_bind().execute(change, batch)


def _recount():
    """The counts of live sessions, by the definition of today."""
    cast = "::json" if op.get_bind().dialect.name == "postgresql" else ""
    change = sa.text(
        f"UPDATE sessions SET feedback_counts = CAST(:counts AS TEXT){cast} "
        "WHERE tenant_id = :tenant AND session_id = :session"
    )
    for (tenant, session), rows in groupby(_pages("1 = 1"), lambda row: row[:2]):
        acts = list(rows)
        counts = _counts(acts)
        if json.loads(acts[0].counts) != counts:
            text = dumps(counts).decode()
            given = {"tenant": tenant, "session": session, "counts": text}
            op.get_bind().execute(change, given)


def _counts(acts):
    removed = {act.supersedes for act in acts}
    last = {}
    for act in acts:
        if act.seq in removed or act.action == "retract":
            continue
        choice = None if act.choice is None else _place(json.loads(act.choice))
        place = (act.actor_id, act.actor_kind, act.action, act.turn_seq, act.node_id)
        last[act.seq if act.action == "inject" else (*place, choice)] = act.feedback
    return dict(Counter(label for label in last.values() if label is not None))


def _fill():
    each = (
        "json_each_text(feedback_counts) AS counted(key, value)"
        if op.get_bind().dialect.name == "postgresql"
        else "json_each(feedback_counts) AS counted"
    )
    op.execute(
        "INSERT INTO session_labels (tenant_id, session_id, label, count) "
        "SELECT tenant_id, session_id, counted.key, CAST(counted.value AS BIGINT) "
        f"FROM sessions, {each} WHERE state IN ('active', 'archived') "
        "AND CAST(counted.value AS BIGINT) > 0"
    )
