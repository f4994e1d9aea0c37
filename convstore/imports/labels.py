"""What people said of a conversation, in the records of data sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convstore.imports.extras import external_id
from convstore.imports.fields import id_or_none
from convstore.vocabulary.records import InteractionInput, Json, JsonObject, TurnInput

KEY = "feedback"


def labels_of(
    record: JsonObject, turns: Iterable[TurnInput]
) -> Iterator[InteractionInput]:
    """A label under `feedback`, of the record or of a message, by whoever used it.

    What the words mean is the settings' to say, as of all feedback. A number has no
    scale here, and an object no form: they stay where they are.
    """
    given: list[tuple[int | None, Json]] = [(None, record.get(KEY))]
    given += [(seq, turn.metadata.get(KEY)) for seq, turn in enumerate(turns, 1)]
    for turn_seq, value in given:
        if value is None:
            continue
        label = id_or_none({KEY: value}, KEY)
        if label is not None:
            number = external_id(2 + (turn_seq or 0))
            yield InteractionInput(KEY, turn_seq, feedback=label, external_id=number)
