"""How formats read: record after record, bad ones set aside, never a stop. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json

Parse = Callable[[Json], ImportedSession | Iterable[ImportedSession | LeftOut]]


def base_name(path: str) -> str:
    """The last part of a path inside a folder or zip."""
    return path.rpartition("/")[2]


def each_record(
    material: Material, names: Iterable[str], parse: Parse
) -> Iterator[Found]:
    """The sessions of every record of these files."""
    for name in names:
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
                continue
            try:
                made = parse(record.value)
                found = [made] if isinstance(made, ImportedSession) else list(made)
            except (InvalidInputError, CorruptionError) as error:
                told = str(error)
                yield material.rejected(name, record.number, told, record.data)
                continue
            yield from found
