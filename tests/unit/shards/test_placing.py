"""The table of where each verb is carried out knows the whole public face."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from convstore.repositories.conversation import Conversation as OfOne
from convstore.shards import (
    archive,
    attachments,
    conversation,
    erasing,
    facade,
    ledger,
    nouns,
)
from convstore.shards.placing import PLACES, Placing
from convstore.shards.routed import routed
from convstore.store import facade as of_one
from convstore.store import repositories

NOUNS: dict[str, tuple[type, type]] = {
    "store": (of_one.Store, facade.Store),
    "sessions": (repositories.Sessions, nouns.Sessions),
    "turns": (repositories.Turns, nouns.Turns),
    "interactions": (repositories.Interactions, nouns.Interactions),
    "graph_states": (repositories.GraphStates, nouns.GraphStates),
    "items": (repositories.Items, nouns.Items),
    "attachments": (repositories.Attachments, attachments.Attachments),
    "checkpoints": (repositories.Checkpoints, nouns.Checkpoints),
    "holds": (repositories.Holds, nouns.Holds),
    "ledger": (repositories.Ledger, ledger.Ledger),
    "archive": (repositories.Archive, archive.Archive),
    "erasures": (repositories.Erasures, erasing.Erasures),
    "queues": (repositories.Queues, nouns.Queues),
    "users": (repositories.Users, nouns.Users),
    "search_index": (repositories.SearchIndex, nouns.SearchIndex),
    "conversation": (OfOne, conversation.Conversation),
}
# What the store's own code does with the home database alone.
OF_HOME = {"prefix_cache"}


def _public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def _home(cls: type, name: str) -> str:
    """The module whose code a class has under a name."""
    owner = next(base for base in cls.__mro__ if name in vars(base))
    return owner.__module__


def test_every_noun_of_a_store_is_in_the_table() -> None:
    class Nothing:
        def __getattr__(self, name: str) -> Any:
            return None

    told: Any = Nothing()
    store = repositories.TenantRepositories(told, told)

    there = {name for name in vars(store) if not name.startswith("_")}
    assert there | {"store", "conversation"} == PLACES.keys() == NOUNS.keys()


@pytest.mark.parametrize("noun", PLACES)
def test_every_public_verb_has_a_line_that_says_where_it_is_carried_out(
    noun: str,
) -> None:
    of_a_store, _ = NOUNS[noun]

    assert PLACES[noun].keys() == _public(of_a_store)


@pytest.mark.parametrize("noun", PLACES)
def test_a_verb_is_the_stores_own_code_only_where_the_table_says_so(noun: str) -> None:
    _, over_several = NOUNS[noun]

    for name, placing in PLACES[noun].items():
        here = _home(over_several, name).startswith("convstore.shards.")
        assert here == (placing is not Placing.SAME) or (
            name in OF_HOME | {"open", "tenant"}
        ), name


def test_a_verb_that_only_has_to_be_sent_keeps_its_signature_and_its_words() -> None:
    assert nouns.Turns.append.__doc__ == repositories.Turns.append.__doc__
    assert nouns.Turns.append.__wrapped__ is repositories.Turns.append  # type: ignore[attr-defined]


@pytest.mark.parametrize("noun", PLACES)
def test_a_verb_shows_the_signature_that_it_has_over_one_database(noun: str) -> None:
    for name in PLACES[noun]:
        of_one, of_several = (inspect.getattr_static(c, name) for c in NOUNS[noun])
        if inspect.isfunction(of_one):
            assert inspect.signature(of_several) == inspect.signature(of_one), name


def test_a_noun_without_lines_is_refused() -> None:
    with pytest.raises(KeyError):
        routed("weather")(type("Weather", (), {}))
