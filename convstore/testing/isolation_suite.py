"""The tests that every store of chat messages passes which serves more than one person.
Subclass, name the function that opens your store, run pytest.

class TestMyStore(IsolationSuite):
    opens = "my_package.stores:open_mine"
"""

from __future__ import annotations

import pytest

from convstore.testing.chat_isolation import IsolationReport, isolation
from convstore.testing.chat_store import load
from convstore.testing.chat_store_under_test import ChatStoreUnderTest

__all__ = ["IsolationSuite"]


class IsolationSuite(ChatStoreUnderTest):
    """What one person must not get at that is another's, as tests."""

    @pytest.fixture
    def report(self, where: str) -> IsolationReport:
        return isolation(load(self.opens), where)

    def test_who_names_a_session_of_another_gets_nowhere(
        self, report: IsolationReport
    ) -> None:
        assert not report.leaks, report.leaks

    def test_sessions_whose_ids_look_alike_are_apart(
        self, report: IsolationReport
    ) -> None:
        assert not report.mixed, report.mixed

    def test_a_text_comes_back_as_it_was_or_is_refused(
        self, report: IsolationReport
    ) -> None:
        assert not report.altered, report.altered

    def test_a_deleted_session_does_not_come_back(
        self, report: IsolationReport
    ) -> None:
        assert not report.returned
