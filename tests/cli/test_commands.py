"""What each command does and prints, on both databases."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from convstore import ManualClock, StoreConfig, migration, open_store
from tests.cli.conftest import Cli

# Printed by commands that people paste into scripts: each must be JSON as a whole.
JSON_COMMANDS = [
    "db current",
    "db check",
    "db maintain",
    "sessions list",
    "sessions show s-2",
    "sessions export s-2 --as html",
    "archive plan",
    "archive plan --older-than 0s",
    "archive plan --older-than 0s --summary",
    "archive run --dry-run",
    "archive run --older-than 1000d",
    "archive verify",
    "archive recover",
    "archive list",
    "archive cat s-1",
    "hold list",
    "stats",
    "doctor",
    "export messages --to out --dry-run",
]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A home with an archived session `s-1` and a live one `s-2`, only read here."""
    cli = Cli(tmp_path_factory.mktemp("untouched"))
    cli.ok("import", "messages", cli.talks("s-1"))
    cli.ok("archive", "run", "--older-than", "0s")
    cli.ok("import", "messages", cli.talks("s-2"))
    return cli


@pytest.fixture
def filled(untouched: Cli, cli: Cli) -> Cli:
    """The same home, to be changed."""
    shutil.copytree(untouched.home, cli.home)
    cli.home.chmod(0o700)
    return cli


def test_the_whole_life_of_a_conversation(cli_on_each: Cli) -> None:
    cli = cli_on_each
    assert "at convstore_0" in cli.ok("db", "upgrade").out
    assert "3" in cli.ok("import", "messages", cli.talks("s-1", "s-2", "s-3")).out
    listed = cli.ok("sessions", "list", "--json").json
    assert {item["id"] for item in listed["items"]} == {"s-1", "s-2", "s-3"}
    assert "Drie. 🎉" in cli.ok("sessions", "show", "s-1").out

    cli.ok("hold", "place", "s-3", "--reason", "case 7", "--actor", "legal")
    planned = cli.ok("archive", "plan", "--older-than", "0s")
    assert "2 sessions: archive (idle)" in planned.out
    assert "1 session: keep (held)" in planned.out
    run = cli.ok("archive", "run", "--older-than", "0s", "--once", "--json").json
    assert (run["archived"], run["purged"]) == (2, 2)
    assert "0 faults" not in cli.ok("archive", "verify").out

    assert cli.ok("archive", "cat", "s-1").json["session"]["id"] == "s-1"
    assert "2 turns" in cli.ok("archive", "restore", "s-1").out
    assert cli.run("erase", "--session", "s-3", "--yes").code == 5
    cli.ok("hold", "release", "s-3")
    receipt = cli.ok("erase", "--session", "s-3", "--yes", "--json").json
    assert receipt["rows_deleted"]["turns"] == 2
    assert cli.run("sessions", "show", "s-3").code == 5

    cli.ok("sessions", "delete", "s-1", "--yes")
    cli.ok("export", "messages", "--to", "out")
    (data,) = (cli.folder / "out").rglob("*.jsonl")
    assert len(data.read_bytes().splitlines()) == 1
    stats = cli.ok("stats", "--json").json
    assert stats["sessions"] == {"archived": 1, "deleted": 1, "erased": 1}
    findings = cli.run("doctor", "--json").json["findings"]
    bad = {finding["check"] for finding in findings if not finding["ok"]}
    # The servers and templates of the tests are quick, and nobody's own.
    assert bad <= {"fsync", "database permissions"}


def test_a_session_is_renamed_and_tagged(filled: Cli) -> None:
    assert "Stadsarchief" in filled.ok("sessions", "rename", "s-1", "Stadsarchief").out
    filled.ok("sessions", "tag", "s-1", "urgent", "zaak")
    told = filled.ok("sessions", "tag", "s-1", "later", "--remove", "zaak", "--json")

    assert told.json["title"] == "Stadsarchief"
    assert told.json["tags"] == ["urgent", "later"]
    listed = filled.ok("sessions", "list", "--tag", "later", "--json").json
    assert [item["id"] for item in listed["items"]] == ["s-1"]
    assert filled.run("sessions", "rename", "absent", "x").code == 3


