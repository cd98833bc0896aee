"""Where inputs are: what is a URL, and what of it may be shown."""

from hashlib import blake2b
from ipaddress import ip_address

import httpx2 as httpx

from app.errors import FetchError

_LAST_PORT = 65_535


def is_url(where: str) -> bool:
    return where.lower().startswith(("http://", "https://"))


def is_local(host: str) -> bool:
    """Whether a host name or address tells by itself that it is on this machine or in a private network."""
    try:
        return not ip_address(host.strip("[]")).is_global
    except ValueError:
        return host.lower().rstrip(".").endswith(("localhost", ".internal", ".local"))


def without_secrets(where: str) -> str:
    """A path or URL fit for logs and reports: no user, password, query string or fragment.

    Raises FetchError, which shows nothing of it, for a malformed URL."""
    if not is_url(where):
        return where
    try:
        url = httpx.URL(where)
    except httpx.InvalidURL:
        url = httpx.URL()
    if not url.host or (url.port or 0) > _LAST_PORT:
        raise FetchError(
            "The URL is malformed. In a user name or password, write / as %2F, ? as %3F, # as %23 and @ as %40."
        )
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def fingerprint(url: str) -> str:
    """Tells one URL from another without showing it: its query may hold a key."""
    return blake2b(url.encode(), digest_size=8).hexdigest()
