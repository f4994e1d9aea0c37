"""How long sessions are kept: the policies of retention, the ledger and the caches."""

from convstore.vocabulary.policy import *  # noqa: F403
