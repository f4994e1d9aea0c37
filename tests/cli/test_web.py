"""`convstore web` serves one person on this machine, and ends in order."""

from __future__ import annotations

import signal

import httpx

from tests.cli.conftest import Cli
from tests.cli.test_processes import running


def test_the_link_lets_one_person_in_and_judgements_have_their_name(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    with running(cli, "web", "--as", "ann", "--port", "0") as server:
        assert server.stdout is not None
        link = server.stdout.readline().strip()
        with httpx.Client(follow_redirects=True) as browser:
            listed = browser.get(link)
            again = browser.get(link)
        server.send_signal(signal.SIGTERM)
        rest, told = server.communicate(timeout=600)

    assert listed.status_code == 200
    assert "token" not in str(listed.url)
    assert "id=s-1" in listed.text
    assert '<b dir="auto">ann</b>' in listed.text
    assert again.status_code == 401
    assert server.returncode == 0
    assert (rest, told) == ("", "")


def test_without_a_name_it_only_reads(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    with running(cli, "web", "--port", "0") as server:
        assert server.stdout is not None
        link = server.stdout.readline().strip()
        with httpx.Client(follow_redirects=True) as browser:
            browser.get(link)
            at = httpx.URL(link).join("/conversation?id=s-1")
            page = browser.get(at)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=600)

    assert "read only" in page.text
    assert '<form class="judge"' not in page.text
    assert server.returncode == 0


def test_another_host_needs_to_know_who_somebody_is(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    done = cli.run("web", "--host", "0.0.0.0")

    assert done.code != 0
    assert "--host" in done.err
    for options in (("--shared",), ("--shared", "--as", "x"), ("--key", "k")):
        assert cli.run("web", "--host", "0.0.0.0", *options).code != 0


def test_people_with_tokens_share_a_page(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))
    token = cli.ok("web", "tokens", "add", "ann", "--role", "annotator").out.strip()
    told = cli.ok("web", "tokens", "list", "--json")

    with running(cli, "web", "--shared", "--port", "0") as server:
        assert server.stdout is not None
        link = httpx.URL(server.stdout.readline().strip())
        with httpx.Client(follow_redirects=True) as browser:
            asked = browser.get(link)
            own = {"origin": str(link).rstrip("/"), "sec-fetch-site": "same-origin"}
            inside = browser.post(
                link.join("/enter"), data={"token": token}, headers=own
            )
            cli.ok("web", "tokens", "remove", "ann", "--yes")
            outside = browser.get(link)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=600)

    assert [one["name"] for one in told.json] == ["ann"]
    assert token not in told.out
    assert "digest" not in told.out
    assert "Your token" in asked.text
    assert '<b dir="auto">ann</b>' in inside.text
    assert "Your token" in outside.text
    assert cli.run("web", "tokens", "remove", "ann", "--yes").code != 0
