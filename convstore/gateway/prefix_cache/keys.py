"""The key under which a gateway finds the upstream session of a conversation.

Clients send the whole message list with each request, and reformat assistant replies
on the way; so the key covers the inputs only. The next request's prefix is this
request's list: store under `prefix_key(scope, messages)`, look up under
`prefix_key(scope, messages[:-1])`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from convstore.messages.text import flatten
from convstore.vocabulary.codec import canonical
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import DEFAULT_TENANT, Json

INPUT_ROLES = frozenset({"system", "developer", "user"})
_VERSION = "convstore-prefix-1"


def prefix_key(
    scope: str,
    messages: Sequence[Mapping[str, Json]],
    *,
    tenant_id: str = DEFAULT_TENANT,
    branch: str | None = None,
    secret: bytes = b"",
) -> str:
    """A key of 64 hexadecimal digits for the inputs of a conversation.

    Equal inputs of one tenant and scope give equal keys; content cannot forge a
    separator, because what is hashed is canonical JSON. Neither scope nor content can
    be read back from the key.

    Args:
        scope: Who asks, usually the API key. It is only hashed, never kept. Not empty:
            callers without one must not share upstream sessions.
        messages: Chat messages; only `system`, `developer` and `user` ones count.
        tenant_id: The tenant of the key.
        branch: Tells apart two conversations with the same inputs and other answers,
            such as the id of the last answer.
        secret: A server key; with it nobody else can compute keys.

    Raises:
        InvalidInputError: The scope is empty or a message is no object.
    """
    if not scope:
        raise InvalidInputError("scope", "is empty")
    inputs = []
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidInputError(f"messages[{number}]", "must be an object")
        role = message.get("role")
        if role in INPUT_ROLES:
            inputs.append([role, flatten(message.get("content"))])
    hashed = hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()
    body = canonical([_VERSION, tenant_id, hashed, branch, inputs])
    if secret:
        return hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hashlib.sha256(body).hexdigest()
