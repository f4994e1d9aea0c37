"""`convstore search` as people use it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def said(cli: Cli) -> Cli:
    lines = [
        {"messages": [{"role": "user", "content": "Welke archieven zijn er?"},
                      {"role": "assistant", "content": "Drie in Enschede."}]},
        {"messages": [{"role": "user", "content": "今天天气怎么样"}]},
    ]  # fmt: skip
    file = cli.folder / "talk.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    assert cli.run("import", "messages", file).code == 0
    return cli


def test_what_was_said_is_found(said: Cli) -> None:
    found = said.run("search", "enschede", "drie", "--json").json
    shown = said.run("search", "天气")

    (hit,) = found["items"]
    assert (hit["kind"], hit["turn_seq"], hit["role"]) == ("turn", 2, "assistant")
    assert found["complete"] is True
    assert "今天天气怎么样" in shown.out
    assert (
        said.run("search", "enschede", "--since", "3650d", "--role", "user").code == 0
    )
    assert said.run("search", "a", "--order", "worst").code == 2


def test_an_index_is_made_checked_and_made_anew(said: Cli) -> None:
    mode = {"CONVSTORE_SEARCH__MODE": "deferred"}

    before = said.run("search", "check", "--json", **mode)
    made = said.run("search", "index", "--json", **mode)
    anew = said.run("search", "rebuild", "--json", **mode)
    after = said.run("search", "check", "--json", **mode)

    assert (before.code, before.json["missing"]) == (1, 2)
    assert (made.json["entries"], anew.json["entries"]) == (3, 3)
    assert (after.code, after.json["entries"]) == (0, 3)
    assert said.run("search", "rebuild").code == 2, "there is none with the mode off"
    doctor = said.run("doctor", "--json", **mode).json
    (line,) = [f for f in doctor["findings"] if f["check"] == "index of words"]
    assert line["ok"]


def test_a_word_of_the_command_is_found_in_quotes(said: Cli) -> None:
    assert said.run("search", '"check"', "--json").json["items"] == []
