"""Where requests may go: to no address inside our own network, unless the operator wants that.

A name is looked up once, its addresses are checked, and the connection goes to one that was checked: a second look
could find another one (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2 as httpx

from app.errors import VoltWayError

MAX_URL_LENGTH = 2_000
LOOK_UP_WITHIN_S = 5.0
_LAST_PORT = 65_535
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address, to which a gateway passes on."""
LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""Addresses of a host's name. Raises OSError or UnicodeError."""


class TargetRefusedError(VoltWayError):
    """Nothing may be sent there."""


class UnknownHostError(VoltWayError):
    """The host's name has no address, or not at the moment."""


async def look_up(host: str) -> Sequence[str]:
    """As the system does it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


def parse_target(written: str) -> httpx.URL:
    """Raises TargetRefusedError, which does not show the URL."""
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, ValueError):
        raise TargetRefusedError("is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host or not 0 < (url.port or 1) <= _LAST_PORT:
        raise TargetRefusedError("must be a URL of the form https://HOST/… or http://HOST/…")
    if url.userinfo or url.fragment:
        raise TargetRefusedError("must have no user name, password or fragment")
    return url


async def addresses_of(url: httpx.URL, *, private_allowed: bool, look_up: LookUp = look_up) -> Sequence[str]:
    """To which a connection may be made; at least one. Raises UnknownHostError, or TargetRefusedError if any of the
    host's addresses is not public."""
    try:
        async with asyncio.timeout(LOOK_UP_WITHIN_S):
            found = await look_up(url.host)
    except (OSError, UnicodeError, TimeoutError):
        found = []
    if not found:
        raise UnknownHostError(f"the host {url.host[:200]} cannot be found")
    if not private_allowed and not all(is_public(ip_address(each)) for each in found):
        raise TargetRefusedError(f"the host {url.host[:200]} has an address that is not public")
    return found


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is somebody's on the Internet: not private, loopback, link-local (where clouds keep their metadata),
    multicast or unspecified, and not an IPv6 form of such an IPv4 address."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, in one of the forms there are."""
    if isinstance(address, IPv4Address):
        return None
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64 or int(address) >> 32 == 0:  # the latter: IPv4-compatible, long obsolete
        return last
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]) or None
