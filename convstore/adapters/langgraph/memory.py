"""LangGraph's memory over `store.items`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from convstore import blocking, types
from convstore.adapters.langgraph.steps import Call, Steps, in_task, in_thread

# Ends each label: no label holds one, so that a prefix is one of whole labels.
_END = "."
_PAGE = 500
_FILTER_KEY = re.compile(r"[A-Za-z0-9_.\-]+", re.ASCII)
_ABSENT = object()


class ConvstoreMemory(BaseStore):
    """Keeps what LangGraph's graphs remember in the items of a store.

    A search compares values and does not understand them: `query` and `index` have no
    effect. Each method serves from any thread and any event loop; a synchronous one on
    the thread of the store's own loop raises `ConfigError` at once.

    Args:
        store: An open one: asynchronous, awaitable or blocking, of any tenant.
        ttl: How long items live, in minutes, and whether reading lets them live on.
            What has expired is not found from then on.
    """

    supports_ttl = True
    __slots__ = ("_tasks", "_threads", "ttl_config")

    def __init__(
        self, store: types.Store | blocking.Store, ttl: TTLConfig | None = None
    ) -> None:
        super().__init__()
        self._threads = blocking.over(store)
        self._tasks = self._threads.awaitable
        self.ttl_config = ttl

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations; what is read is as it was before what is put."""
        given = list(ops)
        results: list[Result] = [None] * len(given)
        for place, steps in _planned(given):
            results[place] = in_thread(self._threads, steps)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        given = list(ops)
        results: list[Result] = [None] * len(given)
        for place, steps in _planned(given):
            results[place] = await in_task(self._tasks, steps)
        return results

    def sweep_ttl(self) -> int:
        """Remove what has expired in this tenant, and count it. Nobody finds it before
        that either, and the store's upkeep removes it in time."""
        swept: int = in_thread(self._threads, _sweep())
        return swept

    async def asweep_ttl(self) -> int:
        """As `sweep_ttl`."""
        swept: int = await in_task(self._tasks, _sweep())
        return swept


def _planned(ops: Sequence[Op]) -> list[tuple[int, Steps]]:
    """The operations in the order in which they are carried out. All are looked at
    first; of several puts in one place the last counts.

    Raises:
        InvalidNamespaceError, ValueError: One cannot be meant; nothing is done.
    """
    reading: list[tuple[int, Steps]] = []
    writing: dict[tuple[str, str], tuple[int, Steps]] = {}
    for place, op in enumerate(ops):
        validate_op_namespace(op)
        if isinstance(op, GetOp):
            reading.append((place, _get(op, _named(op.namespace))))
        elif isinstance(op, SearchOp):
            _check_filter(op.filter)
            prefix = _named(op.namespace_prefix)
            reading.append((place, _search(op, prefix)))
        elif isinstance(op, ListNamespacesOp):
            reading.append((place, _list_namespaces(op)))
        elif isinstance(op, PutOp):
            namespace = _named(op.namespace)
            writing[namespace, op.key] = place, _put(op, namespace)
        else:
            raise ValueError(f"Unknown operation type: {type(op)}")
    return [*reading, *writing.values()]


def _get(op: GetOp, namespace: str) -> Steps:
    found = yield Call("items", "find", (namespace, op.key), {})
    if found is None:
        return None
    if op.refresh_ttl and found.ttl_s is not None:
        found = (yield Call("items", "touch", (namespace, op.key), {})) or found
    return Item(**_fields(found))


def _put(op: PutOp, namespace: str) -> Steps:
    if op.value is None:
        yield Call("items", "delete", (namespace, op.key), {})
        return None
    ttl_s = None if op.ttl is None else op.ttl * 60
    yield Call("items", "put", (namespace, op.key, op.value), {"ttl_s": ttl_s})
    return None


def _sweep() -> Steps:
    return (yield Call("items", "remove_expired", (), {}))


