"""The test that every durable store of chat messages passes: its processes are killed
while they write. Subclass, name the function that opens your store, run pytest.

class TestMyStore(CrashSuite):
    opens = "my_package.stores:open_mine"
"""

from __future__ import annotations

from convstore.testing.chat_lab import run
from convstore.testing.chat_store_under_test import ChatStoreUnderTest

__all__ = ["CrashSuite"]


class CrashSuite(ChatStoreUnderTest):
    """What must be there after `kill -9`, as a test.

    `kills` is how often, `seed` deals the moments.
    """

    kills = 20
    seed = 7

    def test_what_was_acknowledged_survives_kills(self, where: str) -> None:
        report = run("crash", self.opens, where, kills=self.kills, seed=self.seed)

        assert not report["faults"], "; ".join(report["faults"])
