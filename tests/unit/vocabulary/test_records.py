"""What callers hold: frozen, comparable, light."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from convstore.vocabulary import records
from convstore.vocabulary.record import Record

RECORDS = [
    cls
    for cls in vars(records).values()
    if isinstance(cls, type) and issubclass(cls, Record) and cls is not Record
]


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_a_record_is_frozen_comparable_and_without_a_dictionary(cls: type) -> None:
    given = {f.name: None for f in fields(cls)}
    one, same = cls(**given), cls(**given)

    assert one == same
    assert not hasattr(one, "__dict__")
    with pytest.raises(AttributeError):
        setattr(one, next(iter(given)), 1)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_a_time_is_named_for_what_it_is(cls: type) -> None:
    for field in fields(cls):
        if "datetime" in str(field.type):
            assert field.name.endswith(("_at", "_until"))


def test_a_cost_in_dollars_is_derived() -> None:
    given: dict[str, Any] = {f.name: None for f in fields(records.LedgerEntry)}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    entry = records.LedgerEntry(
        **{**given, "cost_micros": 1_500_000, "created_at": at, "last_used_at": at}
    )

    assert entry.cost_usd == 1.5
