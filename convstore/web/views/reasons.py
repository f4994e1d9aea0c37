"""Why rows are left out, in words. The page on formats has each with its rule."""

from __future__ import annotations

_GROUPS = {
    "people said both good and bad of the same answer": "contradiction",
    "another row has the same words": "duplicate",
    "another row has nearly the same words": "near-duplicate",
    "both answers are the same": "equal-answers",
    "the scores are too close to each other": "small-gap",
    "a score between good and bad": "middle-score",
    "neither answer was better": "tie",
    "somebody reported it": "reported",
    "given on another text than the stored one": "stale-feedback",
    "the session's consent says no": "consent-refused",
    "nobody gave consent": "consent-missing",
    "nobody has answered yet": "no-answer",
    "the judged turn is no answer": "not-an-answer",
    "code took the turn back": "taken-back",
    "neither answer was kept": "not-kept",
    "no other answer is worse": "no-wrong-sibling",
    "not every step was judged": "steps-undecided",
    "a fork that has not gone on: its source gives the rows": "shared-beginning",
    "left out so that length does not decide": "length-balance",
    "the same prompt is in another split": "prompt-in-another-split",
    "the branch ends before an answer": "branch-cut",
    "a picture that is only linked to": "image-not-stored",
    "pictures need Parquet": "images-need-parquet",
    "a choice or judgement that cannot be placed": "unequal-context unknown-turn "
    "unknown-node graph-without-question node-without-text",
    "a signal with nothing to stand on": "no-user-turn no-prompt satisfaction-unclear "
    "session-rating-without-score",
    "the answer was cut off, or is an error page": "failed-generation error-text "
    "unfinished-stream",
    "the answer holds the judgement itself": "feedback-text",
    "the answer names its model, or speaks as one": "identity",
    "chat templates refuse or distort it": "starts-with-assistant two-user-turns "
    "system-in-the-middle empty-turn unknown-role",
    "a call without a result, or a result without a call": "call-without-result "
    "result-without-call double-result",
    "parts that cannot be told as text or calls": "not-text call-malformed "
    "call-arguments-not-json tools-malformed",
    "tools were called whose definitions were not stored": "calls-without-definitions",
    "an edit that corrects nothing": "correction-in-prompt edit-asks-a-question "
    "whitespace-edit empty-edit edit-without-text",
    "nothing is left of the conversation to imitate": "disliked-first-answer "
    "disliked-only",
    "a part says that it is a picture, and is none": "image-malformed",
    "this format cannot hold it": "not-alternating images-are-lost text-beside-call "
    "more-than-one-message calls-in-answer calls-are-lost tool-calls "
    "results-in-answer needs-json-profile",
    "a filter of this export keeps it out": "filter-tenant filter-user filter-since "
    "filter-until filter-tags filter-metadata filter-label filter-score filter-model "
    "filter-language filter-finish-reason filter-min-chars filter-max-chars",
    "a cap of this export keeps it out": "cap-per-prompt cap-per-session cap-per-user",
}

REASONS = {name: words for words, names in _GROUPS.items() for name in names.split()}
"""By their names in reports and manifests."""