@pytest.mark.parametrize("command", JSON_COMMANDS)
def test_a_command_prints_lines_or_json(untouched: Cli, command: str) -> None:
    lines = untouched.ok(*command.split())
    done = untouched.ok(*command.split(), "--json")

    assert lines.out.strip()
    assert "\x1b" not in lines.out
    assert done.json is not None
    assert lines.err == done.err == ""


@pytest.mark.parametrize("command", ["sessions list", "archive list", "hold list"])
def test_a_table_fits_a_narrow_terminal(cli: Cli, command: str) -> None:
    long = "s-" + "0123456789" * 7
    title = "Welche Archive gibt es in dieser Stadt? 図書館はどこですか 🎉"
    cli.ok("import", "messages", cli.talks("s-1", long, title=title, user_id="u-1"))
    cli.ok("hold", "place", long, "--reason", title)
    cli.ok("archive", "run", "--older-than", "0s")

    wide = cli.ok(*command.split()).out
    narrow = cli.ok(*command.split(), COLUMNS="60").out

    assert max(map(cell_len, narrow.splitlines())) <= 60
    together = "".join(line.strip() for line in narrow.splitlines())
    assert {"sessions": "s-1", "archive": "s-1", "hold": long}[
        command.split()[0]
    ] in together
    assert title.replace(" ", "") in together.replace(" ", "")
    assert len(wide.splitlines()) < len(narrow.splitlines())
    assert cli.ok(*command.split(), COLUMNS="400").out == wide


