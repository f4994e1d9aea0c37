"""What is sent to the database, counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from convstore.db.statements import Prepared


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each statement that is sent from now on, by how: `all`, `run`, `many`."""
    sent: list[str] = []

    def counted(verb: str) -> Callable[..., object]:
        original = getattr(Prepared, verb)

        def call(statement: Prepared, *given: object) -> object:
            sent.append(verb)
            return original(statement, *given)

        return call

    for verb in ("all", "run", "many"):
        monkeypatch.setattr(Prepared, verb, counted(verb))
    return sent
