"""Any text, any JSON, any id: stored exactly, or refused by name on both databases."""

import asyncio
import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore import (
    InvalidInputError,
    SessionNotFoundError,
    Store,
    StoreConfig,
    open_store,
)
from tests.integration.conversations import everything, say

MIB = 1024 * 1024


def _nested(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


# Values of any text field, and whether they are stored.
TEXTS: dict[str, tuple[Any, bool]] = {
    "empty": ("", True),
    "blanks": (" \t\r\n\u00a0\u2003", True),
    "control characters": ("".join(map(chr, range(1, 32))) + "\x7f\x85", True),
    "not normalised": ("e\u0301 é \ufb01 Å \u212b", True),
    "bidirectional": ("\u202eabc\u202c \u200f\u2066", True),
    "emoji": ("👩‍👩‍👧‍👦🏳️‍🌈 𝒳", True),
    "non-characters": ("\ufffe\uffff\U0010ffff\ufffd", True),
    "byte order mark": ("\ufeffx", True),
    "sql": ("'; DROP TABLE turns; --", True),
    "format": ("%s %(x)s {0} :name ?1 $1 \\", True),
    "nul": ("a\0b", False),
    "lone high surrogate": ("a\ud800", False),
    "lone low surrogate": ("\udfffa", False),
    "bytes": (b"bytes", False),
    "number": (5, False),
    "list": (["a"], False),
}

# Values inside any JSON field.
JSON_VALUES: dict[str, tuple[Any, bool]] = {
    "largest integer": (2**63 - 1, True),
    "smallest integer": (-(2**63), True),
    "too large": (2**63, False),
    "too small": (-(2**63) - 1, False),
    "beyond float": (10**400, False),
    "beyond exact float": (2**53 + 1, True),
    "large float": (1e300, True),
    "tiny float": (5e-324, True),
    "minus zero": (-0.0, True),
    "whole float": (1.0, True),
    "nan": (float("nan"), False),
    "infinity": (float("inf"), False),
    "minus infinity": (float("-inf"), False),
    "null": (None, True),
    "true": (True, True),
    "empty": ({"": {}, " ": []}, True),
    "keys in order": ({"z": 1, "a": {"y": 1, "b": 2}}, True),
    "prototype": ({"__proto__": 1, "constructor": 2}, True),
    "deep enough": (_nested(60), True),
    "a thousand levels": (_nested(1000), False),
    "a hundred thousand levels": (_nested(100_000), False),
    "nul": ("a\0b", False),
    "nul in a key": ({"a\0b": 1}, False),
    "lone surrogate": ("\ud800", False),
    "lone surrogate in a key": ({"\ud800": 1}, False),
    "bytes": (b"x", False),
    "set": ({1, 2}, False),
    "decimal": (Decimal("1.5"), False),
    "object": (object(), False),
    "number as key": ({1: 2}, False),
    "nothing as key": ({None: 2}, False),
    "tuple": ((1, 2), True),
    "class of str": (type("Text", (str,), {})("x"), False),
}

IDS: dict[str, tuple[Any, bool]] = {
    "path": ("../../etc/passwd", True),
    "slash": ("a/b\\c", True),
    "device": ("CON", True),
    "dot": (".", True),
    "blanks": ("  ", True),
    "emoji": ("🎉" * 255, True),
    "case": ("İıſ", True),
    "longest": ("x" * 255, True),
    "sql": ("' OR 1=1 --", True),
    "like": ("%_\\", True),
    "line break": ("a\r\nb", True),
    "empty": ("", False),
    "too long": ("x" * 256, False),
    "ten thousand": ("x" * 10_000, False),
    "nul": ("a\0b", False),
    "lone surrogate": ("\ud800", False),
    "number": (5, False),
    "bytes": (b"s-1", False),
}


def _same(stored: Any, given_value: Any) -> bool:
    """Equal, of one type, in one order: what JSON text would show."""
    return json.dumps(stored) == json.dumps(given_value)


async def _stored_or_refused(
    store: Store, field: str, call: Callable[[], Any], *, fits: bool
) -> Any:
    """What the call gives, or None if it was refused by name and changed nothing."""
    before = await everything(store, "s-1")
    if fits:
        return await call()
    with pytest.raises(InvalidInputError) as caught:
        await call()
    assert caught.value.field.split(".")[0] == field
    assert await everything(store, "s-1") == before
    return None


TEXT_FIELDS = ["content", "resolved_question"]
JSON_FIELDS = {
    "parts": lambda v: [v],
    "results": lambda v: [{"v": v}],
    "metadata": lambda v: {"v": v},
    "tools": lambda v: [v],
}
ID_FIELDS = [
    "role",
    "name",
    "tool_call_id",
    "model",
    "finish_reason",
    "language",
    "template_id",
    "external_id",
]


@pytest.mark.parametrize("name", TEXTS)
async def test_text_is_stored_exactly_or_refused(store: Store, name: str) -> None:
    await say(store, "s-1", "before")
    text, fits = TEXTS[name]
    for field in TEXT_FIELDS:
        turn = await _stored_or_refused(
            store,
            field,
            lambda field=field: store.turns.append("s-1", role="user", **{field: text}),
            fits=fits,
        )
        if turn is not None:
            assert getattr(await store.turns.get("s-1", turn.seq), field) == text
    slots = await _stored_or_refused(
        store,
        "slots",
        lambda: store.turns.append("s-1", role="user", slots={"s": text}),
        fits=fits,
    )
    if slots is not None:
        assert (await store.sessions.get("s-1")).current_slots == {"s": text}
    for field in ("reason", "content"):
        act = await _stored_or_refused(
            store,
            field,
            lambda field=field: store.interactions.record(
                "s-1", action="x", **{field: text}
            ),
            fits=fits,
        )
        if act is not None:
            found = (await store.interactions.list("s-1")).items[-1]
            assert getattr(found, field) == text
    title = await _stored_or_refused(
        store, "title", lambda: store.sessions.update("s-1", title=text), fits=fits
    )
    if title is not None:
        assert (await store.sessions.get("s-1")).title == text


@pytest.mark.parametrize("name", JSON_VALUES)
async def test_json_is_stored_exactly_or_refused(store: Store, name: str) -> None:
    await say(store, "s-1", "before")
    value, fits = JSON_VALUES[name]
    for field, wrap in JSON_FIELDS.items():
        turn = await _stored_or_refused(
            store,
            field,
            lambda field=field, wrap=wrap: store.turns.append(
                "s-1", role="user", **{field: wrap(value)}
            ),
            fits=fits,
        )
        if turn is not None and field != "tools":
            stored = await store.turns.get("s-1", turn.seq)
            assert _same(getattr(stored, field), wrap(value))
    state = await _stored_or_refused(
        store, "state", lambda: store.graph_states.put("s-1", [value]), fits=fits
    )
    if state is not None:
        assert _same((await store.graph_states.get("s-1")).state, [value])
    shown = await _stored_or_refused(
        store,
        "shown",
        lambda: store.interactions.record("s-1", action="x", shown=[value]),
        fits=fits,
    )
    if shown is not None:
        assert _same((await store.interactions.list("s-1")).items[-1].shown, [value])
    session = await _stored_or_refused(
        store,
        "metadata",
        lambda: store.sessions.update("s-1", metadata={"v": value}),
        fits=fits,
    )
    if session is not None:
        assert _same((await store.sessions.get("s-1")).metadata, {"v": value})


@pytest.mark.parametrize("name", IDS)
async def test_an_id_is_stored_exactly_or_refused(store: Store, name: str) -> None:
    await say(store, "s-1", "before")
    value, fits = IDS[name]
    for field in ID_FIELDS:
        turn = await _stored_or_refused(
            store,
            field,
            lambda field=field: store.turns.append(
                "s-1", **{"role": "user", field: value}
            ),
            fits=fits,
        )
        if turn is not None:
            assert getattr(await store.turns.get("s-1", turn.seq), field) == value
    made = await _stored_or_refused(
        store,
        "session_id",
        lambda: store.sessions.get_or_create(value, user_id="u-1"),
        fits=fits,
    )
    if made is not None:
        await store.turns.append(value, role="user", content="here")
        assert [t.content for t in await store.turns.window(value)] == ["here"]
        assert value in [s.id for s in (await store.sessions.list()).items]
        assert (await store.for_tenant(value).sessions.list()).items == ()


@pytest.mark.parametrize("name", IDS)
async def test_a_user_or_tenant_id_is_stored_exactly_or_refused(
    store: Store, name: str
) -> None:
    value, fits = IDS[name]
    if not fits:
        with pytest.raises(InvalidInputError) as refused:
            await store.sessions.get_or_create("s-1", user_id=value)
        assert refused.value.field == "user_id"
        with pytest.raises(InvalidInputError):
            store.for_tenant(value)
        with pytest.raises(InvalidInputError):
            store.conversation("s-1", user_id=value)
        assert await store.sessions.find("s-1") is None
        return
    tenant = store.for_tenant(value)
    chat = tenant.conversation("s-1", user_id=value)

    await chat.append(role="user", content="here", cost_micros=3, charge=True)

    assert (await tenant.sessions.get("s-1")).user_id == value
    assert [s.id for s in (await tenant.sessions.list(user_id=value)).items] == ["s-1"]
    assert await tenant.ledger.cost(user_id=value) == 3
    assert await store.sessions.find("s-1") is None
    with pytest.raises(SessionNotFoundError):
        await tenant.conversation("s-1", user_id=f"{value[:200]}.").window()


@pytest.mark.parametrize("name", [n for n, (_, fits) in IDS.items() if not fits])
async def test_no_verb_takes_an_id_that_is_none(store: Store, name: str) -> None:
    value = IDS[name][0]
    for call in (
        store.sessions.get(value),
        store.sessions.find(value),
        store.sessions.update(value, title="x"),
        store.sessions.touch(value),
        store.turns.append(value, role="user"),
        store.turns.append_many(value, [{"role": "user"}]),
        store.turns.get(value, 1),
        store.turns.list(value),
        store.turns.window(value),
        store.turns.history(value),
        store.turns.previous_user_turn(value),
        store.turns.branches(value),
        store.turns.switch(value, 1),
        store.interactions.record(value, action="x"),
        store.interactions.list(value),
        store.interactions.summary(value),
        store.graph_states.put(value, 1),
        store.graph_states.get(value),
        store.graph_states.list(value),
        store.graph_states.namespaces(value),
        store.holds.place(value, reason="x"),
        store.holds.release(value),
        store.holds.list(value),
        store.ledger.get(value),
        store.ledger.find(value),
        store.ledger.pin(value, model="m"),
        store.ledger.touch(value),
        store.ledger.escalate(value),
        store.ledger.record_request(value, "h"),
        store.ledger.add_cost(value, micros=1),
        store.ledger.check_budget(value),
        store.ledger.set_cache_sticky(value, "p"),
        store.ledger.is_cache_sticky(value),
        store.ledger.clear(value),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await call
        assert caught.value.field == "session_id"
    with pytest.raises(InvalidInputError):
        store.conversation(value)


# Sizes


@pytest.mark.parametrize("character", ["x", "é", "🎉"])
async def test_a_turn_of_ten_megabytes_comes_back(store: Store, character: str) -> None:
    await store.sessions.get_or_create("s-1")
    content = character * (10 * MIB // len(character.encode()))

    await store.turns.append("s-1", role="user", content=content)

    (turn,) = await store.turns.window("s-1")
    assert turn.content == content


@pytest.mark.parametrize("field", ["content", "parts", "results", "tools"])
async def test_a_turn_of_seventeen_megabytes_is_refused(
    store: Store, field: str
) -> None:
    await say(store, "s-1", "before")
    text = "x" * (17 * MIB)
    value = {"content": text, "results": [{"v": text}]}.get(field, [text])

    refused = await _stored_or_refused(
        store,
        field,
        lambda: store.turns.append("s-1", **{"role": "user", field: value}),
        fits=False,
    )

    assert refused is None


async def test_a_turn_is_bounded_as_a_whole(store: Store) -> None:
    await say(store, "s-1", "before")
    half = "é" * (4 * MIB + 10)  # 8 MiB each, and a little

    refused = await _stored_or_refused(
        store,
        "turn",
        lambda: store.turns.append(
            "s-1", role="user", content=half, resolved_question=half
        ),
        fits=False,
    )

    assert refused is None


async def test_metadata_has_a_bound_of_its_own(store: Store) -> None:
    await say(store, "s-1", "before")
    large = {"v": "x" * (64 * 1024)}

    for call in (
        lambda: store.turns.append("s-1", role="user", metadata=large),
        lambda: store.sessions.update("s-1", metadata=large),
        lambda: store.interactions.record("s-1", action="x", metadata=large),
        lambda: store.graph_states.put("s-1", 1, metadata=large),
    ):
        await _stored_or_refused(store, "metadata", call, fits=False)


async def test_many_slots_cannot_outgrow_what_a_session_may_hold(store: Store) -> None:
    """Each turn's slots fit; together they must not break reading or archiving."""
    await store.sessions.get_or_create("s-1")

    for number in range(4):
        await store.turns.append(
            "s-1", role="user", slots={f"k-{number}": "x" * 60_000}
        )

    session = await store.sessions.get("s-1")
    assert set(session.current_slots) == {f"k-{n}" for n in range(4)}


# Numbers and times of a turn


@pytest.mark.parametrize("value", [-1, 2**63, 1.5, "5", True, float("nan")], ids=repr)
@pytest.mark.parametrize("field", ["tokens_in", "tokens_out", "cost_micros"])
async def test_a_count_that_is_none_is_refused(
    store: Store, field: str, value: Any
) -> None:
    await say(store, "s-1", "before")

    await _stored_or_refused(
        store,
        field,
        lambda: store.turns.append("s-1", **{"role": "user", field: value}),
        fits=False,
    )


# The same outcome for whatever Hypothesis thinks of


_ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.mark.mostly_slow("postgres")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_any_json_in_is_the_same_json_out(
    request: pytest.FixtureRequest, kind: str
) -> None:
    url, number = str(request.getfixturevalue(f"{kind}_url")), iter(range(10**6))

    async def check(value: Any) -> None:
        async with open_store(StoreConfig(url=url)) as store:
            session_id = f"s-{next(number)}"
            await store.sessions.get_or_create(session_id, metadata={"v": value})
            await store.turns.append(session_id, role="user", parts=[value])
            await store.graph_states.put(session_id, value)
            assert _same((await store.sessions.get(session_id)).metadata["v"], value)
            (turn,) = await store.turns.window(session_id)
            assert _same(turn.parts, [value])
            assert _same((await store.graph_states.get(session_id)).state, value)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(_ANY_JSON)
    def explore(value: Any) -> None:
        asyncio.run(check(value))

    explore()


def test_minus_zero_and_whole_floats_are_told_apart() -> None:
    """What the comparison above relies on."""
    assert not _same(-0.0, 0.0)
    assert not _same(1, 1.0)
    assert math.copysign(1, -0.0) == -1


@pytest.mark.mostly_slow("sqlite")
async def test_every_naughty_string_is_content_name_slot_tag_and_id(
    store: Store, real_data: Path
) -> None:
    path = real_data / "naughty-strings/strings.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        strings = [json.loads(line)["string"] for line in lines]
    await store.sessions.get_or_create("s-1")

    for text in strings:
        assert (
            await store.turns.append(
                "s-1", role="user", content=text, slots={text: text}, parts=[text]
            )
        ).content == text
        if 1 <= len(text) <= 255:
            session, created = await store.sessions.get_or_create(
                text, user_id=text, title=text, tags=[text], metadata={text: text}
            )
            assert created
            assert (session.id, session.tags, session.title) == (text, (text,), text)

    turns = (await store.turns.list("s-1", limit=1000)).items
    assert [t.content for t in turns] == strings
    assert [t.slots for t in turns] == [{text: text} for text in strings]
    for text in (text for text in strings if 1 <= len(text) <= 255):
        found = await store.sessions.list(
            user_id=text, tag=text, title=text, metadata={text: text}
        )
        assert text in [s.id for s in found.items], ascii(text)
