"""People whom a reverse proxy has signed in, by the header that it sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from convstore.vocabulary.errors import ConfigError
from convstore.web.actors import Actor

if TYPE_CHECKING:
    from starlette.requests import Request


def behind_proxy(
    *,
    header: str,
    addresses: Sequence[str],
    roles: Mapping[str, Sequence[str]],
    tenants: Sequence[str],
) -> Callable[[Request], Actor | None]:
    """An `auth` for `app`: a proxy signs people in and names them in a header.

    Anybody can send a header. It is read only where the connection comes from one of
    the proxy's addresses, and a request that has it twice is refused.

    Args:
        header: Such as `X-Forwarded-User`; the proxy must remove it from what clients
            send.
        addresses: From which the proxy connects: addresses, or networks as
            `10.0.0.0/8`. Those that the server sees: leave its own `--proxy-headers`
            off.
        roles: The roles of each person, by the name in the header. Others are nobody.
        tenants: Whose conversations they see.

    Raises:
        ConfigError: An address cannot be read, or none was given.
    """
    if isinstance(addresses, str) or not addresses:
        raise ConfigError("addresses: list those from which the proxy connects")
    try:
        networks = [ip_network(address) for address in addresses]
    except ValueError:
        raise ConfigError("addresses: one is no address and no network") from None

    def auth(request: Request) -> Actor | None:
        try:
            client = ip_address(request.client.host if request.client else "")
        except ValueError:
            return None
        names = request.headers.getlist(header)
        if len(names) != 1 or not any(client in network for network in networks):
            return None
        held = roles.get(names[0], ())
        return Actor(names[0], tuple(held), tuple(tenants)) if held else None

    return auth
