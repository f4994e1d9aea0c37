"""Whatever field a source has: it is kept, or counted by its name."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

from convstore.imports.mapping.file import Mapping
from convstore.imports.mapping.records import mapped_format
from convstore.imports.material import LeftOut
from convstore.imports.model import ImportedSession
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import FORMATS, Format, load_format
from convstore.vocabulary.documents import encode_document
from tests.unit.imports.tools.samples import SAMPLES
from tests.unit.imports.unknown.fields import FIELD, VALUE, Source
from tests.unit.imports.unknown.sources import MAPPING, SOURCES, WHOLE

ALL = [*map(Source.of, SAMPLES), *SOURCES]
LINKS = re.compile(
    r".*(id|Id|uuid|Uuid|hash|parent|type|role|kind|event|currentId)|author|sender|"
    r"dotted_order|is_user|is_system|isBot|isCreatedByUser|recursive|current_node"
)


# What says which kind of file, record or step it is, and when it was.
KINDS = re.compile(r"format|from|state|.*_at")


def format_of(name: str) -> Format:
    if name == "map":
        return mapped_format(Mapping.model_validate(MAPPING))
    return load_format(name)


def read(source: Source, folder: Path) -> tuple[str, list[str]]:
    """All that sessions hold, and what was left out by kind."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kept, kinds = "", []
    for item in read_sessions(format_of(source.name), source.written(folder)):
        if isinstance(item, Imported):
            kept += told(item.session)
            kinds += item.session.left_out
        else:
            told_as = (
                item.kind if isinstance(item, LeftOut) else f"rejected:{item.code}"
            )
            kinds.append(told_as)
    return kept, kinds


def told(session: ImportedSession) -> str:
    """What a session holds; records show neither payloads nor values of items."""
    hidden = [turn.payload for turn in session.turns]
    hidden += [item.value for item in session.items]
    if session.document is not None:
        hidden.append(encode_document(session.document))
    return f"{session}{hidden}"


@pytest.mark.parametrize("name", [*FORMATS, "map"])
def test_a_field_that_no_format_knows_is_kept_or_counted_by_name(
    name: str, tmp_path: Path
) -> None:
    """One at a time, in each object of each source of the format."""
    whole = WHOLE.get(name, {})
    sources = [source for source in ALL if source.name == name]
    needed = set()
    for place, changed in (pair for one in sources for pair in one.with_field()):
        kept, kinds = read(changed, tmp_path / "x")
        if (FIELD in kept and VALUE in kept) or any(FIELD in kind for kind in kinds):
            continue
        # Then it must be in an object that is counted as a whole.
        reasons = {
            p for p, kind in whole.items() if fnmatch(place, p) and kind in kinds
        }
        assert reasons, f"{place}: {FIELD} is dropped unsaid"
        needed |= reasons

    assert sources
    assert needed == set(whole)


@pytest.mark.parametrize("name", [*FORMATS, "map"])
def test_a_field_with_a_value_of_another_kind_is_kept_or_counted(
    name: str, tmp_path: Path
) -> None:
    """But for those that say what stands where: of the others the source is right."""
    lost = []
    for source in (source for source in ALL if source.name == name):
        usual = Counter(read(source, tmp_path / "x")[1])
        for place, key, changed in source.with_other_values():
            if LINKS.fullmatch(key):
                continue
            kept, kinds = read(changed, tmp_path / "x")
            whole = any(fnmatch(place, p) for p in WHOLE.get(name, {}))
            named = any(kind.endswith(f".{key}") for kind in kinds)
            more = Counter(kinds) - usual
            if not (VALUE in kept or more or named or whole):
                lost.append(f"{place}: {key}")

    assert lost == []


@pytest.mark.parametrize("name", [*FORMATS, "map"])
def test_a_tool_that_gave_back_nothing_has_answered(name: str, tmp_path: Path) -> None:
    """Without its answer the call would be open, and what follows no use to anybody."""
    lost = []
    for source in (source for source in ALL if source.name == name):
        usual = answers(source, tmp_path / "x")
        for place, key, changed in source.with_empty_texts() if usual else ():
            if LINKS.fullmatch(key) or KINDS.fullmatch(key):
                continue
            if len(answers(changed, tmp_path / "x")) < len(usual):
                lost.append(f"{place}: {key}")

    assert lost == []


def answers(source: Source, folder: Path) -> list[str | None]:
    """The calls that a tool has answered."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return [
        turn.tool_call_id
        for item in read_sessions(format_of(source.name), source.written(folder))
        if isinstance(item, Imported)
        for turn in item.session.turns
        if turn.role == "tool"
    ]


@pytest.mark.parametrize("name", [*FORMATS, "map"])
def test_the_id_of_a_judgement_does_not_name_who_made_it(
    name: str, tmp_path: Path
) -> None:
    """An erasure takes names out of acts, and leaves the ids that they are known by."""
    naming = []
    for source in (source for source in ALL if source.name == name):
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        (tmp_path / "x").mkdir()
        for item in read_sessions(format_of(name), source.written(tmp_path / "x")):
            if isinstance(item, Imported):
                naming += [
                    act.external_id
                    for act in item.session.interactions
                    if act.actor_kind == "human"
                    and act.actor_id is not None
                    and names(act.external_id or "", act.actor_id)
                ]

    assert naming == []


def names(external_id: str, actor_id: str) -> bool:
    return re.search(rf"\b{re.escape(actor_id)}\b", external_id) is not None
