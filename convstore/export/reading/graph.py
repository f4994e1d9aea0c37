"""The reasoning graph of a session, as far as its snapshots can be understood.

Applications keep graphs in shapes of their own. Read are: `nodes` as a list of objects
or an object by id, parents named in the node or by `edges`. What is not understood has
no text or no parent, and rules that need it make no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from convstore.vocabulary.records import GraphState, Json, JsonObject

_ID = ("id", "node_id", "key")
_TEXT = ("text", "content", "thought", "step", "label", "title", "description")
_PARENT = ("parent", "parent_id", "parentId")
_ENDS = (("source", "target"), ("from", "to"), ("parent", "child"))


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `turn_seq` is the turn whose snapshot showed it last."""

    id: str
    text: str
    parent: str | None
    turn_seq: int | None
    version: int


def read_graph(states: Iterable[GraphState]) -> dict[str, Node]:
    """Every node that any snapshot shows, as the latest one shows it.

    Pruned nodes are often missing from later snapshots, and are judged all the same. Of
    two namespaces that use one id, the later in order counts.
    """
    nodes: dict[str, Node] = {}
    for state in states:
        parents = dict(_edges(state.state))
        for node_id, data in _nodes(state.state):
            known = nodes.get(node_id)
            parent = _text_of(data, _PARENT) or parents.get(node_id)
            nodes[node_id] = Node(
                node_id,
                _text_of(data, _TEXT) or (known.text if known else ""),
                parent or (known.parent if known else None),
                state.turn_seq,
                state.version,
            )
    return nodes


def path_to(nodes: dict[str, Node], node_id: str) -> list[Node]:
    """The nodes from the root to this one; empty if it is unknown or in a circle."""
    path: list[Node] = []
    here: str | None = node_id
    while here is not None and here in nodes:
        if len(path) >= len(nodes):
            return []
        path.append(nodes[here])
        here = nodes[here].parent
    path.reverse()
    return path


def _nodes(state: Json) -> Iterator[tuple[str, JsonObject]]:
    listed = state.get("nodes") if isinstance(state, dict) else None
    if isinstance(listed, dict):
        for key, data in listed.items():
            yield key, data if isinstance(data, dict) else {"text": data}
    elif isinstance(listed, list):
        for data in listed:
            node_id = _text_of(data, _ID) if isinstance(data, dict) else _name(data)
            if node_id is not None:
                yield node_id, data if isinstance(data, dict) else {}


def _edges(state: Json) -> Iterator[tuple[str, str]]:
    """Child and parent of each edge that can be read."""
    listed = state.get("edges") if isinstance(state, dict) else None
    for edge in listed if isinstance(listed, list) else ():
        ends: list[Json] = []
        if isinstance(edge, dict):
            known = next((e for e in _ENDS if e[0] in edge and e[1] in edge), None)
            ends = [edge[end] for end in known] if known else []
        elif isinstance(edge, list):
            ends = edge
        names = [_name(end) for end in ends]
        if len(names) == 2 and names[0] is not None and names[1] is not None:
            yield names[1], names[0]


def _text_of(data: JsonObject, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        name = _name(data.get(key))
        if name:
            return name
    return None


def _name(value: Json) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None
