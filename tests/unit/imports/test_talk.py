"""What a conversation is built of: nothing that is too large refuses it."""

from __future__ import annotations

from convstore.imports.talk import Said, Talk, Vote, safe_id


def test_metadata_beyond_its_bound_is_kept_beside_the_turn() -> None:
    talk = Talk("tool", "s")
    metadata = {"small": 1, "large": "x" * 70_000}
    talk.say(Said("1", "user", "Hoi", metadata=metadata))

    session = talk.session()

    (turn,) = session.turns
    assert turn.metadata == {"small": 1}
    assert (turn.payload, turn.payload_format) == (metadata, "tool-metadata")
    assert session.left_out == ("metadata_too_large",)


def test_metadata_that_fits_needs_no_payload() -> None:
    talk = Talk("tool", "s")
    talk.say(Said("1", "user", "Hoi", metadata={"small": 1}))

    (turn,) = talk.session().turns

    assert (turn.payload, turn.payload_format) == (None, None)


def test_a_judgement_of_what_did_not_come_is_counted() -> None:
    talk = Talk("tool", "s")
    talk.say(Said("1", "user", "Hoi"))
    talk.vote(Vote("v", "2", "thumbs_up"))

    session = talk.session()

    assert session.interactions == ()
    assert session.left_out == ("feedback_without_its_turn",)


def test_what_hangs_on_a_cut_message_hangs_on_its_last_piece() -> None:
    talk = Talk("tool", "s")
    talk.say_all("m", None, [Said("", "assistant", "a"), Said("", "tool", "b")])
    talk.say(Said("n", "user", "c", parent="m"))

    turns = talk.session().turns

    assert [turn.external_id for turn in turns] == ["m", "m#1", "n"]
    assert [turn.parent_seq for turn in turns] == [None, None, None]


def test_any_text_becomes_an_id_that_the_store_takes() -> None:
    assert safe_id("x") == "x"
    assert safe_id("x" * 300).startswith("id-")
    assert safe_id("\0") != safe_id("\ud800")
