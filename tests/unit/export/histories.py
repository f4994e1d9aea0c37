"""Sessions of every kind that the rules know, as many as asked for."""

from __future__ import annotations

from collections.abc import Callable

from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import STARS, WEATHER_TOOLS, Chat


def histories(count: int) -> list[SessionDocument]:
    """Twelve kinds of session in turn, no two alike, in three languages."""
    kinds = (*[_judged] * 3, _tools, *[_chosen] * 2, *[_edited] * 2, *[_rated] * 2)
    return [_history(n, (*kinds, _reasoned, _greeted)[n % 12]) for n in range(count)]


def _history(number: int, tell: Callable[[Chat, int], None]) -> SessionDocument:
    language = ("en", "nl", "zh")[number % 3]
    chat = Chat(f"s-{number}", user_id=f"u-{number % 7}", language=language)
    tell(chat, number)
    return chat.document()


def _judged(chat: Chat, n: int) -> None:
    chat.turn("system", f"Be brief {n}.")
    chat.user(f"Question number {n}: what colour is the sky at noon?")
    first = chat.assistant(f"It is blue {n}. \u2028 🎉 123 café")
    (chat.down if n % 12 == 2 else chat.up)(first)
    chat.user(f"And at night, tell me {n}?")
    second = chat.assistant("Black " * (1 + n % 5) + str(n))
    (chat.down if n % 12 == 1 else chat.up)(second)


def _tools(chat: Chat, n: int) -> None:
    question = chat.user(f"Weather in Paris, number {n}, please?", tools=WEATHER_TOOLS)
    for city, call_id, said in (("Paris", "c1", "Sunny"), ("Lyon", "c2", "Rainy")):
        chat.call(
            "get_weather",
            f'{{"city": "{city}"}}',
            call_id,
            parent_seq=question,
            tools=WEATHER_TOOLS,
        )
        chat.turn("tool", said, tool_call_id=call_id, name="get_weather")
        answer = chat.assistant(f"{said}, I think, {n}.", tools=WEATHER_TOOLS)
        (chat.up if city == "Paris" else chat.down)(answer)


def _chosen(chat: Chat, n: int) -> None:
    question = chat.user(f"Tell a fact about number {n}, if you know one?")
    one = chat.assistant(f"Fact {n}. " + "long " * (n % 9))
    other = chat.assistant(f"{n} is even or odd, and that is all", parent_seq=question)
    best, worst = (one, other) if n % 2 else (other, one)
    chat.act("choose", chosen=best, rejected=(worst,), shown={"order": [one, other]})


def _edited(chat: Chat, n: int) -> None:
    chat.user(f"Translate sentence {n} to Dutch for me?")
    answer = chat.assistant(f"Zin {n}" + " met woorden" * (n % 4))
    chat.act("edit", turn_seq=answer, content=f"Zin {n}, beter" + " nu" * (n % 7))


def _rated(chat: Chat, n: int) -> None:
    question = chat.user(f"Rate me {n}: what is {n}+{n}?")
    right = chat.assistant(f"{2 * n} is the answer here")
    wrong = chat.assistant(f"{2 * n + 1}" + " or so" * (n % 5), parent_seq=question)
    chat.act("feedback", turn_seq=right, score=5.0, metadata=STARS)
    chat.act("feedback", turn_seq=wrong, score=1.0, metadata=STARS)


def _reasoned(chat: Chat, n: int) -> None:
    question = chat.user(f"Which is larger, 9.8 or 9.11? ({n})")
    chat.assistant(f"9.8 {n}")
    steps = {"r": f"The fraction of 9.8 is 0.8. {n}", "x": "So 9.11.", "y": "So 9.8."}
    nodes = [
        {"id": key, "text": text, "parent": None if key == "r" else "r"}
        for key, text in steps.items()
    ]
    chat.graph({"nodes": nodes, "edges": []}, turn_seq=question)
    for key, label in (("r", "correct"), ("x", "incorrect"), ("y", "correct")):
        chat.act("feedback", node_id=key, feedback=label)
    chat.act("inject", node_id="r", content=f"Compare tenths: 8 > 1. {n}")


def _greeted(chat: Chat, n: int) -> None:
    chat.user("Same greeting for all of you out there?")
    answer = chat.assistant(f"Hi {n % 4}")
    (chat.up if n % 24 < 12 else chat.down)(answer)
