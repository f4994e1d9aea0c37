"""Keys, ids and hashes of requests."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from convstore import InvalidInputError
from convstore import gateway as g

MESSAGES = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]


def test_a_prefix_key_covers_the_inputs_only() -> None:
    other = [MESSAGES[0], {"role": "assistant", "content": "B!"}, MESSAGES[2]]

    assert g.prefix_key("key-1", MESSAGES) == g.prefix_key("key-1", other)
    assert g.prefix_key("key-1", MESSAGES) != g.prefix_key("key-1", MESSAGES[:-1])


def test_scope_tenant_branch_and_secret_keep_keys_apart() -> None:
    keys = {
        g.prefix_key("key-1", MESSAGES),
        g.prefix_key("key-2", MESSAGES),
        g.prefix_key("key-1", MESSAGES, tenant_id="acme"),
        g.prefix_key("key-1", MESSAGES, branch="answer-1"),
        g.prefix_key("key-1", MESSAGES, secret=b"s"),
    }

    assert len(keys) == 5
    assert all(len(key) == 64 and "key-1" not in key for key in keys)


def test_content_cannot_forge_a_separator() -> None:
    one = [{"role": "user", "content": 'a"],["user","b'}]
    two = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]

    assert g.prefix_key("k", one) != g.prefix_key("k", two)


def test_parts_are_flattened_to_text_and_pictures_still_tell() -> None:
    text = [{"role": "user", "content": "a\nb"}]
    parts = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        }
    ]
    images = [
        [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]
        for url in ("u1", "u2")
    ]

    assert g.prefix_key("k", text) == g.prefix_key("k", parts)
    assert g.prefix_key("k", images[0]) != g.prefix_key("k", images[1])


def test_a_request_that_no_database_takes_still_has_a_key() -> None:
    assert g.prefix_key("k", [{"role": "user", "content": "\ud800\0"}])


def test_callers_without_a_scope_share_nothing() -> None:
    with pytest.raises(InvalidInputError, match="scope"):
        g.prefix_key("", MESSAGES)


@pytest.mark.parametrize("name", ["x-session-id", "X-SESSION-ID", "X-Session-ID"])
def test_the_session_header_is_found_in_any_case(name: str) -> None:
    assert g.session_id_from_headers({name: " s-9 "}) == "s-9"


def test_an_empty_or_absent_header_is_absent() -> None:
    assert g.session_id_from_headers({"x-session-id": " "}) is None
    assert g.session_id_from_headers({}) is None


def test_a_header_that_cannot_be_an_id_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="X-Session-ID"):
        g.session_id_from_headers({"x-session-id": "x" * 10_000})


def test_fresh_ids_are_in_order_of_time_and_never_the_same() -> None:
    made = [g.new_session_id() for _ in range(5_000)]

    times = [each[:13] for each in made]
    assert times == sorted(times)
    assert len({each[-12:] for each in made}) == 5_000


def test_a_derived_id_is_stable_and_scoped() -> None:
    first = g.derive_session_id("hello")

    assert first == g.derive_session_id("hello")
    assert first != g.derive_session_id("hello", tenant_id="acme")
    assert first != g.derive_session_id("hello", user_id="u-1")


def test_what_is_stored_under_a_hash_is_found_by_later_releases() -> None:
    """The values are those of version 0.1: to change one is to lose what is stored."""
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Welke archieven? 🗂"},
    ]

    assert g.prefix_key("key-1", said, tenant_id="acme", branch="b") == (
        "d21684f2a3f77bb3fafcfba2b4b190d0f3edebf31d45d5f50aa9edbde2353943"
    )
    assert (
        g.derive_session_id("Hallo", tenant_id="acme", user_id="u-1")
        == "derived-5e8e48bee43c0fe3ed1681b659179780"
    )
    assert g.hash_request("Hallo  daar", ["b", "a"]) == "a6ff3db7c27b4c85"


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_every_kind_of_input_tells_conversations_apart(role: str) -> None:
    with_it = [{"role": role, "content": "x"}, *MESSAGES]

    assert g.prefix_key("k", with_it) != g.prefix_key("k", MESSAGES)


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_what_clients_reformat_tells_nothing(role: str) -> None:
    with_it = [*MESSAGES, {"role": role, "content": "x"}]

    assert g.prefix_key("k", with_it) == g.prefix_key("k", MESSAGES)


def test_the_bounds_of_a_prefix_cache_unless_told_otherwise() -> None:
    stats = asyncio.run(g.PrefixCache().stats())

    assert (stats.enabled, stats.max, stats.ttl_s) == (True, 256, 1_800)


def test_a_request_hash_ignores_whitespace_and_the_order_of_tools() -> None:
    assert g.hash_request("a  b", ["t2", "t1"]) == g.hash_request("a b", ["t1", "t2"])
    assert g.hash_request("a b") != g.hash_request("a b", ["t1"])
    assert g.hash_request("x" * 500 + "1") == g.hash_request("x" * 500 + "2")


def test_the_provider_is_told_by_the_models_name() -> None:
    assert g.provider_from_model("anthropic/claude-sonnet") == "anthropic"
    assert g.provider_from_model("gpt-4o") == "default"
    assert g.cache_ttl_for_provider("unheard-of", {"default": 7.0}) == 7.0


def test_long_conversations_keep_their_warm_prefix() -> None:
    long = [{"role": "user", "content": "x" * 301}]

    assert g.should_cache_sticky(long, threshold_tokens=100)
    assert not g.should_cache_sticky(long, threshold_tokens=101)


def test_threads_may_share_a_prefix_cache() -> None:
    cache = g.PrefixCache(max_entries=8)

    def work(number: int) -> None:
        async def use() -> None:
            for step in range(100):
                said = [{"role": "user", "content": f"{(number + step) % 12}"}]
                await cache.store("key", said, "up")
                await cache.look_up("key", [*said, {"role": "user", "content": "?"}])

        asyncio.run(use())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    stats = asyncio.run(cache.stats())
    assert stats.hit_total + stats.miss_total == 400
    assert stats.size == 8
