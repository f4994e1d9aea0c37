"""What a chat gateway needs beside the store: keys, ids and hashes of requests."""

from convstore.gateway.identity import derive_session_id, session_id_from_headers
from convstore.gateway.prefixes import prefix_key
from convstore.gateway.providers import cache_ttl_for_provider, provider_from_model
from convstore.gateway.requests import (
    estimate_tokens,
    hash_request,
    should_cache_sticky,
)

__all__ = [
    "cache_ttl_for_provider",
    "derive_session_id",
    "estimate_tokens",
    "hash_request",
    "prefix_key",
    "provider_from_model",
    "session_id_from_headers",
    "should_cache_sticky",
]
