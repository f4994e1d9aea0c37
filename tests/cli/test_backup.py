"""What `convstore backup` says and ends with."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli

URL = "postgresql://chat:secret@db.example/chat"


def test_a_backup_is_told_and_taken_once(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("c-1"))

    done = cli.ok("backup", "--to", "to", "--json").json
    again = cli.run("backup", "--to", "to")

    assert Path(done["folder"]).name == "to"
    assert (cli.folder / "to" / "backup.json").is_file()
    assert (again.code, "not empty" in again.err) == (2, True)


def test_for_a_server_the_commands_are_told_without_the_password(
    tmp_path: Path,
) -> None:
    done = Cli(tmp_path, URL).run("backup", "--to", "to")

    lines = done.out.splitlines()
    assert done.code == 2
    assert lines[2].startswith("pg_dump ")
    assert lines[3].startswith("cp -R ")
    assert "secret" not in done.out + done.err
    assert not (tmp_path / "to").exists()
