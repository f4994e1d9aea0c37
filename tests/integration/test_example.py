"""The example backend, served by uvicorn and asked over HTTP as a client would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from convstore import StoreConfig, open_store
from tests.served import free_port, when_ready
from tests.summary import needs

needs("prometheus_client")

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
ANN = {"X-Session-ID": "s-1", "X-User-ID": "ann"}
BOB = {"X-Session-ID": "s-1", "X-User-ID": "bob"}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The example on a free port: one worker on SQLite, two on PostgreSQL."""
    port = free_port()
    workers = 2 if database_url.startswith("postgresql") else 1
    program = [sys.executable, "-m", "examples.chat_backend", "--url", database_url]
    process = subprocess.Popen(
        [*program, "--home", tmp_path, "--port", str(port), "--workers", str(workers)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield when_ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(300)


def events(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """The server-sent events of an answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(
            (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        )
    return found


def say(
    client: httpx.Client, text: str, message_id: str, headers: dict[str, str] = ANN
) -> list[tuple[str, dict[str, Any]]]:
    said = {"text": text, "message_id": message_id}
    return events(client.post("/chat", json=said, headers=headers))


@pytest.mark.mostly_slow("postgres")
def test_a_conversation_goes_through_the_whole_backend(server: str) -> None:
    with httpx.Client(base_url=server, timeout=300) as client:
        first = say(client, "Welke archieven?", "m-1")
        second = say(client, "En daar?", "m-2")
        again = say(client, "En daar?", "m-2")

        assert {name for name, _ in first[:-1]} == {"token"}
        assert [name for name, _ in second].count("token") > 3
        assert first[-1][1]["turn"] == 2
        assert second[-1][1] == {"turn": 4, "upstream": "s-1"}
        assert again[-1] == ("done", {"turn": 4, "repeated": True})

        history = client.get("/history", headers=ANN).json()
        assert [turn["role"] for turn in history] == ["user", "assistant"] * 2
        assert history[2]["content"] == "En daar?"
        told = "".join(data["text"] for name, data in second if name == "token")
        assert history[3]["content"] == told == again[0][1]["text"]

        judged = {"turn": 4, "label": "thumbs_up", "comment": "ja"}
        counts = client.post("/feedback", json=judged, headers=ANN).json()
        assert counts == {"thumbs_up": 1}

        graph = {"state": {"nodes": [1]}, "expected_version": None}
        assert client.put("/graph", json=graph, headers=ANN).json() == {"version": 1}
        assert client.put("/graph", json=graph, headers=ANN).status_code == 200
        stale = {**graph, "expected_version": 1}
        assert client.put("/graph", json=stale, headers=ANN).status_code == 409
        assert client.get("/graph", headers=ANN).json()["version"] == 2

        ledger = client.get("/ledger", headers=ANN).json()
        assert ledger["request_count"] == 3
        assert ledger["strikes"] == 1
        assert ledger["cost_micros"] > 0

        metrics = client.get("/metrics").text
        assert 'convstore_turns{tenant="default"}' in metrics
        assert "convstore_prefix_cache_hit_total" in metrics
        assert "archieven" not in metrics
        # Those of the database may be as old as the server; the example has no tier.
        later = {"convstore_feedback", "convstore_records_total"}
        tier = {"convstore_cache_hits_total", "convstore_cache_misses_total"}
        asked = set(re.findall(r"convstore_\w+", DASHBOARD.read_text("utf-8")))
        there = set(re.findall(r"^convstore_\w+", metrics, re.MULTILINE))
        assert asked - later - tier <= there


@pytest.mark.mostly_slow("sqlite")
async def test_a_conversation_that_was_archived_is_read_as_before(
    server: str, database_url: str, tmp_path: Path
) -> None:
    paths = ("/history", "/graph", "/ledger")
    async with httpx.AsyncClient(base_url=server, timeout=300, headers=ANN) as client:
        said = {"text": "Welke archieven?", "message_id": "m-1"}
        assert (await client.post("/chat", json=said)).status_code == 200
        graph = {"state": {"nodes": [1]}, "expected_version": None}
        assert (await client.put("/graph", json=graph)).status_code == 200
        before = [(await client.get(path)).json() for path in paths]
        async with open_store(StoreConfig(url=database_url, home=tmp_path)) as store:
            # The example's own run, at its start, may be under way.
            while (report := await store.run_retention(older_than_s=0)).skipped:
                pass

        after = [await client.get(path) for path in paths]

    assert report.purged == 1
    assert [answer.status_code for answer in after] == [200, 200, 200]
    assert [answer.json() for answer in after] == before


@pytest.mark.mostly_slow("sqlite")
def test_another_user_finds_nothing(server: str) -> None:
    with httpx.Client(base_url=server, timeout=300) as client:
        say(client, "mine", "m-1")

        for method, path in (
            ("GET", "/history"),
            ("GET", "/graph"),
            ("GET", "/ledger"),
        ):
            found = client.request(method, path, headers=BOB)
            assert (found.status_code, found.json()["code"]) == (
                404,
                "session_not_found",
            )
        said = {"text": "yours", "message_id": "m-2"}
        assert client.post("/chat", json=said, headers=BOB).status_code == 404


@pytest.mark.mostly_slow("sqlite")
def test_who_names_no_session_gets_a_fresh_one(server: str) -> None:
    with httpx.Client(base_url=server, timeout=300) as client:
        said = {"text": "Hi", "message_id": "m-1"}
        answers = [client.post("/chat", json=said) for _ in range(2)]

        ids = {answer.headers["X-Session-ID"] for answer in answers}
        assert len(ids) == 2
        for session_id in ids:
            history = client.get("/history", headers={"X-Session-ID": session_id})
            assert len(history.json()) == 2


@pytest.mark.mostly_slow("sqlite")
def test_wrong_input_is_refused_by_its_field_and_makes_no_session(server: str) -> None:
    fine = {"text": "Hi", "message_id": "m-1"}
    wrong: list[tuple[str, str, dict[str, str], dict[str, Any] | None]] = [
        ("GET", "/history", {}, None),
        ("GET", "/history?limit=0", ANN, None),
        ("GET", "/graph", {"X-Session-ID": "x" * 256}, None),
        ("POST", "/chat", {"X-Session-ID": "x" * 256}, fine),
        ("POST", "/chat", {"X-User-ID": "x" * 256}, fine),
        ("POST", "/chat", ANN, {**fine, "text": "a\0b"}),
        ("POST", "/chat", ANN, {**fine, "message_id": ""}),
        ("POST", "/chat", ANN, {**fine, "message_id": "x" * 250}),
        ("POST", "/chat", ANN, {"text": "Hi"}),
        ("POST", "/feedback", {}, {"turn": 1, "label": "up"}),
    ]
    with httpx.Client(base_url=server, timeout=300) as client:
        for method, path, headers, body in wrong:
            answer = client.request(method, path, headers=headers, json=body)
            assert answer.status_code == 422, (path, body, answer.text)
        said = client.get("/history?limit=0", headers=ANN).json()
        assert said["code"] == "invalid_input"
        assert "limit" in said["message"]
        absent = client.get("/history", headers=ANN)
        assert absent.status_code == 404
        judged = {"turn": 9, "label": "up"}
        say(client, "Hi", "m-1")
        assert client.post("/feedback", json=judged, headers=ANN).status_code == 404


@pytest.mark.mostly_slow("postgres")
async def test_no_turn_is_lost_when_many_talk_at_once(server: str) -> None:
    """The load test in small; the large one is among the benchmarks."""
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=server, timeout=300, limits=limits) as client:

        async def talk(number: int) -> list[str]:
            headers = {"X-Session-ID": f"many-{number}", "X-User-ID": f"u-{number}"}
            for turn in range(3):
                said = {"text": f"{number}.{turn}", "message_id": f"m-{turn}"}
                found = events(await client.post("/chat", json=said, headers=headers))
                assert found[-1][0] == "done"
            history = (await client.get("/history", headers=headers)).json()
            return [turn["content"] for turn in history if turn["role"] == "user"]

        said = await asyncio.gather(*(talk(number) for number in range(30)))

    assert said == [[f"{number}.{turn}" for turn in range(3)] for number in range(30)]
