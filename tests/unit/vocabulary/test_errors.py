"""The error tree: drawn, coded, and with what a caller needs on each."""

import inspect
import re

import pytest

import convstore
from convstore.vocabulary import errors

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, errors.ConvstoreError)
}


def _drawn() -> dict[str, str]:
    """Each class of the drawing with its parent there."""
    parents: dict[int, str] = {}
    tree: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^(?P<lead>[ │├└─]*)(?P<name>[A-Z]\w+Error)\b", line)
        if found:
            depth = len(found["lead"]) // 4
            parents[depth] = found["name"]
            tree[found["name"]] = parents.get(depth - 1, "Exception")
    return tree


def test_the_drawing_is_the_tree() -> None:
    assert _drawn() == {
        name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()
    }


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in CLASSES.values()]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)


def test_every_error_is_exported_and_documented() -> None:
    assert set(CLASSES) <= set(convstore.__all__)
    assert all(cls.__doc__ for cls in CLASSES.values())


def test_only_what_is_outside_may_be_tried_again() -> None:
    transient = {name for name, cls in CLASSES.items() if cls.transient}

    assert transient == {
        "ArchiveAwayError",
        "UnavailableError",
        "DatabaseBusyError",
        "DatabaseUnavailableError",
        "ShardUnavailableError",
        "StorageFullError",
        "WorkerLostError",
    }


@pytest.mark.parametrize("session_id", ["a\nb\x1b[31m", "x" * 255, "🎉", "'; --"])
def test_an_id_in_a_message_is_short_and_escaped(session_id: str) -> None:
    message = str(errors.SessionNotFoundError(session_id))

    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 120
    assert errors.SessionNotFoundError(session_id).session_id == session_id


def test_errors_carry_their_subject() -> None:
    conflict = errors.VersionConflictError("session", 1, 2)
    refused = errors.InvalidInputError("content", "contains NUL")
    held = errors.LegalHoldError(("s-1", "s-2", "s-3"))

    assert (conflict.what, conflict.expected, conflict.actual) == ("session", 1, 2)
    assert (refused.field, str(refused)) == ("content", "content: contains NUL")
    assert held.session_ids == ("s-1", "s-2", "s-3")
    assert "and 2 more" in str(held)


def test_a_missing_extra_says_how_to_get_it() -> None:
    error = errors.MissingExtraError("PostgreSQL", "postgres")

    assert "pip install 'convstore[postgres]'" in str(error)
