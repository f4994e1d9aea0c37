"""PostgreSQL URLs as other programs write them: the words of libpq, for asyncpg.

What is understood becomes an argument of the connection; what is not is refused by
name. A parameter that is passed over in silence would be a wish for safety unheard.
"""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from convstore.vocabulary.errors import ConfigError

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CERTIFICATES = ("sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")
_SYSTEM = "system"
"""In place of a file: the certificates that the system trusts."""
_ATTRIBUTES = (
    "any", "read-write", "read-only", "primary", "standby", "prefer-standby",
)  # fmt: skip
# Words for what nothing has to be done about: the wish is met already, or it is about
# how quickly a dead peer is noticed, which the system's own defaults decide here.
_MET = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("utf8", "UTF8", "utf-8", "UTF-8", "auto"),
    "sslcompression": ("0",),
}


@dataclass(slots=True)
class PostgresTarget:
    """Where to connect, and how.

    Attributes:
        url: For SQLAlchemy, without any parameter.
        arguments: Of the driver's connect.
        server_settings: Said to the server as the connection starts.
        pooled: Whether the URL says that a pooler is in between (`pgbouncer=true`).
    """

    url: URL
    arguments: dict[str, Any] = field(default_factory=dict)
    server_settings: dict[str, str] = field(default_factory=dict)
    pooled: bool = False


def postgres_target(url: str) -> PostgresTarget:
    """Take a URL apart.

    Raises:
        ConfigError: It is none, or a parameter cannot be heeded; names it, and never
            its value, which may be a password.
    """
    read = parsed(url)
    target = PostgresTarget(read.set(drivername="postgresql+asyncpg", query={}))
    given = {
        name: value if isinstance(value, str) else value[-1]
        for name, value in read.query.items()
    }
    given.pop("schema", None)  # not the server's: see `postgres_schema`
    _take_ssl(target, given)
    for name, value in given.items():
        take = _TAKEN.get(name)
        if take is not None:
            take(target, value)
        elif value not in _MET.get(name, ()):
            known = ", ".join(sorted({*_TAKEN, *_MET, "sslmode", *_CERTIFICATES}))
            raise ConfigError(
                f"URL: the parameter {name[:64]!a} is not understood, or not with this "
                f"value; known are {known}"
            )
    return target


def parsed(url: str) -> URL:
    """The parts of a URL.

    Raises:
        ConfigError: It has none. What it has instead may be a password.
    """
    try:
        return make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            "URL: it cannot be read as postgresql://USER@HOST:PORT/DATABASE; several "
            "hosts go behind it, as ?host=A,B&port=5432,5433"
        ) from error


def _take_ssl(target: PostgresTarget, given: dict[str, str]) -> None:
    mode = given.pop("sslmode", given.pop("ssl", None))
    files = {name: given.pop(name) for name in _CERTIFICATES if name in given}
    if files.get("sslrootcert") == _SYSTEM:
        # As libpq has it: anybody may have a certificate for some name.
        if mode not in (None, "verify-full"):
            raise ConfigError("URL: sslrootcert=system goes with sslmode=verify-full")
        mode = "verify-full"
    if mode == "true":
        mode = "require"
    if mode is not None and mode not in _SSL_MODES:
        raise ConfigError(f"URL: sslmode must be one of {', '.join(_SSL_MODES)}")
    if not files:
        if mode is not None:
            target.arguments["ssl"] = mode
        return
    if mode in ("disable", "allow"):
        raise ConfigError("URL: certificates are named, and sslmode does without")
    target.arguments["ssl"] = _context(mode or "prefer", files)


def _context(mode: str, files: Mapping[str, str]) -> ssl.SSLContext:
    """What libpq makes of these: a root certificate is always verified against."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    for name, path in files.items():
        is_file = name != "sslpassword" and (name, path) != ("sslrootcert", _SYSTEM)
        if is_file and not Path(path).is_file():
            raise ConfigError(f"URL: {name} names no file")
    try:
        root = files.get("sslrootcert", _SYSTEM)
        if root != _SYSTEM:
            context.load_verify_locations(root)
        elif mode in ("verify-ca", "verify-full"):
            context.load_default_certs()
        else:
            context.verify_mode = ssl.CERT_NONE
        if crl := files.get("sslcrl"):
            context.load_verify_locations(crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if certificate := files.get("sslcert"):
            context.load_cert_chain(
                certificate, files.get("sslkey"), files.get("sslpassword") or ""
            )
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            "URL: sslrootcert, sslcert or sslkey cannot be used as certificates"
        ) from error
    return context


def _timeout(target: PostgresTarget, value: str) -> None:
    if not value.isdecimal():
        raise ConfigError("URL: connect_timeout must be whole seconds")
    # Zero is libpq's word for no limit, and below two it waits two.
    if int(value):
        target.arguments["timeout"] = float(max(int(value), 2))


def _name(target: PostgresTarget, value: str) -> None:
    target.server_settings["application_name"] = value


def _options(target: PostgresTarget, value: str) -> None:
    """`-c name=value` and `--name=value`, any number of times."""
    try:
        words = iter(shlex.split(value))
    except ValueError as error:
        raise ConfigError("URL: options is not -c name=value") from error
    for word in words:
        setting = word.removeprefix("-c").removeprefix("--") or next(words, "")
        name, sign, text = setting.partition("=")
        if not word.startswith(("-c", "--")) or not sign or not name:
            raise ConfigError("URL: options is not -c name=value")
        target.server_settings[name.replace("-", "_")] = text


def _host(target: PostgresTarget, value: str) -> None:
    hosts = value.split(",")
    target.arguments["host"] = hosts[0] if len(hosts) == 1 else hosts


def _port(target: PostgresTarget, value: str) -> None:
    ports = value.split(",")
    if not all(port.isdecimal() for port in ports):
        raise ConfigError("URL: port must be a number, or several with commas")
    numbers = [int(port) for port in ports]
    target.arguments["port"] = numbers[0] if len(numbers) == 1 else numbers


def _word_of_driver(name: str) -> Callable[[PostgresTarget, str], None]:
    def take(target: PostgresTarget, value: str) -> None:
        target.arguments[name] = value

    return take


def _attributes(target: PostgresTarget, value: str) -> None:
    if value not in _ATTRIBUTES:
        raise ConfigError(
            f"URL: target_session_attrs must be one of {', '.join(_ATTRIBUTES)}"
        )
    target.arguments["target_session_attrs"] = value


def _pooler(target: PostgresTarget, value: str) -> None:
    if value not in ("true", "false"):
        raise ConfigError("URL: pgbouncer must be true or false")
    target.pooled = value == "true"


_TAKEN: dict[str, Callable[[PostgresTarget, str], None]] = {
    "application_name": _name,
    "connect_timeout": _timeout,
    "dbname": _word_of_driver("database"),
    "host": _host,
    "options": _options,
    "password": _word_of_driver("password"),
    "pgbouncer": _pooler,
    "port": _port,
    "target_session_attrs": _attributes,
    "user": _word_of_driver("user"),
}
