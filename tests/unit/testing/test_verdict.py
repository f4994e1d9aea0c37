"""What was told by writers, compared with what is there."""

from __future__ import annotations

import pytest

from convstore.testing.chat_verdict import Call, Notes, Verdict, judge, text_of

FIRST = Call("s/1", ("1.a", "1.b"), "done")
SECOND = Call("s/1", ("2.a", "2.b"), "done")
OTHER = Call("s/2", ("3.a", "3.b"), "done")
REFUSED = Call("s/2", ("4.a", "4.b"), "refused")
OPEN = Call("s/2", ("5.a", "5.b"))
CALLS = [FIRST, SECOND, OTHER, REFUSED, OPEN]


def told(*names: str) -> Verdict:
    return judge(CALLS, [text_of(name) for name in names])


WHOLE = ("1.a", "1.b", "3.a", "3.b", "2.a", "2.b")


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (WHOLE, {}),
        ((*WHOLE, "5.a", "5.b"), {}),  # nobody knows what became of it: both are right
        (("1.a", "1.b", "2.a", "2.b"), {"lost": 2}),
        ((*WHOLE, "2.b"), {"doubled": 1, "torn": 0}),
        (("2.a", "2.b", "3.a", "3.b", "1.a", "1.b"), {"disordered": 2}),
        ((*WHOLE, "5.b"), {"half": 1}),
        (("1.a", "3.a", "1.b", "3.b", "2.a", "2.b"), {"torn": 2}),
        ((*WHOLE, "4.a", "4.b"), {"denied": 1}),
        ((*WHOLE, "9.a"), {"stray": 1}),
    ],
)
def test_what_is_wrong_is_counted(
    names: tuple[str, ...], wrong: dict[str, int]
) -> None:
    assert told(*names) == Verdict(acknowledged=6, **wrong)


def test_a_text_that_was_changed_is_a_stray_one() -> None:
    texts = [text_of(name) for name in WHOLE]
    texts[0] = texts[0][:-1]

    assert judge(CALLS, texts) == Verdict(acknowledged=6, stray=1)


def test_a_call_ends_as_it_was_told_and_errors_are_counted_by_name() -> None:
    notes = Notes()
    for state in ("tried", "done"):
        notes.note("s/1", ["1.a"], state)
    for state in ("tried", "TimeoutError"):
        notes.note("s-2/1", ["2.a"], state)
    notes.note("s/2", ["3.a"], "tried")

    assert [call.state for call in notes.of("s")] == ["done", "tried"]
    assert [call.state for call in notes.of("s-2")] == ["refused"]
    assert notes.refusals == {"TimeoutError": 1}
