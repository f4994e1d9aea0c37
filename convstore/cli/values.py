"""Values as people write them on a command line: durations, shares, conditions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from convstore.vocabulary.clock import SystemClock
from convstore.vocabulary.durations import seconds_of


def duration_s(option: str, text: str) -> float:
    """Seconds of a duration such as `24h`, `0s`, `30m`, `1d12h`; a unit is needed.

    Raises:
        BadParameter: It is none.
    """
    duration = seconds_of(text)
    if duration is None:
        raise bad_option(option, f"{text!a} is no duration such as 24h, 30m or 0s")
    return duration


def share(option: str, text: str) -> tuple[str, float]:
    """Name and share of a split such as `train=0.9`."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise bad_option(option, f"{text!a} is no split such as train=0.9") from None


def setting(option: str, text: str) -> tuple[str, Any]:
    """Key and value of `key=value`; a value that is JSON is meant as such.

    Raises:
        BadParameter: There is no key, or no `=`.
    """
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise bad_option(option, f"{text!a} is no condition such as plan=free")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def moment(option: str, text: str) -> datetime:
    """A time such as 2026-01-31 or 2026-01-31T12:00:00+01:00; UTC unless it says."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise bad_option(option, f"{text!a} is no time such as 2026-01-31") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def since_moment(option: str, text: str) -> datetime:
    """As `moment`, or how long ago, such as 7d."""
    ago = seconds_of(text)
    if ago is None:
        return moment(option, text)
    return SystemClock().now() - timedelta(seconds=ago)


def bad_option(option: str, problem: str) -> typer.BadParameter:
    """The error of a wrong value, which names the option as a person wrote it."""
    return typer.BadParameter(problem, param_hint=f"'{option}'")
