"""Puts a field that no format knows into each object of a source, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.unit.imports.tools.samples import Sample

FIELD, VALUE = "x_unknown_field", "what nobody has a place for"
Place: TypeAlias = tuple[str | int, ...]
_ROW = 3
"""Steps to a row: file, table and number."""
_TEXT = "json"
"""Stands in a place for the value of a text that is JSON."""


@dataclass(frozen=True)
class Source:
    """Files of one format by their names: a tuple is a record to a line, and what is
    called `.db` the tables of a database."""

    name: str
    files: dict[str, Any]

    @classmethod
    def of(cls, sample: Sample) -> Source:
        if sample.tables is not None:
            return cls(sample.name, {"x.db": sample.tables})
        if sample.document is not None:
            return cls(sample.name, {"x.json": sample.document})
        return cls(sample.name, {"x.jsonl": sample.records})

    def written(self, folder: Path) -> Path:
        """What is imported: the one file, or the folder of them."""
        made = [self._file(folder, name, value) for name, value in self.files.items()]
        return made[0] if len(made) == 1 else folder

    def _file(self, folder: Path, name: str, value: Any) -> Path:
        if name.endswith(".db"):
            return Sample(self.name, 0, tables=value).written(folder)
        lines = value if isinstance(value, tuple) else [value]
        (folder / name).write_text("".join(json.dumps(v) + "\n" for v in lines))
        return folder / name

    def with_field(self) -> Iterator[tuple[str, Source]]:
        """Each object's place, and the source with the field in it."""
        for place in self._records():
            yield "/".join(map(str, place)), self._with(place, FIELD, VALUE)

    def with_other_values(self) -> Iterator[tuple[str, str, Source]]:
        """Each object's place and each of its fields that is text, a number or a truth;
        and the source with an object in place of that. Columns have a kind."""
        for place in self._records():
            if len(place) == _ROW and str(place[0]).endswith(".db"):
                continue
            found = _at(self.files, place)
            for key, value in found.items():
                if isinstance(value, str | int | float) and _decoded(value) is None:
                    other = self._with(place, key, {FIELD: VALUE})
                    yield "/".join(map(str, place)), key, other

    def with_empty_texts(self) -> Iterator[tuple[str, str, Source]]:
        """Each object's place and each of its fields that is text, and the source with
        an empty text in place of that."""
        for place in self._records():
            for key, value in _at(self.files, place).items():
                if isinstance(value, str) and value:
                    yield "/".join(map(str, place)), key, self._with(place, key, "")

    def _records(self) -> Iterator[Place]:
        """The objects, but for those that hold files and tables by their names."""
        for place in _objects(self.files):
            if len(place) > 2 or (place and not str(place[0]).endswith(".db")):
                yield place

    def _with(self, place: Place, key: str, value: Any) -> Source:
        files = _with_field(self.files, place, key, value)
        for name in files:
            if name.endswith(".db"):
                files[name] = _with_columns(files[name])
        return Source(self.name, files)


def _objects(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where the objects of a value are, those in JSON as text with them."""
    if isinstance(value, dict):
        yield place
        for key, inner in value.items():
            yield from _objects(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _objects(inner, (*place, number))
    elif (inner := _decoded(value)) is not None:
        yield from _objects(inner, (*place, _TEXT))


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def _at(value: Any, place: Place) -> Any:
    for step in place:
        value = json.loads(value) if isinstance(value, str) else value[step]
    return value


def _with_field(value: Any, place: Place, key: str, told: Any) -> Any:
    """The value with a field in the object at a place."""
    if not place:
        return {**value, key: told}
    step, rest = place[0], place[1:]
    if isinstance(value, str):
        return json.dumps(_with_field(json.loads(value), rest, key, told))
    if isinstance(value, dict):
        return {**value, step: _with_field(value[step], rest, key, told)}
    assert isinstance(step, int)
    inner = _with_field(value[step], rest, key, told)
    changed = [*value[:step], inner, *value[step + 1 :]]
    return tuple(changed) if isinstance(value, tuple) else changed


def _with_columns(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables, of which the first row has every column."""
    made = {}
    for table, rows in tables.items():
        columns = dict.fromkeys(key for row in rows for key in row)
        made[table] = [{**columns, **rows[0]}, *rows[1:]]
    return made
