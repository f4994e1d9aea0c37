"""The test that every store of chat messages passes into which many write at once.
Subclass, name the function that opens your store, run pytest.

class TestMyStore(RaceSuite):
    opens = "my_package.stores:open_mine"
"""

from __future__ import annotations

from convstore.testing.chat_lab import run
from convstore.testing.chat_store_under_test import ChatStoreUnderTest

__all__ = ["RaceSuite"]


class RaceSuite(ChatStoreUnderTest):
    """What must hold with many writers of one session, as a test.

    `writers` are spread over `processes`, and make so many `calls` each.
    """

    writers = 30
    processes = 3
    calls = 4

    def test_many_writers_of_one_session_get_along(self, where: str) -> None:
        sizes = {"writers": self.writers, "processes": self.processes}
        report = run("race", self.opens, where, calls=self.calls, **sizes)

        assert not report["faults"], "; ".join(report["faults"])
