"""JSON merge patches (RFC 7386). Pure.

The whole algorithm is these ten lines, and change neither argument: it is no
reason for another dependency.
"""

from __future__ import annotations

from convstore.vocabulary.records import Json, JsonObject


def merged(target: Json, patch: Json) -> Json:
    """What a patch makes of a value: objects are merged, key by key, null removes a
    key, and everything else takes the place of what was there.

    New keys come last; the others keep their order. Neither argument is changed.
    """
    if not isinstance(patch, dict):
        return patch
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
