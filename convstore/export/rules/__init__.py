"""The rules that turn feedback into rows, by name."""

from __future__ import annotations

from convstore.export.rules import labels, pairs, sessions, steps
from convstore.export.rules.base import Rule
from convstore.vocabulary.errors import InvalidInputError

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        labels.R1,
        labels.R2,
        labels.R3,
        labels.R4,
        pairs.R5,
        pairs.R6,
        pairs.R7,
        pairs.R8,
        labels.R9,
        labels.R10,
        steps.R11,
        steps.R12,
        steps.R13,
        steps.R14,
        steps.R15,
        sessions.R16,
        sessions.R17,
        sessions.CONVERSATION,
        sessions.PROMPT,
        sessions.TREE,
        sessions.DOCUMENT,
    )
}


def pick_rules(names: tuple[str, ...]) -> list[Rule]:
    """The rules of these names, in the order of the table.

    Raises:
        InvalidInputError: No rule has this name.
    """
    unknown = [name for name in names if name not in RULES]
    if unknown:
        raise InvalidInputError("rules", f"no rule is called {unknown[0]!a}")
    return [rule for rule in RULES.values() if rule.name in names]
