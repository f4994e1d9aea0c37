"""Wrong input: one line, an exit code that says which kind, and no traceback."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from convstore.cli import exits
from convstore.cli.root import run
from convstore.vocabulary import errors
from tests.cli.conftest import Cli

ROLES = ("user", "assistant")
WRONG = [
    ("nope", 2),
    ("sessions nope", 2),
    ("sessions list --nope", 2),
    ("sessions list --limit many", 2),
    ("sessions list --limit 0", 2),
    ("sessions list --state asleep", 2),
    ("sessions list --since yesterday", 2),
    ("sessions list --cursor nope", 2),
    ("sessions show", 2),
    ("sessions show absent", 3),
    ("sessions delete absent --yes", 3),
    ("import nope in.jsonl", 2),
    ("import messages absent.jsonl", 2),
    ("import messages empty", 2),
    ("import auto empty", 2),
    ("import map in.jsonl", 2),
    ("import map in.jsonl --map absent.toml", 2),
    ("export nope --to out", 2),
    ("export messages", 2),
    ("export messages --to out --split train=half", 2),
    ("export messages --to out --split train=0.5", 2),
    ("export messages --to out --profile nope", 2),
    ("export messages --to out --rules nope", 2),
    ("export messages --to out --since absent", 2),
    ("export messages --to out --where plan", 2),
    ("export messages --to out --active-since yesterday", 2),
    ("export messages --to out --max-per-user 0", 2),
    ("export messages --to out --max-length-bias 0.2", 2),
    ("export messages --to out --tool-calls maybe", 2),
    ("export messages --to out --redact nope", 2),
    ("export messages --to out --redaction-cache cache", 2),
    ("export messages --to out --redact regex --redaction-cache absent/cache", 2),
    ("export messages --to out --redact regex --redaction-cache in.jsonl", 2),
    ("export messages --to out --shard-mb 0", 2),
    ("export messages --to out --tokenizer absent.json", 2),
    ("export openai-sft --to out --parquet", 2),
    ("archive run --older-than 24", 2),
    ("archive run --older-than=-1h", 2),
    ("archive run --batch 0", 2),
    ("archive verify absent", 3),
    ("archive cat absent", 3),
    ("archive restore absent", 3),
    ("hold place s-1", 2),
    ("hold place absent --reason x", 3),
    ("hold release absent", 3),
    ("erase", 2),
    ("erase --list --replay", 2),
    ("erase --list --limit 0", 2),
    ("erase --list --cursor nope", 2),
    ("erase --receipt absent", 3),
    ("erase --user u --session s", 2),
    ("erase --session absent --yes", 3),
    ("db upgrade 9999", 2),
    ("db downgrade 77 --yes", 2),
    ("db downgrade -9 --yes", 2),
    ("demo absent.jsonl", 2),
]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("errors"))
    cli.ok("db", "upgrade")
    cli.write("in.jsonl", {"messages": [{"role": "user", "content": "a"}]})
    (cli.folder / "empty").mkdir()
    return cli


@pytest.mark.parametrize(("command", "code"), WRONG)
def test_wrong_input_is_one_line_and_a_code(
    migrated: Cli, command: str, code: int
) -> None:
    done = migrated.run(*command.split())

    assert done.code == code
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("convstore: ")


@pytest.mark.parametrize("group", ["", "db", "sessions", "archive", "hold"])
def test_a_group_called_alone_shows_its_help(migrated: Cli, group: str) -> None:
    migrated_options, migrated.options = migrated.options, []
    done = migrated.run(*group.split())
    shown = migrated.ok(*group.split(), "--help")
    migrated.options = migrated_options

    assert done.code == 2
    assert done.err == shown.out


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("sessions list --since yesterday", "--since"),
        ("sessions list --state asleep", "--state"),
        ("archive run --older-than 24", "--older-than"),
        ("archive run --time-budget 24", "--time-budget"),
        ("export messages --to out --split train=half", "--split"),
        ("export messages --to out --active-until soon", "--active-until"),
        ("export messages --to out --profile nope", "--profile"),
    ],
)
def test_a_wrong_value_is_told_with_its_option(
    migrated: Cli, command: str, named: str
) -> None:
    assert f"'{named}'" in migrated.run(*command.split()).err


@pytest.mark.parametrize("option", ["--home", "--url", "--archive-dir", "--tenant"])
def test_a_global_option_behind_the_command_is_told_its_place(
    migrated: Cli, option: str
) -> None:
    done = migrated.run("sessions", "list", option, "x")

    assert done.code == 2
    assert f"{option} goes before the command" in done.err


def test_an_error_is_json_where_json_is_asked_for(migrated: Cli) -> None:
    done = migrated.run("sessions", "show", "absent", "--json")

    assert (done.code, done.out) == (3, "")
    told = json.loads(done.err)
    assert told["error"] == "session_not_found"
    assert (told["transient"], told["exit_code"]) == (False, 3)


def test_a_mistyped_home_is_an_error_and_makes_nothing(cli: Cli) -> None:
    done = cli.run("sessions", "list")

    assert done.code == 2
    assert "convstore db upgrade" in done.err
    assert not cli.home.exists()


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--url", "mysql://x/y", 2),
        ("--url", "postgresql://localhost:1/x", 6),
        ("--url", "postgresql://no-such-host.invalid/x", 6),
        ("--tenant", "", 2),
    ],
)
def test_a_wrong_place_is_told(
    migrated: Cli, option: str, value: str, code: int
) -> None:
    done = migrated.run(option, value, "stats")

    assert done.code == code
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("database", "no database of this name"),
        ("user", "the user's name"),
        ("host", "no server is known by the URL's host"),
        ("port", "nothing listens at the URL's host and port"),
    ],
)
def test_which_part_of_a_url_leads_nowhere_is_told(
    cli: Cli, postgres_url: str, part: str, told: str
) -> None:
    url = make_url(postgres_url)
    wrong = {
        "database": url.set(database="no_such_database"),
        "user": url.set(username="no_such_user"),
        "host": url.set(host="no-such-host.invalid", query={}),
        "port": url.set(host="localhost", port=1, query={}),
    }[part]

    done = cli.run("--url", wrong.render_as_string(hide_password=False), "stats")

    assert done.code == (2 if part in ("database", "user") else 6)
    assert told in done.err
    assert "no_such" not in done.err
    assert len(done.err.splitlines()) == 1


def test_a_wrong_setting_of_the_environment_is_named(migrated: Cli) -> None:
    done = migrated.run("stats", CONVSTORE_POOL_SIZE="none")

    assert done.code == 2
    assert "POOL_SIZE" in done.err


def test_a_file_that_is_no_database_is_told(cli: Cli) -> None:
    cli.home.mkdir()
    (cli.home / "convstore.db").write_text("not a database " * 100)

    done = cli.run("stats")

    assert done.code == 8
    assert cli.run("doctor").code == 1


def test_a_folder_in_place_of_the_database_is_told(cli: Cli) -> None:
    (cli.home / "convstore.db").mkdir(parents=True)

    for command in ("stats", "db upgrade", "db check", "sessions list"):
        done = cli.run(*command.split())
        assert done.code == 2
        assert "convstore.db is not a file" in done.err
    assert cli.run("doctor").code == 1


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_a_closed_output_is_no_fault(migrated: Cli, output: str) -> None:
    number = {"stdout": 1, "stderr": 2}[output]
    line = f'exec "$@" {number}>&-'

    done = subprocess.run(
        ["sh", "-c", line, "sh", *migrated.argv("stats")],
        cwd=migrated.folder,
        env=migrated.environment(),
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_live_session_is_told_from_an_absent_one(migrated: Cli) -> None:
    migrated.ok("import", "messages", migrated.talks("live"))

    done = migrated.run("archive", "cat", "live")

    assert done.code == 3
    assert "not found in the archive" in done.err
    assert "live is active" in migrated.ok("archive", "restore", "live").out


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("sqlite:///damaged.db", "archive rebuild"),
        ("postgresql://localhost:1/x", "see that the server runs"),
        ("mysql://localhost/x", "correct the setting"),
    ],
)
def test_the_doctor_knows_what_to_do_about_a_database_that_does_not_open(
    migrated: Cli, url: str, remedy: str
) -> None:
    (migrated.folder / "damaged.db").write_text("not a database " * 100)

    done = migrated.run("--url", url, "doctor")

    assert done.code == 1
    assert remedy in done.out


def every_error() -> list[type[errors.ConvstoreError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ConvstoreError)
    ]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_an_exit_code_that_help_tells_of(
    kind: type[errors.ConvstoreError],
) -> None:
    code = exits.code_of(kind.__new__(kind))

    assert code != exits.OK
    assert str(code) in exits.TABLE.split()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("as_json", [False, True])
def test_an_output_that_is_full_is_told_as_such(migrated: Cli, as_json: bool) -> None:
    migrated.ok("import", "messages", migrated.talks("s-1"))
    arguments = ["sessions", "list", *(["--json"] if as_json else [])]

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            migrated.argv(*arguments),
            cwd=migrated.folder,
            env=migrated.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 6
    (line,) = done.stderr.splitlines()
    assert "no space left for the output" in line
    if as_json:
        told = json.loads(line)
        assert (told["error"], told["exit_code"]) == ("storage_full", 6)


@pytest.mark.parametrize(
    ("talks", "chars", "more"),
    [(1, 500_000, []), (400, 1_000, ["--parquet"])],
    ids=["reading", "writing"],
)
def test_an_export_that_finds_no_room_is_told_as_such(
    migrated: Cli, talks: int, chars: int, more: list[str]
) -> None:
    """The limit of a process for its files is the full disk that a test can have."""
    said = [
        [{"role": role, "content": os.urandom(chars // 2).hex()} for role in ROLES]
        for _ in range(talks)
    ]
    file = migrated.write("long.jsonl", *({"messages": one} for one in said))
    migrated.ok("import", "messages", file)

    line = 'ulimit -f 512; exec "$@"'  # 256 KiB
    command = migrated.argv("export", "messages", "--to", "out", *more)
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command],
        cwd=migrated.folder,
        env=migrated.environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 6, done.stderr
    assert done.stderr == (
        "convstore: no space left for the export; nothing was published\n"
    )
    assert not list(migrated.folder.glob("out*"))


def test_a_place_that_takes_no_export_is_told_by_a_dry_run_too(migrated: Cli) -> None:
    migrated.ok("import", "messages", migrated.talks("s-1"))
    (migrated.folder / "file").touch()

    for more in ([], ["--dry-run"]):
        done = migrated.run("export", "messages", "--to", "file/out", "--json", *more)

        assert done.code == 2
        told = json.loads(done.err)
        assert told["error"] == "invalid_input"
        assert re.match("to: .*file.* cannot be written", told["message"])


DESTROYING = [
    "erase --session s-1",
    "erase --user u-1",
    "sessions delete s-1",
    "sessions delete s-1 --no-archive",
    "db downgrade 0001",
    "db downgrade base",
]


@pytest.mark.mostly_slow("empty")
@pytest.mark.parametrize("closed", [False, True], ids=["empty", "closed"])
def test_without_a_terminal_nothing_is_destroyed_unasked(
    cli: Cli, closed: bool
) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))
    before = _rows(cli)

    for words in DESTROYING:
        line = 'exec "$@" <&-' if closed else 'exec "$@" </dev/null'
        done = subprocess.run(
            ["sh", "-c", line, "sh", *cli.argv(*words.split())],
            cwd=cli.folder,
            env=cli.environment(),
            capture_output=True,
            text=True,
        )

        assert (done.returncode, done.stdout) == (2, ""), words
        assert "--yes" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert _rows(cli) == before


@pytest.mark.parametrize("command", ["stats", "db upgrade", "doctor", "sessions list"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_place_of_the_home_is_told(
    cli: Cli, command: str, below: str
) -> None:
    cli.write("notes.txt", 1)
    cli.options = ["--home", f"{cli.folder / 'notes.txt'}{below}"]

    done = cli.run(*command.split())

    assert (done.code, done.out) == (2, "")
    assert "notes.txt is a file; name a folder" in done.err


NEED_A_DATABASE = [
    "sessions list",
    "sessions show s-1",
    "sessions delete s-1 --yes",
    "import messages {file}",
    "export messages --to {out}",
    "archive plan",
    "archive run --once --older-than 0s",
    "archive verify",
    "archive recover",
    "archive rebuild",
    "archive list",
    "archive cat s-1",
    "archive restore s-1",
    "hold place s-1 --reason x",
    "hold release s-1",
    "hold list",
    "erase --session s-1 --yes",
    "erase --replay",
    "erase --list",
    "erase --receipt x",
    "db maintain",
    "worker",
    "stats",
    "db check",
]


@pytest.mark.mostly_slow("ahead")
@pytest.mark.parametrize("schema", ["behind", "ahead", "empty"])
def test_every_command_refuses_another_schema_and_changes_nothing(
    cli: Cli, capsys: pytest.CaptureFixture[str], schema: str
) -> None:
    """In this process: 63 of their own would take a minute."""
    cli.ok("import", "messages", cli.talks("s-1"))
    if schema == "ahead":
        with closing(sqlite3.connect(cli.home / "convstore.db")) as connection:
            for change in (
                "convstore_version SET version_num = 'convstore_9999'",
                "schema_info SET oldest_code = 'convstore_9999'",
            ):
                connection.execute(f"UPDATE {change}")
            connection.commit()
    else:
        revision = "0001" if schema == "behind" else "base"
        cli.ok("db", "downgrade", revision, "--yes")
    before = _rows(cli)

    for words in NEED_A_DATABASE:
        filled = words.format(file=cli.talks("s-2"), out=cli.folder / "out")
        code = run([*cli.options, *filled.split()])

        told = capsys.readouterr()
        assert (code, told.out) == (7, ""), words
        remedy = "upgrade convstore" if schema == "ahead" else "convstore db upgrade"
        assert remedy in told.err, words

    assert run([*cli.options, "doctor"]) == 1
    assert "BAD  schema" in capsys.readouterr().out
    assert _rows(cli) == before
    assert not (cli.folder / "out").exists()


def _rows(cli: Cli) -> list[str]:
    """The schema and all rows of the database.

    Virtual tables keep theirs in ordinary ones beside them; some cannot be read whole.
    """
    with closing(sqlite3.connect(cli.home / "convstore.db")) as connection:
        made = connection.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        rows = list(map(repr, made))
        for kind, name, sql in made:
            if kind == "table" and not sql.startswith("CREATE VIRTUAL TABLE"):
                found = connection.execute(f'SELECT * FROM "{name}"')
                rows += [f"{name} {row!r}" for row in found]
        return rows
