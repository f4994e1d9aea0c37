"""The example shops, started by the commands of their READMEs, asked over HTTP."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served import free_port, when_ready
from tests.summary import needs

ROOT = Path(__file__).resolve().parents[2]
PORT = {
    "django_shop": lambda port: ["--noreload", str(port)],
    "fastapi_shop": lambda port: ["--port", str(port)],
}
SENT_AS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "django_shop": lambda item: {"data": {"item": item}},
    "fastapi_shop": lambda item: {"json": {"item": item}},
}


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=sorted(PORT))
def example(request: pytest.FixtureRequest) -> str:
    needs(str(request.param).partition("_")[0])
    return str(request.param)


@pytest.fixture
def shop(example: str, database_url: str) -> Iterator[httpx.Client]:
    """A customer's way to the shop that the two commands of its README have started."""
    first, second = commands(example)
    environment = {
        **os.environ,
        "CONVSTORE_URL": database_url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(first, cwd=ROOT, env=environment, timeout=600, check=True)
    port = free_port()
    process = subprocess.Popen(
        [*second, *PORT[example](port)], cwd=ROOT, env=environment
    )
    try:
        url = when_ready(f"http://127.0.0.1:{port}", process)
        with httpx.Client(
            base_url=url, timeout=300, headers={"X-User-ID": "ann"}
        ) as client:
            yield client
    finally:
        process.terminate()
        process.wait(300)


def commands(example: str) -> list[list[str]]:
    readme = (ROOT / "examples" / example / "README.md").read_text("utf-8")
    block = re.search(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


def said(shop: httpx.Client) -> list[str]:
    return list(shop.get("/conversation").json()["said"])


@pytest.mark.mostly_slow("django_shop-sqlite", "fastapi_shop-postgres")
def test_an_order_and_its_message_are_both_there_or_neither(
    shop: httpx.Client, example: str
) -> None:
    def order(number: int, item: str) -> httpx.Response:
        return shop.post(f"/orders/{number}", **SENT_AS[example](item))

    placed = order(1, "tea")
    again = order(1, "milk")
    assert said(shop) == ["Ordered: tea"]
    next_one = order(2, "één kop 'koffie' %s")

    assert (placed.status_code, placed.json()) == (201, {"turn": 1})
    assert again.status_code == 409
    assert (next_one.status_code, next_one.json()) == (201, {"turn": 2})
    assert said(shop) == ["Ordered: tea", "Ordered: één kop 'koffie' %s"]
    other = shop.get("/conversation", headers={"X-User-ID": "bob"})
    assert other.status_code == 404


@pytest.mark.slow
def test_what_cannot_be_ordered_is_the_customer_s_fault_and_leaves_nothing(
    shop: httpx.Client, example: str
) -> None:
    def refusal(number: object, item: object, **headers: str) -> int:
        sent = SENT_AS[example](item)
        return shop.post(f"/orders/{number}", headers=headers, **sent).status_code

    assert refusal(1, "") == 422
    assert refusal(1, "x" * 41) == 422
    assert refusal(1, "a\x00b") == 422
    assert refusal(2**31, "tea") == 422
    assert refusal(0, "tea") == 422
    assert refusal("one", "tea") in (404, 422)
    assert refusal(1, "tea", **{"X-User-ID": ""}) in (401, 403)
    assert refusal(1, "tea", **{"X-User-ID": "u" * 300}) == 422
    assert shop.get("/conversation", headers={"X-User-ID": ""}).is_client_error
    assert shop.get("/conversation").status_code == 404

    assert refusal(1, "tea") == 201
    assert said(shop) == ["Ordered: tea"]
