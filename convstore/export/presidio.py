"""Microsoft Presidio as a finder of personal data: the extra `pii`.

Only its recognizers that go by pattern are used, and named one by one: the others need
a language model, and guess, for instance, a British health number in an American phone
number.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from convstore.errors import MissingExtraError
from convstore.export.redact import Finder, Found

_RECOGNIZERS = {
    "EmailRecognizer": "EMAIL_ADDRESS",
    "CreditCardRecognizer": "CREDIT_CARD",
    "IbanRecognizer": "IBAN_CODE",
    "IpRecognizer": "IP_ADDRESS",
    "PhoneRecognizer": "PHONE_NUMBER",
    "UsSsnRecognizer": "US_SSN",
    "CryptoRecognizer": "CRYPTO",
}
_LEAST_SCORE = 0.4


def presidio_finder() -> Finder:
    """A finder over Presidio's pattern recognizers.

    Raises:
        MissingExtraError: presidio-analyzer is not installed.
    """
    try:
        module: Any = import_module("presidio_analyzer.predefined_recognizers")
    except ImportError:
        raise MissingExtraError("redaction by presidio", "pii") from None
    recognizers = [
        (getattr(module, name)(), kind) for name, kind in _RECOGNIZERS.items()
    ]

    def find(text: str) -> Sequence[Found]:
        hits = [
            hit
            for recognizer, kind in recognizers
            for hit in recognizer.analyze(text, [kind], None) or ()
            if hit.score >= _LEAST_SCORE
        ]
        # Of overlapping finds the surer one, then the longer one.
        hits.sort(key=lambda h: (-h.score, h.start - h.end, h.start, h.entity_type))
        kept: list[Any] = []
        for hit in hits:
            if all(hit.end <= k.start or hit.start >= k.end for k in kept):
                kept.append(hit)
        kept.sort(key=lambda hit: hit.start)
        return [Found(hit.start, hit.end, hit.entity_type) for hit in kept]

    return find
