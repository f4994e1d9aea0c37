"""Messages that name what they follow: none is lost, and growth disturbs no order."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from convstore.imports.trees import Node, arranged

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def names(*nodes: Node) -> list[str]:
    return [nodes[place].id for place in arranged(nodes).order]


def test_parents_come_first_then_the_time_then_the_place() -> None:
    nodes = (
        Node("answer-2", "question", at(5)),
        Node("more", "answer-1", at(4)),
        Node("answer-1", "question", at(2)),
        Node("question", None, at(9)),
        Node("answer-3", "question", at(5)),
    )

    assert names(*nodes) == ["question", "answer-1", "more", "answer-2", "answer-3"]


def test_what_is_no_message_is_passed_through() -> None:
    nodes = [
        Node("root", None, kept=False),
        Node("a", "root"),
        Node("b", "between"),
        Node("between", "a", kept=False),
    ]

    assert arranged(nodes).parents == {"a": None, "b": "a"}


def test_an_absent_parent_and_a_circle_lose_no_message() -> None:
    nodes = [Node("x", "gone"), Node("b", "a", at(2)), Node("a", "b", at(1))]

    found = arranged(nodes)

    assert found.parents == {"x": None, "b": "a", "a": None}
    assert (found.absent, found.circles) == (1, 1)


def test_of_two_messages_with_one_id_the_first_stays() -> None:
    found = arranged([Node("a", None), Node("b", "a"), Node("b", None)])

    assert found.order == [0, 1]
    assert found.repeated == 1


NODES = st.lists(
    st.builds(
        Node,
        st.sampled_from("abcdefgh"),
        st.none() | st.sampled_from("abcdefghz"),
        st.none() | st.integers(0, 3).map(at),
        st.booleans(),
    ),
    max_size=12,
)


@given(NODES)
def test_whatever_they_name_all_come_and_parents_before_children(
    nodes: list[Node],
) -> None:
    found = arranged(nodes)

    order = [nodes[place].id for place in found.order]
    first = {node.id: node for node in reversed(nodes)}
    assert sorted(order) == sorted(i for i, node in first.items() if node.kept)
    for node_id, parent in found.parents.items():
        assert parent is None or order.index(parent) < order.index(node_id)


def test_a_long_line_takes_no_recursion_and_no_square_time() -> None:
    nodes = [Node("0", None)]
    nodes += [Node(str(n), str(n - 1), kept=n % 2 == 0) for n in range(1, 50_000)]

    assert len(arranged(nodes).order) == 25_000


def test_a_line_of_many_messages_is_put_in_order_in_time_of_its_length() -> None:
    def took(count: int) -> float:
        nodes = [Node(f"{n}", f"{n - 1}" if n else None) for n in range(count)]
        began = time.process_time()
        assert arranged(nodes).order == list(range(count))
        return time.process_time() - began

    # Eight times as many take some twelve times as long, and not the sixty-four that
    # they took when each was looked at again for each.
    few = min(took(4_000) for _ in range(3))
    assert took(32_000) < 32 * few
