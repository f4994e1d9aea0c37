"""Options of a command in groups: each is a dataclass, whose fields are the options.

Typer knows one function with a parameter for each option. A command with many declares
them where they belong together, and is given each group as one object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """The command as typer is to see it: in place of each parameter that is a
    dataclass, the fields of that, in their order."""
    hints = get_type_hints(command, include_extras=True)
    shape = signature(command)
    groups = {
        name: kind
        for name, kind in hints.items()
        if name in shape.parameters and isinstance(kind, type) and is_dataclass(kind)
    }
    shown: list[Parameter] = []
    for name, parameter in shape.parameters.items():
        if name in groups:
            shown += _fields(groups[name])
        else:
            shown.append(_option(name, hints[name], parameter.default))

    @wraps(command)
    def call(**given: Any) -> R:
        for name, kind in groups.items():
            of_group = [field.name for field in fields(kind)]
            given[name] = kind(**{option: given.pop(option) for option in of_group})
        return command(**given)

    call.__signature__ = shape.replace(parameters=shown)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in shown}
    return call


def _fields(kind: Any) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [_option(f.name, hints[f.name], f.default) for f in fields(kind)]


def _option(name: str, hint: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)
