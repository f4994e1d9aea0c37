"""A store of chat messages, of whatever make, as the laboratory calls it.

Whoever wants a store to be tried writes the three verbs of `ChatStore` over it, and a
function that opens it; processes are told the function's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

from convstore.errors import ConfigError


class ChatKey(NamedTuple):
    """Whose session it is. A store that knows no tenants or users leaves them out, and
    the isolation suite says what follows from that."""

    tenant_id: str
    user_id: str
    session_id: str


class ChatStore(Protocol):
    """What is asked of a store: the verbs as an application would call it, no more.

    Whatever a verb raises is taken as a refusal: then the store has said that it did
    nothing. A verb that returns has acknowledged.
    """

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        """Add messages of the user, in order, by one call of the store if it has one
        for several. The session may not be there yet."""

    async def history(self, key: ChatKey) -> list[str]:
        """The texts of all messages, oldest first; none of a session that is not
        there."""

    async def delete(self, key: ChatKey) -> None:
        """Delete the session, so that nobody reads it any more."""


Opener = Callable[[str], AbstractAsyncContextManager[ChatStore]]
"""Opens the store at a place: the URL of a database, a folder, whatever it is told.

An empty place is made ready first, as the store does it itself."""


def load(name: str) -> Opener:
    """The opener that `module:function` names, or `path/of/a/file.py:function`.

    Raises:
        ConfigError: There is no such function.
    """
    module, _, function = name.rpartition(":")
    loaded = _of_file(Path(module)) if module.endswith(".py") else _of_name(module)
    opener = getattr(loaded, function, None)
    if not callable(opener):
        raise ConfigError(f"opener: {function!r} is no function of {module!r}")
    found: Opener = opener
    return found


def _of_name(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise ConfigError(f"opener: there is no module {module!r}") from error
        raise  # something that the module itself needs


def _of_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"opener: there is no file {str(path)!r}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
