"""One person's data: who there is, and everything of one of them."""

from __future__ import annotations

import json
import stat

from tests.cli.conftest import Cli


def test_a_persons_whole_data_is_one_file(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1", "s-2"), "--user", "u-1")
    cli.ok("archive", "run", "--older-than", "0s")
    cli.ok("import", "messages", cli.talks("s-3"), "--user", "u-1")
    cli.ok("import", "messages", cli.talks("s-4"), "--user", "u-2")
    to = cli.folder / "u-1.json"

    listed = cli.ok("users", "list", "--json").json["items"]
    told = cli.ok("users", "export", "u-1", "--to", to, "--json").json
    again = cli.run("users", "export", "u-1", "--to", to)

    data = json.loads(to.read_text("utf-8"))
    assert [(one["user_id"], one["session_count"]) for one in listed] == [
        ("u-1", 3),
        ("u-2", 1),
    ]
    assert told["sessions"] == 3
    ids = [document["session"]["id"] for document in data["sessions"]]
    assert sorted(ids) == ["s-1", "s-2", "s-3"]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert again.code != 0
    assert not list(cli.folder.glob("*.part"))


def test_doctor_tells_that_retention_never_ran(cli: Cli) -> None:
    old = {"session_id": "s-1", "messages": [{"role": "user", "content": "x"}]}
    cli.ok("import", "messages", cli.write("old.jsonl", old))
    never = {"CONVSTORE_RETENTION__STALE_AFTER_S": "0"}

    waiting = cli.run("doctor", "--json", **never).json["findings"]
    cli.ok("archive", "run", "--older-than", "0s")
    ran = cli.run("doctor", "--json", **never).json["findings"]

    def of(findings: list[dict[str, object]]) -> dict[str, object]:
        return next(f for f in findings if f["check"] == "last run of retention")

    assert not of(waiting)["ok"]
    assert "never ran" in str(of(waiting)["detail"])
    assert of(ran)["ok"]