def test_upkeep_goes_to_its_end_and_tells_of_an_open_read(cli: Cli) -> None:
    said = [{"role": "user", "content": "x" * 3_000_000}]
    cli.ok("import", "messages", cli.write("a.jsonl", {"messages": said}))
    cli.ok("archive", "run", "--older-than", "0s")
    with closing(sqlite3.connect(cli.home / "convstore.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchall()
        cli.ok("import", "messages", cli.talks("s-1"))

        kept = cli.run("db", "maintain", "--json")
        doctor = cli.run("doctor", "--json").json["findings"]

        reader.rollback()
        (free,) = reader.execute("PRAGMA freelist_count").fetchone()
    done = cli.ok("db", "maintain", "--json").json

    assert (kept.code, kept.json["wal_frames_left"] > 0) == (1, True)
    (log,) = (one for one in doctor if one["check"] == "write-ahead log")
    assert log["ok"]  # it is small yet
    assert "kept by an open read" in log["detail"]
    assert free == 0
    assert (done["pages_left"], done["wal_frames_left"]) == (0, 0)
    assert kept.json["pages_freed"] + done["pages_freed"] > 700
    assert "back to the disk" in cli.ok("db", "maintain").out


def test_the_schema_goes_up_and_down(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    assert cli.ok("db", "current", "--json").json["revision"] == migration.head()

    assert cli.ok("db", "downgrade", "base", "--yes", "--json").json["revision"] is None
    done = cli.run("sessions", "list")

    assert done.code == 7
    assert "convstore db upgrade" in done.err
    assert cli.run("doctor").code == 1


def test_a_difference_of_the_schema_is_found(cli: Cli) -> None:
    import sqlite3

    cli.ok("db", "upgrade")
    connection = sqlite3.connect(cli.home / "convstore.db")
    connection.execute("DROP TABLE leases")
    connection.close()

    done = cli.run("db", "check")

    assert done.code == 1
    assert "leases" in done.out


def test_rejected_records_are_kept_and_told_by_the_exit_code(cli: Cli) -> None:
    path = cli.talks("s-1")
    path.write_text(path.read_text() + "no json\n")

    done = cli.run("import", "messages", path, "--json")

    assert done.code == 1
    assert (done.json["sessions"], done.json["rejected"]) == (1, {"bad_json": 1})
    kept = Path(cli.folder, done.json["files"][0]["report"], "rejected.jsonl")
    assert json.loads(kept.read_text())["number"] == 2


def test_the_first_reasons_of_an_import_are_told(cli: Cli) -> None:
    path = cli.write("in.jsonl", {"messages": []}, {"chat": []})

    done = cli.run("import", "messages", path, "--quiet")

    assert done.code == 1
    assert f"{path}: record 1: messages: is empty" in done.out
    assert f"{path}: record 2: record: has none of messages" in done.out
    assert "no record of it is messages: `auto` looks for a format" in done.out


def test_a_file_that_is_not_there_is_told_before_any_is_imported(cli: Cli) -> None:
    refused = cli.run("import", "messages", cli.talks("s-1"), "absent.jsonl")

    assert refused.code == 2
    assert "absent.jsonl does not exist" in refused.err
    assert not cli.home.exists()


def test_the_format_that_was_found_is_told(cli: Cli) -> None:
    done = cli.ok("import", "auto", cli.talks("s-1"))

    assert "talks.jsonl: read as messages" in done.out


def test_no_database_is_made_for_what_nobody_can_read(cli: Cli) -> None:
    path = cli.write("in.jsonl", {"mapping": 1, "current_node": 2})

    refused = cli.run("import", "auto", path)

    assert refused.code == 2
    assert "nearest are chatgpt" in refused.err
    assert not cli.home.exists()


def test_an_import_is_rehearsed_and_undone(cli: Cli) -> None:
    path = cli.talks("s-1")

    told = cli.ok("import", "auto", path, "--dry-run", "--json").json
    assert (told["dry_run"], told["sessions"]) == (True, 1)
    assert not (cli.home / "convstore.db").exists()
    made = cli.ok(
        "import", "auto", path, "--user", "u-9", "--tag", "oud", "--json"
    ).json
    shown = cli.ok("sessions", "list", "--tag", "oud", "--json").json
    assert [each["user_id"] for each in shown["items"]] == ["u-9"]
    undone = cli.ok("import", "undo", made["batch"], "--yes", "--json").json

    nothing = {"changed": 0, "held": 0, "items": 0, "items_left": 0, "left": []}
    assert undone == {"deleted": 1, **nothing}
    assert cli.ok("sessions", "list", "--json").json["items"] == []


def test_a_conversation_is_written_as_a_page(filled: Cli) -> None:
    page = filled.ok("sessions", "export", "s-2", "--as", "html").out
    assert page.startswith("<!doctype html>")

    filled.ok("sessions", "export", "s-2", "--to", "page.md")
    refused = filled.run("sessions", "export", "s-2", "--to", "page.md")

    assert (filled.folder / "page.md").read_text().startswith("# ")
    assert refused.code == 2
    assert filled.run("sessions", "export", "s-2", "--as", "pdf").code == 2


def test_a_database_is_copied(filled: Cli) -> None:
    target = f"sqlite:///{filled.folder / 'new.db'}"

    rows = filled.ok("db", "copy", "--to", target, "--json").json["rows"]

    assert rows["sessions"] > 0
    assert filled.run("db", "copy", "--to", target).code == 2


def test_a_clean_import_leaves_no_report_behind(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    assert not (cli.home / "convstore-imports").exists()


def test_reports_of_several_files_do_not_overwrite_each_other(cli: Cli) -> None:
    path = cli.talks("s-1")

    cli.ok("import", "messages", path, path, "--report", "told")

    found = sorted(p.relative_to(cli.folder) for p in cli.folder.glob("told/*/*"))
    assert found == [Path("told/1/report.json"), Path("told/2/report.json")]


def test_standard_input_is_a_source(cli: Cli) -> None:
    text = cli.talks("s-1").read_text()

    done = cli.run("import", "messages", "-", "--json", stdin=text)

    assert (done.code, done.json["sessions"]) == (0, 1)


def test_a_session_is_forked(filled: Cli) -> None:
    made = filled.ok("sessions", "fork", "s-2", "s-3", "--at", "1", "--json").json

    assert (made["id"], made["forked_from"], made["turn_count"]) == ("s-3", "s-2", 1)
    assert "turns of s-2" in filled.ok("sessions", "fork", "s-2", "s-4").out
    assert filled.run("sessions", "fork", "s-2", "s-4").code != 0


def test_a_tenant_sees_its_own_sessions_only(cli: Cli) -> None:
    cli.options += ["--tenant", "acme"]
    cli.ok("import", "messages", cli.talks("s-1"))
    cli.options[-1] = "other"

    assert cli.ok("sessions", "list", "--json").json["items"] == []
    assert cli.run("sessions", "show", "s-1").code == 3
    assert cli.ok("archive", "plan", "--older-than", "0s").out == "nothing is due\n"


def test_an_archive_alone_makes_a_new_database(
    filled: Cli, new_cli: Callable[[str], Cli]
) -> None:
    fresh = new_cli("fresh")
    archive = filled.home / "convstore-archive"
    fresh.options += ["--archive-dir", str(archive)]

    done = fresh.ok("archive", "rebuild", "--json")

    assert done.json["sessions"] == 1
    assert "2 turns" in fresh.ok("archive", "restore", "s-1").out


def test_an_erasure_of_nobody_says_that_nothing_was_found(filled: Cli) -> None:
    lines = filled.ok("erase", "--user", "ghost", "--yes").out
    receipt = filled.ok("erase", "--user", "ghost", "--yes", "--json").json

    assert lines.startswith("nothing was found")
    assert receipt["is_empty"] is True
    assert receipt["found"]["sessions"] == 0


def test_a_receipt_can_be_read_back(filled: Cli) -> None:
    first = filled.ok("erase", "--session", "s-2", "--yes", "--json").json
    filled.ok("erase", "--user", "ghost", "--yes")

    listed = filled.ok("erase", "--list", "--json").json
    page = filled.ok("erase", "--list", "--limit", 1, "--json").json
    rest = filled.ok("erase", "--list", "--cursor", page["next_cursor"], "--json").json

    assert [item["subject"] for item in listed["items"]] == ["user", "session"]
    assert listed["items"][1] == first
    assert page["items"] + rest["items"] == listed["items"]
    assert filled.ok("erase", "--receipt", first["erasure_id"], "--json").json == first
    lines = filled.ok("erase", "--list").out.splitlines()
    assert lines[0].split() == "ID OF SESSIONS FOUND REQUESTED DONE".split()
    assert lines[2].startswith(first["erasure_id"])
    text = filled.ok("erase", "--receipt", first["erasure_id"]).out
    assert first["erasure_id"] in text
    assert "s-2" in text


def test_erasures_are_repeated_on_a_restored_backup(filled: Cli) -> None:
    backup = (filled.home / "convstore.db").read_bytes()
    filled.ok("erase", "--session", "s-2", "--yes")
    (filled.home / "convstore.db").write_bytes(backup)
    for leftover in filled.home.glob("convstore.db-*"):
        leftover.unlink()

    done = filled.ok("erase", "--replay")

    assert "1 erasures repeated" in done.out
    assert filled.run("sessions", "show", "s-2").code == 5


def test_an_archive_that_is_away_is_told_and_adopted_by_who_means_it(
    filled: Cli,
) -> None:
    (mark,) = filled.home.rglob("archive.json")
    archive = mark.parent
    archive.rename(archive.with_name("aside"))

    told = filled.run("doctor")
    erased = filled.run("erase", "--session", "s-1", "--yes", "--json")
    ran = filled.run("archive", "run", "--older-than", "0s")
    asked = filled.run("archive", "adopt")

    assert "the archive folder is away" in told.out
    assert not archive.exists()
    assert (erased.code, ran.code, asked.code) == (6, 6, 2)
    assert (erased.json["done_at"], erased.json["waits_for"]) == (None, "archive_away")
    assert len(erased.json["segments_waiting"]) == 1
    adopted = filled.run("archive", "adopt", "--yes", "--json")
    assert len(adopted.json["segments_lost"]) == 1
    filled.ok("archive", "run", "--older-than", "0s")


def test_a_damaged_segment_is_reported_with_its_session(filled: Cli) -> None:
    (segment,) = filled.home.rglob("*.jsonl.zst")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)

    done = filled.run("archive", "verify")
    doctor = filled.run("doctor")

    assert done.code == 1
    assert "default/s-1" in done.out
    assert doctor.code == 1
    assert "BAD  segments" in doctor.out


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda home: next(home.rglob("*.jsonl.zst")).unlink(), "missing"),
        (lambda home: (home / "convstore.db").chmod(0o644), "chmod 600"),
        (lambda home: (home / "convstore-archive").chmod(0o755), "chmod 700"),
    ],
)
def test_the_doctor_says_what_is_wrong_and_what_to_do(
    filled: Cli, harm: Callable[[Path], None], said: str
) -> None:
    harm(filled.home)

    done = filled.run("doctor")
    as_json = filled.run("doctor", "--json")

    assert done.code == as_json.code == 1
    assert said in done.out
    bad = [finding for finding in as_json.json["findings"] if not finding["ok"]]
    assert bad != []
    assert all(finding["remedy"] for finding in bad)


