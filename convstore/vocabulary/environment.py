"""The names of the environment that are settings, and those that only look like it.

A misspelt setting that is passed over in silence is the worst kind: retention then
follows a rule that nobody wrote. So a name of ours that is none is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches

from convstore.vocabulary.errors import ConfigError

PREFIX = "CONVSTORE_"
_NOT_SETTINGS = ("CONVSTORE_TEST_",)


def check_names(environment: Iterable[str], known: Mapping[str, type | None]) -> None:
    """Refuse names of the environment that begin like settings and are none.

    Args:
        environment: The names, in any case.
        known: The settings by name, without prefix, in capitals; of one that has parts
            the class that holds them.

    Raises:
        ConfigError: Names each one, and the nearest that is known.
    """
    everything = sorted(_all(known))
    unknown = [
        name
        for name in sorted(set(map(str.upper, environment)))
        if name.startswith(PREFIX)
        and not name.startswith(_NOT_SETTINGS)
        and not _is_known(name.removeprefix(PREFIX), known)
    ]
    if unknown:
        told = "; ".join(_told(name, everything) for name in unknown)
        raise ConfigError(f"settings: {told}")


def _told(name: str, everything: list[str]) -> str:
    near = get_close_matches(name, everything, 1, 0.6)
    return f"{name} is not a setting" + (f": is {near[0]} meant?" if near else "")


def _all(known: Mapping[str, type | None]) -> Iterable[str]:
    for name, parts in known.items():
        yield PREFIX + name
        if parts is not None:
            yield from (f"{PREFIX}{name}__{part.upper()}" for part in _parts(parts))


def _is_known(name: str, known: Mapping[str, type | None]) -> bool:
    head, *rest = name.split("__")
    if head not in known:
        return False
    if not rest:
        return True
    parts = known[head]
    if parts is None:
        return False
    by_name = {part.upper(): f for part, f in _parts(parts).items()}
    if (field := by_name.get(rest[0])) is None:
        return False
    # Below it only a field of any number of names goes on: overrides by tenant or tag.
    return len(rest) == 1 or field.default_factory is not MISSING


def _parts(parts: type) -> dict[str, Field[object]]:
    assert is_dataclass(parts)
    return {field.name: field for field in fields(parts)}
