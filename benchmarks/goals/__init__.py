"""One module for each goal; this list is all of them, in the order of the table."""

from __future__ import annotations

from benchmarks.bench import Goal
from benchmarks.goals import (
    appends,
    archive,
    branches,
    chat_backend,
    command_line,
    exports,
    frameworks,
    import_time,
    imports,
    lone_writer,
    long_sessions,
    many_processes,
    scale,
    search,
    session_pages,
    warm_windows,
    windows,
)

GOALS: tuple[Goal, ...] = (
    appends.GOAL,
    lone_writer.GOAL,
    windows.GOAL,
    warm_windows.GOAL,
    session_pages.GOAL,
    long_sessions.GOAL,
    branches.GOAL,
    many_processes.GOAL,
    archive.GOAL,
    archive.GOAL_MANY,
    search.GOAL,
    import_time.GOAL,
    command_line.GOAL,
    imports.GOAL,
    frameworks.GOAL,
    chat_backend.GOAL,
    exports.GOAL,
    scale.GOAL,
    *exports.GOALS_MANY,
)
