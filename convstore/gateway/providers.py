"""Which provider a model's name tells, and how long its prefix cache stays warm."""

from __future__ import annotations

from collections.abc import Mapping

from convstore.vocabulary.policy import LedgerPolicy

DEFAULT_PROVIDER = "default"


def provider_from_model(model: str) -> str:
    """`anthropic` for `anthropic/claude…`; `default` where no provider is named."""
    provider, slash, rest = model.partition("/")
    return provider.lower() if slash and provider and rest else DEFAULT_PROVIDER


def cache_ttl_for_provider(name: str, ttls: Mapping[str, float] | None = None) -> float:
    """Seconds that the provider's prefix cache stays warm; by the ledger's settings."""
    known = LedgerPolicy().cache_ttl_s if ttls is None else ttls
    return known.get(name, known.get(DEFAULT_PROVIDER, 0.0))
