"""The whole way of an export: determinism, splits, atomic folders, since, refusals."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from convstore.errors import (
    AlreadyExistsError,
    ExportRefusedError,
    InvalidInputError,
)
from convstore.export.formats import FORMATS
from convstore.export.options import Caps, ExportOptions, Filters
from convstore.export.stages.job import run_export
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import (
    Chat,
    archived,
    documents,
    one_exchange,
    read_rows,
    tree,
)

SPLIT = ExportOptions(splits={"train": 0.7, "validation": 0.3})


def test_the_order_of_the_documents_does_not_change_a_byte(tmp_path: Path) -> None:
    shuffled = documents()
    random.Random(7).shuffle(shuffled)

    run_export(documents(), list(FORMATS), tmp_path / "a", SPLIT)
    run_export(shuffled, list(FORMATS), tmp_path / "b", SPLIT)

    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_live_and_archived_sessions_give_the_same_bytes(tmp_path: Path) -> None:
    stored = [archived(document) for document in documents()]

    run_export(documents(), list(FORMATS), tmp_path / "live", SPLIT)
    run_export(stored, list(FORMATS), tmp_path / "archived", SPLIT)

    assert tree(tmp_path / "live") == tree(tmp_path / "archived")


def test_rows_are_in_order_of_their_id_and_not_of_their_session(tmp_path: Path) -> None:
    run_export(documents(), ["kto"], tmp_path / "out")

    told = [row["convstore"] for row in read_rows(tmp_path / "out")]
    ids = [origin["row_id"] for origin in told]
    sessions = [origin["session_id"] for origin in told]
    assert ids == sorted(ids)
    assert sessions != sorted(sessions)


def test_one_format_is_the_folder_and_several_are_folders_in_it(tmp_path: Path) -> None:
    run_export(documents(), ["kto"], tmp_path / "one")
    run_export(documents(), ["kto", "prompt"], tmp_path / "two")

    assert (tmp_path / "one" / "manifest.json").is_file()
    assert tree(tmp_path / "two" / "kto").keys() == tree(tmp_path / "one").keys()
    names = [path.name for path in (tmp_path / "two").iterdir()]
    assert sorted(names) == ["kto", "prompt"]


def test_the_manifest_and_the_sums_name_every_file(tmp_path: Path) -> None:
    run_export(documents(), ["openai-sft"], tmp_path / "out", SPLIT)

    found = tree(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    listed = {file["path"]: file["sha256"] for file in manifest["files"]}
    sums = (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()
    assert listed == {
        path: sha
        for path, sha in found.items()
        if path not in ("manifest.json", "SHA256SUMS")
    }
    assert dict(reversed(line.split("  ")) for line in sums) == {  # type: ignore[misc]
        **listed,
        "manifest.json": found["manifest.json"],
    }
    assert sum(file.get("rows", 0) for file in manifest["files"]) == 2 * 40


def test_new_sessions_move_no_old_row_to_another_split(tmp_path: Path) -> None:
    run_export(documents(30), ["kto"], tmp_path / "before", SPLIT)
    run_export(documents(60), ["kto"], tmp_path / "after", SPLIT)

    before, after = (splits_of(tmp_path / name) for name in ("before", "after"))
    assert before.items() <= after.items()
    assert set(before.values()) == {"train", "validation"}


def test_sessions_that_share_a_root_share_a_split(tmp_path: Path) -> None:
    forks = [
        one_exchange(n, metadata={"root_session_id": f"root-{n % 4}"})
        for n in range(40)
    ]

    run_export(forks, ["kto"], tmp_path / "out", SPLIT)

    found: dict[str, set[str]] = {}
    for session, split in splits_of(tmp_path / "out").items():
        found.setdefault(f"root-{int(session[2:]) % 4}", set()).add(split)
    assert all(len(splits) == 1 for splits in found.values())


@pytest.mark.parametrize("split_by", ["user", "tenant"])
def test_all_of_a_user_or_a_tenant_can_share_a_split(
    tmp_path: Path, split_by: str
) -> None:
    given = [
        one_exchange(n, user_id=f"u-{n % 20}", tenant_id=f"t-{n % 20}")
        for n in range(60)
    ]
    whole = replace(SPLIT, split_by=split_by)  # type: ignore[arg-type]

    run_export(given, ["kto"], tmp_path / "apart", SPLIT)
    run_export(given, ["kto"], tmp_path / "whole", whole)

    def of_each(folder: Path) -> list[set[str]]:
        found: dict[int, set[str]] = {}
        for session, split in splits_of(folder).items():
            found.setdefault(int(session[2:]) % 20, set()).add(split)
        return list(found.values())

    assert any(len(splits) == 2 for splits in of_each(tmp_path / "apart"))
    assert all(len(splits) == 1 for splits in of_each(tmp_path / "whole"))
    assert len(set(splits_of(tmp_path / "whole").values())) == 2


def test_sessions_of_nobody_are_dealt_one_by_one(tmp_path: Path) -> None:
    given = [one_exchange(n, user_id=None) for n in range(40)]
    by_user = replace(SPLIT, split_by="user")

    run_export(given, ["kto"], tmp_path / "out", by_user)

    assert len(set(splits_of(tmp_path / "out").values())) == 2


def test_one_prompt_is_never_in_two_splits(tmp_path: Path) -> None:
    same = []
    for number in range(20):
        chat = Chat(f"s-{number}")
        chat.user("The same question?")
        chat.up(chat.assistant(f"Answer {number}."))
        same.append(chat.document())

    report = run_export(same, ["kto"], tmp_path / "out", SPLIT).formats[0]

    assert sorted(report.splits.values())[0] == 0
    assert report.dropped["prompt-in-another-split"] + report.rows == 20


def splits_of(folder: Path) -> dict[str, str]:
    return {
        json.loads(line)["convstore"]["session_id"]: file.name.split("-")[0]
        for file in (folder / "data").glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    }


def test_exact_duplicates_are_exported_once(tmp_path: Path) -> None:
    twins = [replace_id(one_exchange(1), f"copy-{n}") for n in range(3)]

    report = run_export(twins, ["kto"], tmp_path / "out").formats[0]

    assert (report.rows, report.dropped) == (1, {"duplicate": 2})


def replace_id(document: SessionDocument, session_id: str) -> SessionDocument:
    return replace(document, session=replace(document.session, id=session_id))


def test_caps_are_counted_under_their_names(tmp_path: Path) -> None:
    options = ExportOptions(caps=Caps(per_user=3, per_session=1))

    report = run_export(documents(), ["kto"], tmp_path / "out", options).formats[0]

    assert report.rows == 15
    assert report.dropped == {"cap-per-user": 45}


@pytest.mark.parametrize(
    ("filters", "reason", "left"),
    [
        (Filters(users=("u-1",)), "filter-user", 12),
        (Filters(tenants=("other",)), "filter-tenant", 0),
        (Filters(tags=("vip",)), "filter-tags", 0),
        (Filters(metadata={"app": "x"}), "filter-metadata", 0),
        (Filters(consent="research"), "consent-missing", 0),
    ],
)
def test_filters_on_sessions_name_their_reason(
    tmp_path: Path, filters: Filters, reason: str, left: int
) -> None:
    options = ExportOptions(filters=filters)

    report = run_export(documents(), ["kto"], tmp_path / "out", options).formats[0]

    assert report.rows == left
    assert report.dropped == {reason: 60 - left}


@pytest.mark.parametrize("consent", [False, "withdrawn", {"training": False}])
def test_a_refused_consent_needs_no_filter(tmp_path: Path, consent: object) -> None:
    refused = [one_exchange(1, metadata={"consent": consent}), one_exchange(2)]

    run_export(refused, ["kto", "convstore"], tmp_path / "out")

    assert len(read_rows(tmp_path / "out" / "kto")) == 1
    assert len(read_rows(tmp_path / "out" / "convstore")) == 2


@pytest.mark.parametrize(
    "consent", [True, "research", ["ads", "research"], {"research": True}]
)
def test_a_consent_is_granted_in_each_way_it_is_stored(
    tmp_path: Path, consent: object
) -> None:
    options = ExportOptions(filters=Filters(consent="research"))
    granted = [one_exchange(1, metadata={"consent": consent})]

    assert run_export(granted, ["kto"], tmp_path / "out", options).rows == 1


def test_a_target_that_holds_anything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()

    with pytest.raises(AlreadyExistsError):
        run_export(documents(), ["kto"], tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]
    run_export(documents(), ["kto"], tmp_path / "other")
    with pytest.raises(AlreadyExistsError):
        run_export(documents(), ["kto"], tmp_path / "other")


def test_a_strangers_partial_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "precious").touch()

    with pytest.raises(AlreadyExistsError):
        run_export(documents(), ["kto"], tmp_path / "out")

    assert (tmp_path / "out.partial" / "precious").exists()


def test_an_empty_target_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    assert run_export(documents(), ["kto"], tmp_path / "out").rows == 60
    assert not list(tmp_path.glob("*.partial"))


def test_a_dry_run_reports_the_same_and_writes_nothing(tmp_path: Path) -> None:
    dry = replace(SPLIT, dry_run=True)

    planned = run_export(documents(), ["kto", "prompt"], tmp_path / "out", dry)

    assert list(tmp_path.iterdir()) == []
    done = run_export(documents(), ["kto", "prompt"], tmp_path / "out", SPLIT)
    assert [(f.rows, f.splits, f.dropped, f.warnings) for f in planned.formats] == [
        (f.rows, f.splits, f.dropped, f.warnings) for f in done.formats
    ]


def test_too_many_faults_refuse_the_export(tmp_path: Path) -> None:
    broken = Chat("broken")
    broken.assistant("I speak first.")
    broken.up(1)
    options = ExportOptions(max_drop_rate=0.2)

    with pytest.raises(ExportRefusedError, match=r"kto: 50\.0%"):
        run_export(
            [one_exchange(1), broken.document()], ["kto"], tmp_path / "x", options
        )

    assert list(tmp_path.iterdir()) == []


def test_filters_and_duplicates_are_no_faults(tmp_path: Path) -> None:
    options = ExportOptions(max_drop_rate=0.0, filters=Filters(users=("u-1",)))

    assert run_export(documents(), ["kto"], tmp_path / "out", options).rows == 12


def test_since_writes_what_is_new_and_names_what_is_gone(tmp_path: Path) -> None:
    first, second = documents(20), documents(30)[5:]
    run_export(first, ["kto"], tmp_path / "first")
    options = ExportOptions(since=tmp_path / "first")

    report = run_export(second, ["kto"], tmp_path / "second", options).formats[0]

    fresh = {r["convstore"]["session_id"] for r in read_rows(tmp_path / "second")}
    assert fresh == {f"s-{n}" for n in range(20, 30)}
    assert (report.rows, report.tombstones) == (10, 5)
    gone = {r["convstore"]["row_id"] for r in read_rows(tmp_path / "first")} - {
        r["convstore"]["row_id"] for r in rows_of_whole(second, tmp_path)
    }
    lines = (tmp_path / "second" / "provenance" / "tombstones.jsonl").read_text()
    assert {json.loads(line)["row_id"] for line in lines.splitlines()} == gone


def rows_of_whole(
    found: list[SessionDocument], folder: Path
) -> list[dict[str, dict[str, str]]]:
    run_export(found, ["kto"], folder / "whole")
    return read_rows(folder / "whole")


def test_since_a_second_time_gives_nothing(tmp_path: Path) -> None:
    run_export(documents(20), ["kto"], tmp_path / "a")
    run_export(
        documents(30), ["kto"], tmp_path / "b", ExportOptions(since=tmp_path / "a")
    )

    again = run_export(
        documents(30), ["kto"], tmp_path / "c", ExportOptions(since=tmp_path / "b")
    )

    assert (again.rows, again.formats[0].tombstones) == (0, 0)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    run_export(documents(3), ["kto"], tmp_path / "a")
    options = ExportOptions(since=str(tmp_path / "a"))  # type: ignore[arg-type]

    assert run_export(documents(4), ["kto"], tmp_path / "b", options).rows == 1


def test_since_another_format_is_refused(tmp_path: Path) -> None:
    run_export(documents(3), ["prompt"], tmp_path / "a")

    with pytest.raises(InvalidInputError, match="since"):
        run_export(
            documents(3), ["kto"], tmp_path / "b", ExportOptions(since=tmp_path / "a")
        )


def test_shards_hold_all_rows_and_know_their_number(tmp_path: Path) -> None:
    options = ExportOptions(shard_bytes=5_000)

    run_export(documents(), ["openai-sft"], tmp_path / "out", options)

    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    total = len(names)
    assert total > 1
    assert names == [f"train-{i:05}-of-{total:05}.jsonl" for i in range(total)]
    for name in names:
        data = (tmp_path / "out" / "data" / name).read_bytes()
        sidecar = (tmp_path / "out" / "provenance" / name).read_bytes()
        assert data.count(b"\n") == sidecar.count(b"\n") > 0


def test_progress_tells_documents_and_then_rows(tmp_path: Path) -> None:
    told: list[Progress] = []

    run_export(documents(), ["kto"], tmp_path / "out", None, told.append)

    counts = {"documents": 60, "rows": 60, "dropped": 0}
    assert told[0] == Progress("gather", "sessions", 60, 60, counts)
    assert told[-1] == Progress("write", "rows", 60, 60, counts)


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(splits={"train": 0.5}),
        ExportOptions(splits={"../x": 1.0}),
        ExportOptions(rules=("R99",)),
        ExportOptions(max_drop_rate=2.0),
        ExportOptions(caps=Caps(per_user=0)),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path, options: ExportOptions
) -> None:
    with pytest.raises(InvalidInputError):
        run_export(documents(1), ["kto"], tmp_path / "out", options)

    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="'nonsense' is not known"):
        run_export(documents(1), ["nonsense"], tmp_path / "out")


def test_nothing_to_export_is_a_valid_empty_export(tmp_path: Path) -> None:
    report = run_export([], ["kto"], tmp_path / "out")

    assert report.rows == 0
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert [file.name for file in (tmp_path / "out" / "data").iterdir()] == [
        "train-00000-of-00001.jsonl"
    ]


def test_what_was_reported_can_be_listed_by_id(tmp_path: Path) -> None:
    chat = Chat("s-9")
    chat.user("Hi?")
    chat.act("report", turn_seq=chat.assistant("Harmful."), reason="secret")
    options = ExportOptions(quarantine=True)

    run_export([*documents(3), chat.document()], ["kto"], tmp_path / "out", options)

    listed = tmp_path / "out" / "rejected_rows" / "quarantine.jsonl"
    assert json.loads(listed.read_bytes()) == {
        "tenant_id": "default",
        "session_id": "s-9",
        "turn_id": "2",
        "feedback_id": "1",
        "action": "report",
    }
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert "rejected_rows/quarantine.jsonl" in {f["path"] for f in manifest["files"]}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SPLIT, split_salt="x"), "split_salt"),
        (replace(SPLIT, filters=Filters(users=("u-1",))), "filters"),
        (replace(SPLIT, rules=("R1",)), "rules"),
        (replace(SPLIT, redact="regex"), "redact"),
    ],
)
def test_what_is_new_is_told_by_the_same_options_only(
    tmp_path: Path, other: ExportOptions, named: str
) -> None:
    run_export(documents(), ["kto"], tmp_path / "old", SPLIT)

    with pytest.raises(InvalidInputError, match=f"other options: {named}"):
        run_export(
            documents(),
            ["kto"],
            tmp_path / "new",
            replace(other, since=tmp_path / "old"),
        )

    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_the_title_and_the_size_of_shards_may_change_between_exports(
    tmp_path: Path,
) -> None:
    run_export(documents(20), ["kto"], tmp_path / "old", SPLIT)
    other = replace(SPLIT, title="More", shard_bytes=1, since=tmp_path / "old")

    report = run_export(documents(30), ["kto"], tmp_path / "new", other)

    assert (report.rows, report.formats[0].tombstones) == (10, 0)


def test_rules_that_make_no_rows_of_a_format_are_refused(tmp_path: Path) -> None:
    options = ExportOptions(rules=("R1", "R17"))

    with pytest.raises(InvalidInputError, match="none makes rows of stepwise: R11, R"):
        run_export(documents(), ["kto", "stepwise"], tmp_path / "out", options)

    assert not list(tmp_path.iterdir())


def test_an_export_of_nothing_says_so(tmp_path: Path) -> None:
    report = run_export([], ["kto"], tmp_path / "out").formats[0]

    assert report.rows == 0
    assert report.warnings[0].startswith("no rows")


@pytest.mark.parametrize(
    "filters",
    [Filters(min_chars=9, max_chars=8), Filters(min_score=4.0, max_score=3.9)],
)
def test_bounds_that_exclude_each_other_are_refused(
    tmp_path: Path, filters: Filters
) -> None:
    with pytest.raises(InvalidInputError, match=r"filters\.max_.*is below min_"):
        run_export([], ["kto"], tmp_path / "out", ExportOptions(filters=filters))


def test_options_that_a_former_release_did_not_know_were_as_usual(
    tmp_path: Path,
) -> None:
    run_export(documents(20), ["kto"], tmp_path / "old", SPLIT)
    manifest = tmp_path / "old" / "manifest.json"
    told = json.loads(manifest.read_bytes())
    del told["options"]["tool_calls"], told["options"]["filters"]["models"]
    manifest.write_text(json.dumps(told))
    later = replace(SPLIT, since=tmp_path / "old")

    report = run_export(documents(30), ["kto"], tmp_path / "new", later)

    assert (report.rows, report.formats[0].tombstones) == (10, 0)
    other = replace(later, tool_calls="text")
    with pytest.raises(InvalidInputError, match="tool_calls"):
        run_export(documents(30), ["kto"], tmp_path / "x", other)
