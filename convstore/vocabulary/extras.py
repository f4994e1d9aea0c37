"""What is said where a framework is not installed, or is another release than ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version

from convstore.vocabulary.errors import MissingExtraError

_DECLARED = re.compile(r"([\w.-]+)\s*([^;\s]*)\s*;\s*extra\s*==\s*['\"]([\w.-]+)['\"]")


@contextmanager
def needed(extra: str, feature: str) -> Iterator[None]:
    """Around the imports of what an extra brings.

    Python names the module that it did not find, which is rarely the name to install:
    `agents` on the package index is another project than the agents of OpenAI's SDK.

    Raises:
        MissingExtraError: One of them failed, as it is not there, or lacks a name that
            another release of it has.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "convstore":
            raise
        raise MissingExtraError(feature, extra, _installed(extra)) from error


def _installed(extra: str) -> str:
    """What of the extra is installed, and which releases of it are wanted."""
    try:
        declared = requires("convstore") or []
    except PackageNotFoundError:  # a checkout on the path
        return ""
    told = []
    for line in declared:
        match = _DECLARED.fullmatch(line.strip())
        if match and match[3] == extra:
            try:
                told.append(f"{match[1]} {version(match[1])}, wanted {match[2]}")
            except PackageNotFoundError:
                continue
    return "; ".join(told)
