"""Which sessions take part: the filters on sessions, and consent."""

from __future__ import annotations

import json

from convstore.export.example import Dropped
from convstore.export.options import Filters
from convstore.imports.mapping.paths import find, locate
from convstore.vocabulary.records import Json, Session

_NO = frozenset({"no", "none", "denied", "refused", "withdrawn", "opt-out", "opt_out"})


def session_problem(session: Session, filters: Filters) -> Dropped | None:
    """Which filter keeps this session out."""
    checks = (
        ("tenant", not filters.tenants or session.tenant_id in filters.tenants),
        ("user", not filters.users or session.user_id in filters.users),
        ("since", not filters.since or session.last_activity_at >= filters.since),
        ("until", not filters.until or session.last_activity_at < filters.until),
        ("tags", set(filters.tags) <= set(session.tags)),
        ("metadata", _metadata_fits(session.metadata, filters)),
    )
    failed = next((name for name, passed in checks if not passed), None)
    return None if failed is None else Dropped(f"filter-{failed}", fault=False)


def consent_problem(session: Session, purpose: str | None) -> Dropped | None:
    """Why the people of this session do not let it be trained on.

    A stored no always counts. With a `purpose`, so does a missing yes.
    """
    consent: Json = session.metadata.get("consent")
    if _refused(consent, purpose):
        return Dropped("consent-refused", fault=False)
    if purpose is None or _granted(consent, purpose):
        return None
    return Dropped("consent-missing", fault=False)


def _refused(consent: Json, purpose: str | None) -> bool:
    if isinstance(consent, str):
        return consent.lower() in _NO
    if isinstance(consent, dict):
        asked = {"granted", "training", "export", purpose}
        return any(consent.get(name) is False for name in asked if name is not None)
    return consent is False


def _granted(consent: Json, purpose: str) -> bool:
    if isinstance(consent, dict):
        return consent.get(purpose) is True
    if isinstance(consent, list):
        return purpose in consent
    return consent is True or consent == purpose


def _metadata_fits(metadata: dict[str, Json], filters: Filters) -> bool:
    # As JSON: 1, 1.0, "1" and true are four values.
    return all(
        locate(metadata, path) is not None
        and _told(find(metadata, path)) == _told(value)
        for path, value in filters.metadata.items()
    )


def _told(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
