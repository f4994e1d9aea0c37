"""The retrying wrapper: what it repeats, how long it waits, when it stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.retrying import RetryingBlobs, RetryPolicy
from convstore.errors import (
    ConfigError,
    ConvstoreError,
    StorageFullError,
    StoreClosedError,
    UnavailableError,
)
from convstore.testing.blob_suite import put


def failing(times: int, error: ConvstoreError) -> Callable[[], str]:
    left = [error] * times

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


def make(policy: RetryPolicy) -> tuple[RetryingBlobs, list[float]]:
    pauses: list[float] = []
    retrying = RetryingBlobs(
        MemoryBlobs(), policy, sleep=pauses.append, draw=lambda: 1.0
    )
    return retrying, pauses


def test_a_passing_fault_is_waited_out() -> None:
    retrying, pauses = make(RetryPolicy(attempts=5, base_s=0.1, max_s=0.3))

    assert retrying.again(failing(4, UnavailableError("away"))) == "done"
    assert pauses == pytest.approx([0.1, 0.2, 0.3, 0.3])


def test_the_last_fault_is_raised_when_all_tries_are_used() -> None:
    retrying, pauses = make(RetryPolicy(attempts=3))
    error = UnavailableError("away")

    with pytest.raises(UnavailableError) as caught:
        retrying.again(failing(3, error))
    assert caught.value is error
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "error",
    [StorageFullError("full"), ConfigError("no"), StoreClosedError("closed")],
)
def test_what_waiting_does_not_cure_is_raised_at_once(error: ConvstoreError) -> None:
    retrying, pauses = make(RetryPolicy())

    with pytest.raises(type(error)):
        retrying.again(failing(1, error))
    assert pauses == []


def test_pauses_are_drawn_between_nothing_and_the_bound() -> None:
    pauses: list[float] = []
    draws = iter([0.0, 0.5])
    retrying = RetryingBlobs(
        MemoryBlobs(),
        RetryPolicy(base_s=1.0, max_s=8.0),
        sleep=pauses.append,
        draw=lambda: next(draws),
    )
    retrying.again(failing(2, UnavailableError("away")))

    assert pauses == [0.0, 1.0]


@pytest.mark.parametrize("method", ["write", "sync", "publish"])
def test_what_is_not_idempotent_is_not_repeated(method: str) -> None:
    inner = MemoryBlobs()
    pauses: list[float] = []
    retrying = RetryingBlobs(_Failing(inner, method), sleep=pauses.append)

    with pytest.raises(UnavailableError):
        put(retrying, "a/b", b"x")
    assert pauses == []


class _Failing(MemoryBlobs):
    """A store whose staged blobs fail one method, once."""

    def __init__(self, inner: MemoryBlobs, method: str) -> None:
        super().__init__()
        self._inner, self._method = inner, method

    def create(self, key: str, **options: object):  # type: ignore[no-untyped-def]
        staged = self._inner.create(key)

        def fail(*args: object) -> None:
            delattr(staged, self._method)
            raise UnavailableError("away")

        setattr(staged, self._method, fail)
        return staged
