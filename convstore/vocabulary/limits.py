"""How large, how many, how long: every bound of the store, with its default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on input and on waiting. Raising one raises memory, never changes results.

    Attributes:
        max_turn_bytes: UTF-8 bytes of one turn, payloads included. 16 MiB holds a
            message with a few inlined images.
        max_attachment_bytes: Bytes of one attachment.
        max_inline_bytes: Characters of one picture or file that stays in its turn as a
            data URL or Base64; a longer one becomes an attachment by itself, which the
            part names. By default as many as a turn may have: none does.
        max_metadata_bytes: JSON bytes of one `metadata`, `slots` or `shown` value.
        max_graph_state_bytes: JSON bytes of one graph state.
        max_state_bytes: JSON bytes of what one adapter keeps of a session.
        max_item_bytes: JSON bytes of the value of one item.
        max_checkpoint_bytes: Bytes of one value of a checkpoint, one element of a list
            in it, or its body; its lists have at most 1,000,000 elements.
        max_json_depth: Levels of nesting in any JSON value. At most 200: the encoder
            stops at 254, and a session document adds a few levels of its own.
        max_turns_per_call: Turns in one `append_many`.
        max_tags: Tags of one session.
        max_page: Items of one page or window.
        busy_timeout_s: Seconds that a write waits for a place in the queue or for the
            database's write lock before `DatabaseBusyError`.
        queue_size: Writes that may wait for one commit lane; more make callers wait.
        batch_size: Writes of one commit.
        batch_bytes: Payload bytes of one commit, so that large turns do not pile up
            behind one transaction.
    """

    max_turn_bytes: int = 16 * 1024 * 1024
    max_attachment_bytes: int = 16 * 1024 * 1024
    max_inline_bytes: int = 16 * 1024 * 1024
    max_metadata_bytes: int = 64 * 1024
    max_graph_state_bytes: int = 16 * 1024 * 1024
    max_state_bytes: int = 16 * 1024 * 1024
    max_item_bytes: int = 16 * 1024 * 1024
    max_checkpoint_bytes: int = 16 * 1024 * 1024
    max_json_depth: int = 64
    max_turns_per_call: int = 10_000
    max_tags: int = 64
    max_page: int = 10_000
    busy_timeout_s: float = 30.0
    queue_size: int = 2_048
    batch_size: int = 512
    batch_bytes: int = 8 * 1024 * 1024
