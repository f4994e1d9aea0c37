"""`convstore export` with each filter and cap, through real processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convstore import Choice, StoreConfig, open_store
from tests.cli.conftest import Cli


async def fill(cli: Cli, numbers: range) -> None:
    """Sessions of two users and two plans, judged in each way."""
    config = StoreConfig(home=cli.home)
    async with open_store(config) as store:
        for n in numbers:
            name, user = f"s-{n}", f"u-{n % 2}"
            await store.sessions.get_or_create(
                name,
                user_id=user,
                language=("en", "nl")[n % 2],
                tags=["old"] if n > 1 else ["new"],
                metadata={"plan": ("free", "paid")[n // 2], "seats": n},
            )
            asked = await store.turns.append(name, role="user", content=f"What, {n}?")
            answers = [
                await store.turns.append(
                    name,
                    role="assistant",
                    content=f"{text} {n}",
                    parent_seq=asked.seq,
                    model=model,
                    finish_reason="stop" if n else "done",
                )
                for text, model in (("So it is, at length:", "m-a"), ("No.", "m-b"))
            ]
            for answer, score in zip(answers, (5.0, 1.0), strict=True):
                await store.interactions.record(
                    name,
                    action="feedback",
                    turn_seq=answer.seq,
                    score=score,
                    actor_id=user,
                    metadata={"scale": [1, 5]},
                )
            word = "correct" if n else "thumbs_up"
            await store.interactions.record(
                name,
                action="feedback",
                turn_seq=answers[0].seq,
                feedback=word,
                actor_id="u-9",
            )
            await store.interactions.record(
                name,
                action="choose",
                choice=Choice(answers[0].seq, (answers[1].seq,)),
                actor_id=user,
            )


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("export"))
    cli.ok("db", "upgrade")
    asyncio.run(fill(cli, range(2, 4)))
    done = cli.ok("archive", "run", "--older-than", "0s", "--once", "--json").json
    assert done["purged"] == 2
    asyncio.run(fill(cli, range(2)))
    return cli


def counted(cli: Cli, name: str, *arguments: str) -> tuple[int, dict[str, int]]:
    """Rows and losses of a dry run."""
    done = cli.ok("export", name, "--to", "out", "--dry-run", "--json", *arguments)
    (told,) = done.json["formats"]
    return told["rows"], told["dropped"]


@pytest.mark.parametrize(
    ("name", "arguments", "rows", "reason"),
    [
        ("preference", "", 4, None),
        ("preference", "--source live", 2, None),
        ("preference", "--source archive", 2, None),
        ("preference", "--user u-0", 2, "filter-user"),
        ("preference", "--user u-0 --user u-1", 4, None),
        ("preference", "--tag old", 2, "filter-tags"),
        ("preference", "--where plan=free", 2, "filter-metadata"),
        ("preference", "--where seats=3", 1, "filter-metadata"),
        ("preference", "--where seats=true", 0, "filter-metadata"),
        ("messages", "--language nl", 2, "filter-language"),
        ("messages", "--model m-b", 0, "filter-model"),
        ("preference", "--where plan=paid --where seats=0", 0, "filter-metadata"),
        ("preference", "--active-until 2020-01-01", 0, "filter-until"),
        ("preference", "--active-since 2020-01-01", 4, None),
        ("preference", "--max-per-user 1", 2, "cap-per-user"),
        ("preference", "--consent research", 0, "consent-missing"),
        ("preference", "--rules R7", 4, None),
        ("preference", "--rules R7 --min-gap 4.5", 0, "small-gap"),
        ("kto", "", 8, None),
        ("kto", "--language nl", 4, "filter-language"),
        ("kto", "--model m-a", 4, "filter-model"),
        ("kto", "--label correct --rules R1", 3, "filter-label"),
        ("kto", "--min-score 4 --rules R4", 4, "filter-score"),
        ("kto", "--max-score 2 --rules R4", 4, "filter-score"),
        ("kto", "--finish-reason stop", 6, "filter-finish-reason"),
        ("kto", "--min-chars 6", 4, "filter-min-chars"),
        ("kto", "--max-chars 20", 4, "filter-max-chars"),
        ("kto", "--max-per-session 1", 4, "cap-per-session"),
        ("kto", "--max-per-prompt 1", 4, "cap-per-prompt"),
    ],
)
def test_an_export_can_be_narrowed(
    chats: Cli, name: str, arguments: str, rows: int, reason: str | None
) -> None:
    found, dropped = counted(chats, name, *arguments.split())

    assert found == rows
    if reason is not None:
        assert reason in dropped


def test_what_redaction_found_is_kept_where_it_is_told(chats: Cli) -> None:
    options = ["--redact", "regex", "--redaction-cache", "finds.cache"]

    first = counted(chats, "kto", *options)

    held = (chats.folder / "finds.cache").read_bytes()
    assert counted(chats, "kto", *options) == first
    assert first[0] == 8
    assert (chats.folder / "finds.cache").read_bytes() == held


def test_more_faults_than_allowed_are_refused_and_leave_nothing(cli: Cli) -> None:
    said: list[dict[str, Any]] = [
        {"role": "assistant", "content": "I begin."},
        {"role": "user", "content": "No, I do."},
        {"role": "assistant", "content": "All right."},
    ]
    cli.ok("import", "messages", cli.write("in.jsonl", {"messages": said}))

    refused = cli.run("export", "messages", "--to", "out", "--max-drop-rate", "0.5")

    assert refused.code == 5
    assert "at most 50.0% may be" in refused.err
    assert [path.name for path in cli.folder.glob("out*")] == []
    assert cli.ok("export", "messages", "--to", "out").code == 0


def test_the_script_of_the_checkout_is_the_same_command(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1", "s-2"))
    cli.ok("export", "messages", "prompt", "--to", "one", "--title", "Talks")
    script = Path(__file__).resolve().parents[2] / "scripts" / "export_rlhf.py"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, script, *arguments],
            cwd=cli.folder,
            env=cli.environment(CONVSTORE_HOME=str(cli.home)),
            capture_output=True,
            text=True,
            timeout=600,
        )

    done = run("messages", "prompt", "--to", "two", "--title", "Talks")
    again = run("messages", "prompt", "--to", "two")

    assert (done.returncode, again.returncode) == (0, 4)
    assert "exists already" in again.stderr
    for name in ("messages", "prompt"):
        one, two = (cli.folder / to / name / "SHA256SUMS" for to in ("one", "two"))
        assert two.read_bytes() == one.read_bytes()


def test_progress_can_be_read_by_machines(chats: Cli) -> None:
    done = chats.ok("export", "kto", "--to", "told", "--progress-json", "--json")

    told = [json.loads(line) for line in done.err.splitlines()]
    assert {line["phase"] for line in told} == {"gather", "write"}
    assert told[0].keys() == {"phase", "unit", "done", "total", "counts"}
    assert told[-1]["done"] == told[-1]["total"] > done.json["formats"][0]["rows"]
    dropped = done.json["formats"][0]["dropped"]
    assert told[-1]["counts"]["dropped"] == sum(dropped.values())


def test_what_may_be_done_about_lost_rows_is_told(cli: Cli) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "This."},
        {"role": "assistant", "content": "This."},
    ]
    cli.ok("import", "messages", cli.write("calls.jsonl", {"messages": said}))

    plain = cli.ok("export", "messages", "--to", "a")
    inferred = cli.ok("export", "messages", "--to", "b", "--infer-tools")

    assert "--infer-tools" in plain.out + plain.err
    assert "--infer-tools" not in inferred.out + inferred.err


def test_the_standard_output_is_no_folder(cli: Cli) -> None:
    refused = cli.run("export", "messages", "--to", "-")

    assert refused.code == 2
    assert "'--to': an export is a folder" in refused.err
    assert not (cli.folder / "-").exists()


def test_workers_write_the_same_bytes(cli: Cli) -> None:
    talks: list[dict[str, Any]] = [
        {
            "messages": [
                {"role": "user", "content": f"What is {n}?"},
                {"role": "assistant", "content": f"It is {n}."},
            ]
        }
        for n in range(700)
    ]
    cli.ok("import", "messages", cli.write("in.jsonl", *talks))

    cli.ok("export", "messages", "--to", "alone", "--workers", "0")
    cli.ok("export", "messages", "--to", "helped", "--workers", "2")

    alone, helped = (cli.folder / name / "SHA256SUMS" for name in ("alone", "helped"))
    assert helped.read_bytes() == alone.read_bytes()
    assert cli.run("export", "messages", "--to", "x", "--workers", "99").code == 2


def test_only_what_is_new_is_exported_since_a_former_export(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))
    cli.ok("export", "prompt", "--to", "one")
    said = [{"role": "user", "content": "En in Hengelo?"}]
    cli.ok("import", "messages", cli.write("more.jsonl", {"messages": said}))

    told = cli.ok("export", "prompt", "--to", "two", "--since", "one", "--json").json

    assert told["formats"][0]["rows"] == 1
    assert told["formats"][0]["tombstones"] == 0