def _search(op: SearchOp, prefix: str) -> Steps:
    met: list[types.Item] = []
    cursor = None
    while True:
        given = {"prefix": prefix or None, "limit": _PAGE, "cursor": cursor}
        page = yield Call("items", "list", (), given)
        met += [item for item in page.items if _meets(item.value, op.filter or {})]
        cursor = page.next_cursor
        if cursor is None:
            break
    # The newest first, as LangGraph's own stores have it.
    met.sort(key=lambda item: item.updated_at, reverse=True)
    chosen = met[op.offset : op.offset + op.limit]
    if op.refresh_ttl:
        for item in chosen:
            if item.ttl_s is not None:
                yield Call("items", "touch", (item.namespace, item.key), {})
    return [SearchItem(**_fields(item), score=None) for item in chosen]


def _list_namespaces(op: ListNamespacesOp) -> Steps:
    found: set[tuple[str, ...]] = set()
    cursor = None
    while True:
        page = yield Call("items", "namespaces", (), {"limit": _PAGE, "cursor": cursor})
        for name in page.items:
            labels = _labels(name)
            if all(_matches(labels, c) for c in op.match_conditions or ()):
                found.add(labels[: op.max_depth])
        cursor = page.next_cursor
        if cursor is None:
            break
    return sorted(found)[op.offset : op.offset + op.limit]


def _matches(labels: tuple[str, ...], condition: MatchCondition) -> bool:
    path = condition.path
    if len(labels) < len(path):
        return False
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"Unsupported match type: {condition.match_type}")
    place = 0 if condition.match_type == "prefix" else len(labels) - len(path)
    part = labels[place : place + len(path)]
    return all(want in ("*", label) for want, label in zip(path, part, strict=True))


def _named(labels: Sequence[str]) -> str:
    """The namespace of labels that were found valid.

    Raises:
        InvalidNamespaceError: Together they are too long.
    """
    name = "".join(label + _END for label in labels)
    if len(name) > 255:
        raise InvalidNamespaceError(
            "Namespace labels have more than 255 characters with a period after each."
        )
    return name


def _labels(name: str) -> tuple[str, ...]:
    return tuple(name.split(_END)[:-1])


def _fields(item: types.Item) -> dict[str, Any]:
    return {
        "namespace": _labels(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def _check_filter(wanted: Mapping[str, Any] | None) -> None:
    for key, value in (wanted or {}).items():
        if not isinstance(key, str) or not _FILTER_KEY.fullmatch(key):
            raise ValueError("Invalid filter key: letters, digits, '_', '.', '-' only.")
        for operator in _operators(value):
            if operator not in _OPERATORS:
                raise ValueError(f"Unsupported operator: {operator}")


def _operators(value: object) -> list[str]:
    named = isinstance(value, dict) and any(str(key).startswith("$") for key in value)
    return [str(key) for key in cast(dict[str, Any], value)] if named else []


def _meets(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for key, want in wanted.items():
        have: Any = value.get(key, _ABSENT)
        if have is _ABSENT and "." in key:
            have = _below(value, key)
        if operators := _operators(want):
            if not all(_OPERATORS[each](have, want[each]) for each in operators):
                return False
        elif not _equal(have, want):
            return False
    return True


def _below(value: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _equal(have: Any, want: Any) -> bool:
    if isinstance(have, bool) is not isinstance(want, bool):
        return False  # true is not 1
    return bool(have == want)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(have: Any, want: Any) -> bool:
        try:
            return have is not _ABSENT and compare(have, want)
        except TypeError:
            return False

    return apply


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda have, want: not _equal(have, want),
    "$gt": _ordered(lambda have, want: bool(have > want)),
    "$gte": _ordered(lambda have, want: bool(have >= want)),
    "$lt": _ordered(lambda have, want: bool(have < want)),
    "$lte": _ordered(lambda have, want: bool(have <= want)),
}
