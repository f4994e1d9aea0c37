"""What an application finds in its log when it logs at INFO, as most do."""

import logging
import re

import pytest

from convstore import Store
from tests.integration.archives import OpenAnother


async def test_an_application_at_info_gets_no_statement_in_its_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await store.conversation("s-1").append(role="user", content="x")
    await store.run_retention(older_than_s=0)

    names = {record.name.partition(".")[0] for record in caplog.records}
    assert names == {"convstore"}


async def test_statements_are_logged_when_they_are_asked_for(
    open_another: OpenAnother, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sqlalchemy.engine")
    store = await open_another()

    await store.sessions.list()

    assert re.search(r"FROM (public\.)?sessions", caplog.text)
