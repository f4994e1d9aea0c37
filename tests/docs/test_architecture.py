"""The pictures of the house are as the house is."""

import pytest

from tests.docs.architecture import JOURNEYS, arrows, reduced, stale, untrue


@pytest.mark.parametrize("name", sorted(JOURNEYS))
def test_a_journey_follows_imports_that_exist(name: str) -> None:
    assert untrue(JOURNEYS[name][1]) == []


def test_the_pictures_are_made_from_the_imports_of_today() -> None:
    assert stale() == [], "run scripts/architecture"


def test_no_two_rooms_import_each_other() -> None:
    graph = arrows()
    circles = {
        (a, b) for a, targets in graph.items() for b in targets if a in graph.get(b, ())
    }

    assert circles == set()


def test_an_arrow_that_a_longer_way_tells_is_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set()}

    assert reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}
