"""Microsoft Presidio as a finder of personal data: the extra `pii`.

Only its recognizers that go by pattern are used, and named one by one: the others need
a language model, and guess, for instance, a British health number in an American phone
number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from convstore.export.privacy.findings import Finder, Found
from convstore.vocabulary.errors import MissingExtraError

VERSION = 1
"""Of what is chosen here: it goes up with every change that finds otherwise."""

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
_LIBRARIES = ("presidio-analyzer", "phonenumbers", "regex", "tldextract")
"""Those that decide: a new release of any of them may find otherwise."""


def presidio_finder() -> Finder:
    """A finder over Presidio's pattern recognizers.

    Raises:
        MissingExtraError: presidio-analyzer is not installed.
    """
    if find_spec("presidio_analyzer") is None:
        raise MissingExtraError("redaction by presidio", "pii")
    used = [f"{name}={version(name)}" for name in _LIBRARIES]
    kinds = tuple(_RECOGNIZERS.values())
    return Finder("presidio", " ".join([str(VERSION), *used]), kinds, _find)


def _find(text: str) -> Sequence[Found]:
    hits = [
        hit
        for recognizer, kind in _recognizers()
        for hit in recognizer.analyze(text, [kind], None) or ()
        if hit.score >= _LEAST_SCORE
    ]
    # Of overlapping finds the surer one, then the longer one.
    hits.sort(key=lambda h: (-h.score, h.start - h.end, h.start, h.entity_type))
    kept: list[Found] = []  # in the order of the text, so that neighbours decide
    for hit in hits:
        place = bisect_right(kept, hit.start, key=_start)
        after_last = place == 0 or kept[place - 1].end <= hit.start
        if after_last and (place == len(kept) or kept[place].start >= hit.end):
            kept.insert(place, Found(hit.start, hit.end, hit.entity_type))
    return kept


def _start(found: Found) -> int:
    return found.start


@cache
def _recognizers() -> list[tuple[Any, str]]:
    """The recognizers and their kinds; made for the first text that is not known.

    Importing them takes seconds.
    """
    module: Any = import_module("presidio_analyzer.predefined_recognizers")
    domains: Any = import_module("tldextract")
    made = [(getattr(module, name)(), kind) for name, kind in _RECOGNIZERS.items()]
    # Its own way asks the network for today's list of domains: nobody must learn that
    # there is an export, nor may it find otherwise tomorrow.
    domain = domains.TLDExtract(cache_dir=None, suffix_list_urls=())
    made[0][0].validate_result = lambda text: domain(text).fqdn != ""
    return made
