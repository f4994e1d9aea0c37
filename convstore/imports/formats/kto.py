"""`kto`: an answer with a single good or bad label.

The answer is under `completion` after `prompt`, or is the end of `messages`; in
ShareGPT it is the end of `conversations`, and the label is `kto_tag`. The label becomes
`thumbs_up` or `thumbs_down` on the last assistant turn.
"""

from __future__ import annotations

from convstore.imports.chat import turns_of
from convstore.imports.exchange import KEYS, read_exchange
from convstore.imports.extras import build_session, external_id
from convstore.imports.fields import kind_of, need_list, need_object
from convstore.imports.formats.sharegpt import read_conversation
from convstore.imports.model import ImportedSession
from convstore.imports.tools import offer_tools
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import InteractionInput, Json, JsonObject, TurnInput

NAME = "kto"
_GOOD, _BAD = "thumbs_up", "thumbs_down"
_Read = tuple[list[TurnInput], frozenset[str], JsonObject]


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No answer, or a label that is not true or false. Numbers are
            refused: -1 and 0.5 mean different things to different tools.
    """
    fields = need_object("record", record)
    turns, taken, notes = _read(fields)
    label_key = "kto_tag" if "conversations" in fields else "label"
    label = fields.get(label_key)
    if not isinstance(label, bool):
        problem = f"must be true or false, not {kind_of(label)}"
        raise InvalidInputError(label_key, problem)
    answers = [seq for seq, turn in enumerate(turns, 1) if turn.role == "assistant"]
    if not answers:
        raise InvalidInputError("record", "has no assistant turn to judge")
    act = InteractionInput(
        action="feedback",
        turn_seq=answers[-1],
        feedback=_GOOD if label else _BAD,
        external_id=external_id(1),
    )
    offered, tools_key = offer_tools(turns, fields)
    return build_session(
        NAME,
        fields,
        tuple(offered),
        taken=taken | tools_key | {label_key},
        notes=notes,
        interactions=(act,),
    )


def _read(record: JsonObject) -> _Read:
    if "conversations" in record:
        turns, taken, notes = read_conversation(record)
        return turns, taken, {**notes, "layout": "sharegpt"}
    if "messages" in record:
        turns = turns_of(need_list("messages", record["messages"]))
        return turns, frozenset({"messages"}), {"layout": "messages"}
    turns, notes = read_exchange(record)
    return turns, KEYS, {"layout": "prompt", **notes}
