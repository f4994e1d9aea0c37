"""No message is refused in the middle of somebody's run, whatever it holds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from convstore import Store
from tests.frameworks import is_here
from tests.frameworks.hostile import HOSTILE, HUGE

HERE = [name for name, (package, _, _) in HOSTILE.items() if is_here(package)]


@pytest.mark.parametrize("name", HERE)
async def test_whatever_a_framework_says_comes_back(store: Store, name: str) -> None:
    _, suite_name, said = HOSTILE[name]
    module = import_module(f"tests.frameworks.{name}.test_suite")
    suite: Any = getattr(module, suite_name)()
    given = said()

    await suite.add(store, "s", given)
    read = await suite.read(store, "s")

    assert suite.plain_all(read) == suite.plain_all(given)
    session_id = suite.session_of("s")
    await store.turns.history(session_id, limit=1_000, repair=True)
    await store.render(session_id, "markdown")
    huge = [one for one in said(HUGE) if repr(suite.plain(one)).count(HUGE) == 1]
    for message in huge[:2]:
        await suite.add(store, "huge", [message])
        (back,) = (await suite.read(store, "huge"))[-1:]
        whole = suite.plain(back) == suite.plain(message)
        assert whole, "what is huge does not come back"
