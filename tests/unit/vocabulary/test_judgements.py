"""What labels and scores mean, by a policy."""

from typing import Any

import pytest

from convstore import ConfigError, InvalidInputError, StoreConfig
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.records import InteractionInput

READING = Reading(FeedbackPolicy())


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("thumbs_up", "good"),
        ("thumbs-up", "good"),
        ("Thumbs Up", "good"),
        ("thumbsUp", "good"),
        (" up ", "good"),
        ("👍🏿", "good"),
        ("+1", "good"),
        ("thumbs_down", "bad"),
        ("👎\ufe0f", "bad"),
        ("-1", "bad"),
        ("1", None),
        ("partially correct", "neutral"),
        ("hallucinated", None),
        ("", None),
        (None, None),
    ],
)
def test_a_label_is_read_however_it_is_spelled(
    label: str | None, meaning: str | None
) -> None:
    assert READING.meaning(label) == meaning


@pytest.mark.parametrize(
    ("score", "metadata", "rating"),
    [
        (0.0, {}, 0.0),
        (0.25, {}, 0.25),
        (1.0, {}, 1.0),
        (1.1, {}, None),
        (-1.0, {}, None),
        (5.0, {}, None),
        (4.0, {"scale": [1, 5]}, 0.75),
        (1.0, {"scale": [5, 1]}, 1.0),
        (1.0, {"scale": "1..5"}, None),
        (1.0, {"scale": [1, 1]}, None),
        (None, {"scale": [1, 5]}, None),
    ],
)
def test_a_score_is_brought_to_nought_to_one(
    score: float | None, metadata: dict[str, Any], rating: float | None
) -> None:
    act = InteractionInput("feedback", score=score, metadata=metadata)

    assert READING.rating(act) == rating


def test_a_surface_goes_before_an_action_and_both_before_the_general_scale() -> None:
    scales = {"stars": (1.0, 5.0), "rate": (0.0, 10.0)}
    reading = Reading(FeedbackPolicy(scale=(-1.0, 1.0), scales=scales))

    given = [("rate", "stars"), ("rate", "web"), ("feedback", None)]
    assert [
        reading.scale(InteractionInput(action, surface=surface))
        for action, surface in given
    ] == [(1.0, 5.0), (0.0, 10.0), (-1.0, 1.0)]


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"scale": (1.0, 1.0)}, "scale"),
        ({"scales": {"web": (0.0, float("inf"))}}, "scales.web"),
        ({"neutral": ("up",)}, "neutral"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(
    policy: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Reading(FeedbackPolicy(**policy))
    assert caught.value.field == field

    with pytest.raises(ConfigError, match="FEEDBACK__"):
        StoreConfig(feedback=FeedbackPolicy(**policy))


def test_the_environment_names_scales_and_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVSTORE_FEEDBACK__SCALES", '{"stars": [1, 5]}')
    monkeypatch.setenv("CONVSTORE_FEEDBACK__POSITIVE", '["goed"]')
    monkeypatch.setenv("CONVSTORE_RETENTION__EXPORTS", '["kto"]')
    policy = StoreConfig().feedback

    assert StoreConfig().retention.exports == ("kto",)
    assert (policy.scales, policy.positive) == ({"stars": (1.0, 5.0)}, ("goed",))
