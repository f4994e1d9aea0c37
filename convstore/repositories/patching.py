"""What the noun `sessions` changes in part, and keeps what others wrote meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from convstore.db.codec.inputs import encode_tags, encode_title
from convstore.db.patching import Patch, PatchSession, find_state, state_field
from convstore.db.unit import Row
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_optional_int, decode_json, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import UNSET, Json, JsonObject, Session, Unset


class Sessions:
    """The verbs of `sessions` that merge; named like the noun, because traces call a
    read by its verb: `Sessions.adapter_state`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def patch(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Json] | None = None,
        adapter_state: Mapping[str, Mapping[str, Json] | None] | None = None,
        title: str | Unset | None = UNSET,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
        expected_version: int | None = None,
    ) -> Session:
        """Change only what is mentioned, and keep what others wrote meanwhile.

        `metadata` and each adapter's state are JSON merge patches (RFC 7386), carried
        out on what is stored under the session's lock: an object is merged key by key,
        None removes a key, any other value (a list too) takes the place of what was
        there. A patch that changes nothing leaves the version as it is. It does not
        count as activity. An archived session is restored first.

        Args:
            metadata: The patch of the application's own object.
            adapter_state: By name, the patch of what an adapter keeps of the session
                outside its row; None removes it whole. At most 64 names, each up to
                `max_state_bytes`. Read with `adapter_state`.
            title: None lets the next user turn give the title.
            add_tags: Behind those that are there.
            expected_version: Change only if the session is at this version.

        Raises:
            VersionConflictError: It is at another one; both are on the error.
            InvalidInputError: A patch cannot be stored, or what it makes is too large;
                names the field, and nothing was changed.
        """
        patch = encode_patch(
            self._scope.limits,
            {} if isinstance(title, Unset) else {"title": encode_title(title)},
            metadata,
            adapter_state,
            add_tags,
            remove_tags,
        )
        return await self._scope.write(
            PatchSession(
                self._scope.key(check_id("session_id", session_id)),
                patch,
                self._scope.limits,
                self._scope.now(),
                check_optional_int("expected_version", expected_version),
                self._scope.user_id,
            )
        )

    async def adapter_state(self, session_id: str, name: str) -> JsonObject | None:
        """What an adapter keeps of a session; None when that is nothing.

        Read on demand: it is in no list, window or cache.

        Raises:
            SessionNotFoundError: No such session of this tenant (and user).
        """
        check_id("name", name)
        key = self._scope.key(check_id("session_id", session_id))
        return await self._scope.live(
            session_id, lambda c, _: find_state(c, key, name), is_nothing=_is_none
        )


def _is_none(found: object) -> bool:
    return found is None


def encode_patch(
    limits: Limits,
    values: Row,
    metadata: Mapping[str, Json] | None,
    adapter_state: Mapping[str, Mapping[str, Json] | None] | None,
    add_tags: object = (),
    remove_tags: object = (),
) -> Patch:
    """What to change of a session; `values` are columns as they are stored.

    Raises:
        InvalidInputError: Names the field.
    """
    states: dict[str, str | None] = {}
    if adapter_state is not None and not isinstance(adapter_state, Mapping):
        raise InvalidInputError("adapter_state", "must be an object of objects")
    for name, state in (adapter_state or {}).items():
        check_id("adapter_state", name)
        if state is None:
            states[name] = None
        else:
            states[name] = _patch_text(
                state_field(name), state, limits.max_state_bytes, limits
            )
    return Patch(
        values,
        None
        if metadata is None
        else _patch_text("metadata", metadata, limits.max_metadata_bytes, limits),
        states,
        tuple(decode_json(encode_tags(limits, add_tags))),
        tuple(decode_json(encode_tags(limits, remove_tags))),
    )


def _patch_text(field: str, patch: object, most: int, limits: Limits) -> str:
    if not isinstance(patch, dict):
        raise InvalidInputError(field, f"must be a dict, not {type(patch).__name__}")
    return encode_json(field, patch, most, limits.max_json_depth)