def test_an_export_is_not_written_over(filled: Cli) -> None:
    filled.ok("export", "messages,prompt", "--to", "out", "--split", "train=1")

    done = filled.run("export", "messages", "--to", "out")

    assert done.code == 4
    assert {path.name for path in (filled.folder / "out").iterdir()} == {
        "messages",
        "prompt",
    }


def test_the_doctor_says_in_words_why_retention_failed(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))
    archive = cli.home / "convstore-archive"
    archive.write_text("in the way")
    assert cli.run("archive", "run", "--older-than", "0s").code == 2
    archive.unlink()

    done = cli.run("doctor")

    assert done.code == 1
    (bad,) = [line for line in done.out.splitlines() if line.startswith("BAD")]
    assert "the archive folder or a setting could not be used" in bad
    assert "then run `convstore archive run`" in done.out
    cli.ok("archive", "run", "--older-than", "0s")
    assert "all is well" in cli.ok("doctor").out


def test_of_several_sessions_those_that_can_be_restored_are(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1", "s-2"))
    cli.ok("archive", "run", "--older-than", "0s")

    done = cli.run("archive", "restore", "s-1", "absent", "s-2")
    again = cli.run("archive", "restore", "s-1", "absent", "s-2", "--json")

    assert (done.code, again.code) == (1, 1)
    assert [line.split()[0] for line in done.out.splitlines()] == ["s-1", "s-2"]
    assert "'absent' not found" in done.err
    assert [(item["id"], item["state"]) for item in again.json["items"]] == [
        ("s-1", "active"),
        ("s-2", "active"),
    ]
    assert [fault["error"] for fault in again.json["failed"]] == ["session_not_found"]


def test_the_doctor_knows_a_file_in_place_of_the_archive(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    (cli.home / "convstore-archive").touch()

    done = cli.run("doctor")

    assert done.code == 1
    assert "BAD  archive folder:" in done.out
    assert "BAD  archive and database:" in done.out
    assert "ok   database: opens" in done.out


def test_a_folder_of_another_database_is_refused_and_told(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))
    cli.ok("archive", "run", "--older-than", "0s")
    second = Cli(cli.folder, f"sqlite:///{cli.home / 'second.db'}")
    (mark,) = cli.home.rglob("archive.json")
    second.options += ["--archive-dir", str(mark.parent)]
    second.ok("import", "messages", cli.talks("s-1"))

    refused = second.run("archive", "run", "--older-than", "0s", "--json")
    told = second.run("doctor")

    assert refused.code == 2
    assert "belongs to another database" in json.loads(refused.err)["message"]
    assert told.code == 1
    assert "the folder belongs to another database" in told.out
    assert cli.ok("archive", "verify", "--json").json["faults"] == []


def test_the_doctor_tells_of_a_clock_that_ran_ahead(cli: Cli) -> None:
    async def ahead() -> None:
        config = StoreConfig(home=cli.home)
        clock = ManualClock(datetime(2999, 1, 1, tzinfo=UTC))
        async with open_store(config, clock=clock) as store:
            await store.sessions.get_or_create("s-1")

    cli.run("db", "upgrade")
    before = {f["check"]: f["ok"] for f in cli.run("doctor", "--json").json["findings"]}
    asyncio.run(ahead())
    told = cli.run("doctor")

    assert before["clock"]
    assert told.code == 1
    assert "BAD  clock: the newest session was active at 2999-01-01" in told.out
    assert "--older-than" in told.out
