"""What must be in the same commit as the sessions that it is about: the hook for it.

Beside sessions there are rows that say again what sessions say, such as the labels to
find one by. They are right at every moment, also after a kill, only if they are written
in the transaction that writes the session. Whoever keeps such rows is a flush hook: one
class, registered in `flush_hooks.HOOKS`, and nothing else writes its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from msgspec import Struct
from sqlalchemy import CTE, Connection, FromClause

from convstore.db.session_locks import Key, Row


class Flushed(Struct, frozen=True):
    """What one flush wrote, in an open transaction.

    Rows hold what the database holds: text, integers and bytes, no records. They are
    for reading; some are the very heads that the transaction goes on with.

    Attributes:
        rows: New rows by the name of their table: turns, tool_sets, interactions,
            graph_states, session_ledger. Those of restored and imported sessions are
            among them; those of a session that only the archive has are not.
        hot: Rows of sessions in which no column changed but those of
            `row_writes.HOT`, as they are now.
        cold: Rows of sessions of which any column may have changed, as they are now:
            also those made, imported, taken up from an archive, restored, purged,
            deleted and erased (`state` says which; what is erased is blank). No session
            is in both.
        labels: How often the effective feedback of a session says a label, where that
            changed; by tenant, session and label.
        forked: Sessions that were forked, and from which: they are in `cold`, but the
            database copied their turns and tool sets itself, and these are in no row
            here. Whoever needs them reads them.
        made: Sessions that were made, in any way; they are in `cold`.
        described: Sessions that were given metadata or tags since they were made; they
            are in `cold`, and may be in `made`.
        titled: Sessions that were given a title since they were made, or lost it; in
            `hot` where it is their first.
    """

    rows: Mapping[str, Sequence[Row]]
    hot: Mapping[Key, Row]
    cold: Mapping[Key, Row]
    labels: Mapping[tuple[str, str, str], int]
    forked: Mapping[Key, Key]
    made: Set[Key]
    described: Set[Key]
    titled: Set[Key]


class FlushHook(Protocol):
    """Keeps rows that say what sessions say, in the commit that writes the sessions.

    Sessions are written in two ways, and a hook is asked in both. It holds no state:
    stores and threads share it.
    """

    @property
    def about(self) -> Sequence[str]:
        """The fields of `Flushed` that it looks at first: where all are empty, as most
        are in a plain append, it is passed by."""
        ...

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Write what belongs to what a unit has flushed; the sessions are locked.

        Called after the rows and heads were written, at the end of every flush that
        wrote something it is about. One transaction may flush many times, and may be
        rolled back after it, or be run again. An error rolls back the transaction for
        everybody in it.
        """
        ...

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """The same for plain appends, which go to a far server as one statement: parts
        of that statement, each an INSERT, UPDATE or DELETE as a CTE.

        The words may hold no values but constants: they are compiled once. They see
        the tables as they were before the statement.

        Args:
            turns: The turns that are to be appended, with the columns of `turns`. Of
                sessions that were left out, too: to be joined to `changed`.
            changed: `tenant_id`, `session_id` and the new `version` of the sessions
                that were written; each is live, and in it only columns of
                `row_writes.HOT` changed, of which the title did not.
        """
        ...
