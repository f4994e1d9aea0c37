"""The application of the page on FastAPI answers wrong input as the client's fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "fastapi.md"
ANN = {"X-Session-ID": "s-1", "X-User": "ann"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    block = re.search(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert block is not None
    # FastAPI looks up what annotations name in the module of a function.
    app: dict[str, Any] = {"__name__": "chat"}
    exec(compile(block[1], "chat.py", "exec"), app)  # noqa: S102 - our own page
    monkeypatch.chdir(tmp_path)
    with TestClient(app["app"], raise_server_exceptions=False) as client:
        said = {"text": "Hello", "message_id": "m-0"}
        assert client.post("/chat", json=said, headers=ANN).status_code == 200
        yield client


SAID = {"text": "Hi", "message_id": "m-1"}
JUDGED = {"turn": 1, "label": "thumbs_up"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/chat", SAID, {**ANN, "X-Session-ID": ""}, 422),
        ("/chat", SAID, {**ANN, "X-Session-ID": "s" * 256}, 422),
        ("/chat", SAID, {**ANN, "X-User": "u" * 256}, 422),
        ("/chat", {**SAID, "message_id": ""}, ANN, 422),
        ("/chat", {**SAID, "message_id": "m" * 256}, ANN, 422),
        ("/chat", {**SAID, "text": "a\x00b"}, ANN, 422),
        ("/chat", {**SAID, "text": "x" * 17_000_000}, ANN, 422),
        ("/chat", {**SAID, "text": 7}, ANN, 422),
        ("/chat", {**SAID, "message_id": "m-0"}, ANN, 409),
        ("/chat", SAID, {**ANN, "X-User": "bob"}, 404),
        ("/feedback", {**JUDGED, "turn": 99}, ANN, 404),
        ("/feedback", {**JUDGED, "turn": 2**70}, ANN, 422),
        ("/feedback", {**JUDGED, "label": "x" * 300}, ANN, 422),
        ("/feedback", JUDGED, {**ANN, "X-Session-ID": "absent"}, 404),
    ],
)
def test_wrong_input_is_told_as_the_client_s_fault_and_changes_nothing(
    client: TestClient, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    answer = client.post(path, json=body, headers=headers)

    assert answer.status_code == status, answer.text
    again = client.post("/feedback", json=JUDGED, headers=ANN)
    assert again.json() == {"counts": {"thumbs_up": 1}}
    next_one = client.post("/chat", json={**SAID, "message_id": "m-9"}, headers=ANN)
    assert next_one.json()["turn"] == 4
