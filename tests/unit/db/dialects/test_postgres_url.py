"""URLs as other programs write them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, open_store
from convstore.db.dialects.postgres_url import postgres_target

URL = "postgresql://ann:secret@db.example:5433/chat"


@pytest.mark.parametrize(
    ("query", "arguments", "settings"),
    [
        ("", {}, {}),
        ("sslmode=require", {"ssl": "require"}, {}),
        ("sslmode=verify-full", {"ssl": "verify-full"}, {}),
        ("ssl=true", {"ssl": "require"}, {}),
        ("application_name=shop", {}, {"application_name": "shop"}),
        ("connect_timeout=10", {"timeout": 10.0}, {}),
        ("connect_timeout=1", {"timeout": 2.0}, {}),
        ("connect_timeout=0", {}, {}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}, {}),
        ("channel_binding=prefer", {}, {}),
        ("host=/run/postgresql", {"host": "/run/postgresql"}, {}),
        ("host=a,b&port=5432,5433", {"host": ["a", "b"], "port": [5432, 5433]}, {}),
        (
            "options=-c%20search_path%3Dchat%20--work-mem%3D8MB",
            {},
            {"search_path": "chat", "work_mem": "8MB"},
        ),
    ],
)
def test_the_words_of_libpq_are_heeded(
    query: str, arguments: dict[str, Any], settings: dict[str, str]
) -> None:
    target = postgres_target(f"{URL}?{query}")

    assert target.arguments == arguments
    assert target.server_settings == settings
    assert target.url.query == {}
    assert (target.url.host, target.url.port) == ("db.example", 5433)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sslmode=maybe", "sslmode"),
        ("sslmode=require&sslrootcert=/not/there", "sslrootcert"),
        ("sslmode=disable&sslcert=/not/there", "certificates"),
        ("sslmode=require&sslrootcert=system", "verify-full"),
        ("channel_binding=require", "channel_binding"),
        ("connect_timeout=soon", "connect_timeout"),
        ("target_session_attrs=writer", "target_session_attrs"),
        ("options=geqo", "options"),
        ("options=-c", "options"),
        ("pgbouncer=yes", "pgbouncer"),
        ("port=x", "port"),
        ("keepalives=1", "keepalives"),
    ],
)
def test_what_cannot_be_heeded_is_refused_by_name(query: str, name: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        postgres_target(f"{URL}?{query}")

    assert "secret" not in str(caught.value)


def test_the_certificates_that_the_system_trusts_have_a_name() -> None:
    for query in ("sslrootcert=system", "sslmode=verify-full&sslrootcert=system"):
        context = postgres_target(f"{URL}?{query}").arguments["ssl"]

        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.get_ca_certs() or not ssl.create_default_context().get_ca_certs()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@db.example:port/chat",
        "postgresql://ann:secret@a:5432,b:5433/chat",
        "postgresql://ann:secret@[::1/chat",
    ],
)
async def test_a_url_without_parts_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="URL: it cannot be read") as caught:
        async with open_store(url):
            pass

    assert "secret" not in str(caught.value)


def test_a_pooler_that_the_url_names_is_known() -> None:
    assert postgres_target(f"{URL}?pgbouncer=true").pooled
    assert not postgres_target(f"{URL}?pgbouncer=false").pooled


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_text("not a certificate")

    with pytest.raises(ConfigError, match="certificates"):
        postgres_target(f"{URL}?sslmode=verify-ca&sslrootcert={file}")
