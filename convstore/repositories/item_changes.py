"""What a caller gives for an item, checked and as it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from convstore.db.applying import PlacedChange
from convstore.db.codec.inputs import encode_time
from convstore.db.items import ItemChange, Life, Verb
from convstore.vocabulary.codec import check_optional_int, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import ItemInput, Json, Unset

_FIELDS = {*names_of(ItemInput)}
_MOST_AT_ONCE = 1_000
"""Items of one call: what one operation should hold locks for."""

_LONGEST_S = 100 * 366 * 86_400.0


def item_change(
    limits: Limits,
    verb: Verb,
    namespace: str,
    key: str,
    value: Json = None,
    *,
    life: Life | None = None,
    user_id: str | None = None,
    expected_version: int | None = None,
) -> ItemChange:
    """The change, with its value or patch as JSON text.

    Raises:
        InvalidInputError: Names the field.
    """
    text = ""
    if verb == "patch" and not isinstance(value, dict):
        raise InvalidInputError("patch", "must be a dict")
    if verb in ("put", "patch"):
        field = "value" if verb == "put" else "patch"
        text = encode_json(field, value, limits.max_item_bytes, limits.max_json_depth)
    return ItemChange(
        verb,
        check_id("namespace", namespace),
        check_id("key", key),
        text,
        life,
        check_optional_id("user_id", user_id),
        check_optional_int("expected_version", expected_version),
        limits.max_item_bytes,
    )


def life_of(expires_at: datetime | None, ttl_s: float | None) -> Life | None:
    """Until when an item is there; None where nothing was said.

    Raises:
        InvalidInputError: Names the field.
    """
    if ttl_s is None:
        if expires_at is None:
            return None
        return Life(encode_time("expires_at", expires_at))
    if expires_at is not None:
        raise InvalidInputError("ttl_s", "goes in place of expires_at")
    if type(ttl_s) not in (int, float) or not isfinite(ttl_s):
        raise InvalidInputError("ttl_s", "must be a number of seconds")
    if not 0 < ttl_s <= _LONGEST_S:
        raise InvalidInputError("ttl_s", "must be above 0 and at most a century")
    return Life(None, float(ttl_s))


def placed_changes(
    limits: Limits, items: Iterable[ItemInput | Mapping[str, Any]]
) -> list[PlacedChange]:
    """The changes of items that a call names, each item once.

    Raises:
        InvalidInputError: `items[3].value`: which item and field; or too many.
    """
    return [change for _, change in _checked(limits, items)]


def item_inputs(
    limits: Limits, items: Iterable[ItemInput | Mapping[str, Any]]
) -> list[ItemInput]:
    """The items that a call names, checked as `placed_changes` checks them."""
    return [item for item, _ in _checked(limits, items)]


def _checked(
    limits: Limits, items: Iterable[ItemInput | Mapping[str, Any]]
) -> Iterator[tuple[ItemInput, PlacedChange]]:
    named = set()
    for number, given in enumerate(items):
        where = f"items[{number}]"
        if number >= _MOST_AT_ONCE:
            raise InvalidInputError("items", f"at most {_MOST_AT_ONCE} fit one call")
        item = _item_input(where, given)
        try:
            placed = PlacedChange(_change(limits, item), item.inside)
        except InvalidInputError as error:
            raise InvalidInputError(f"{where}.{error.field}", error.problem) from None
        place = (item.inside, item.namespace, item.key)
        if place in named:
            raise InvalidInputError(where, "names an item for the second time")
        named.add(place)
        yield item, placed


def _item_input(where: str, given: ItemInput | Mapping[str, Any]) -> ItemInput:
    if isinstance(given, ItemInput):
        return given
    if not isinstance(given, Mapping):
        raise InvalidInputError(where, f"must be an item, not {type(given).__name__}")
    unknown = sorted(map(str, given.keys() - _FIELDS))
    missing = [name for name in ("namespace", "key") if name not in given]
    if unknown or missing:
        raise InvalidInputError(
            f"{where}.{missing[0]}" if missing else where,
            "is missing" if missing else "has a field that an item has not",
        )
    return ItemInput(**given)


def _change(limits: Limits, item: ItemInput) -> ItemChange:
    given = [not isinstance(item.value, Unset), item.patch is not None, item.delete]
    if sum(given) != 1:
        raise InvalidInputError("value", "give one of value, patch and delete")
    if item.inside and item.user_id is not None:
        raise InvalidInputError("user_id", "the items of a session have no owner")
    verb: Verb = "put" if given[0] else "patch" if given[1] else "delete"
    life = life_of(item.expires_at, item.ttl_s)
    if verb == "put" and life is None:
        life = Life()
    return item_change(
        limits,
        verb,
        item.namespace,
        item.key,
        item.value if verb == "put" else item.patch,
        life=life,
        user_id=item.user_id,
        expected_version=item.expected_version,
    )
