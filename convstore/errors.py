"""Every error that convstore raises; the tree is drawn in `vocabulary/errors.py`."""

from convstore.vocabulary import errors as _errors
from convstore.vocabulary.errors import *  # noqa: F403

# One list of them is kept already, as the classes themselves.
__all__ = sorted(
    name
    for name, thing in vars(_errors).items()
    if isinstance(thing, type) and issubclass(thing, _errors.ConvstoreError)
)


def __dir__() -> list[str]:
    return sorted(__all__)
