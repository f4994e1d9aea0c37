"""Tool calls told as text, for models whose chat template knows none. Pure.

The tags are those that the templates of many open models print themselves, and that
function-calling data sets use: `<tools>`, `<tool_call>`, `<tool_response>`. Results
become what the user says next, so that users and assistants still take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from convstore.export.example import Candidate, Dropped, Example, Message
from convstore.export.formats.pictures import IMAGES
from convstore.export.options import ToolCalls
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json

_OFFER = (
    "# Tools\n\nYou may call functions. Their signatures are within <tools></tools>, "
    "one a line:\n<tools>\n{}\n</tools>\n\nTo call one, write a JSON object of its "
    'name and arguments within <tool_call></tool_call>:\n<tool_call>\n{{"name": …, '
    '"arguments": …}}\n</tool_call>'
)


def caller(how: ToolCalls) -> Callable[[Example], Candidate] | None:
    """What happens to a row before any format tells it; None leaves it as it is."""
    return {"keep": None, "drop": _without_calls, "text": calls_as_text}[how]


def calls_as_text(row: Example) -> Candidate:
    """The row with every call, result and definition as text.

    `Dropped` where a result would be part of the answer: it is nothing that the model
    said, and trainers would make it learn it.
    """
    if not row.tools and not _uses_tools(row):
        return row
    prompt, answer = _spoken(row.prompt), _spoken(row.answer)
    rejected = _spoken(row.rejected)
    if any(message["role"] != "assistant" for message in (*answer, *rejected)):
        return Dropped("results-in-answer", fault=False)
    silent = _moved(row)
    if row.tools:
        offer = _OFFER.format("\n".join(_line(tool) for tool in row.tools))
        if prompt and prompt[0]["role"] == "system":
            known = f"{prompt[0]['content']}\n\n{offer}"
            prompt = ({**prompt[0], "content": known}, *prompt[1:])
        else:
            prompt = ({"role": "system", "content": offer}, *prompt)
            silent = tuple(place + 1 for place in silent)
    return replace(
        row,
        prompt=prompt,
        answer=answer,
        rejected=rejected,
        tools=None,
        silent=silent,
    )


def _without_calls(row: Example) -> Candidate:
    return Dropped("tool-calls", fault=False) if _uses_tools(row) else row


def _uses_tools(row: Example) -> bool:
    return any(
        "tool_calls" in message or message["role"] == "tool"
        for message in (*row.prompt, *row.answer, *row.rejected)
    )


def _spoken(messages: Iterable[Message]) -> tuple[Message, ...]:
    told: list[Message] = []
    for message in messages:
        plain = _plain(message)
        if _joins(told[-1] if told else None, plain):
            told[-1] = _joined(told[-1], plain)
        else:
            told.append(plain)
    return tuple(told)


def _moved(row: Example) -> tuple[int, ...]:
    """Where the silent messages are once neighbouring results have become one."""
    place, places = -1, list[int]()
    previous: Message | None = None
    for message in (*row.prompt, *row.answer):
        plain = _plain(message)
        place += not _joins(previous, plain)
        places.append(place)
        previous = plain
    return tuple(places[number] for number in row.silent)


def _joins(previous: Message | None, message: Message) -> bool:
    """Two user messages in a row are a result and what follows it."""
    return previous is not None and previous["role"] == message["role"] == "user"


def _joined(one: Message, other: Message) -> Message:
    said = {"role": "user", "content": f"{one['content']}\n{other['content']}"}
    images = [*one.get(IMAGES, ()), *other.get(IMAGES, ())]
    return {**said, IMAGES: images} if images else said


def _plain(message: Message) -> Message:
    if message["role"] == "tool":
        result = f"<tool_response>\n{message['content']}\n</tool_response>"
        return {"role": "user", "content": result}
    calls = message.get("tool_calls")
    if not calls:
        return message
    said = [message["content"]] if message["content"].strip() else []
    said += [f"<tool_call>\n{_line(c['function'])}\n</tool_call>" for c in calls]
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**plain, "content": "\n".join(said)}


def _line(value: Json) -> str:
    return dumps(value).decode()
