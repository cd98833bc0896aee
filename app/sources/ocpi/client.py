"""Pulling locations from an OCPI server, page by page (module Locations, Sender interface, §8.2.1; pages §4.1.4)."""

from base64 import b64encode
from typing import Any, BinaryIO

import httpx2 as httpx
import orjson

from app.errors import FetchError
from app.sources.disk import Bounded
from app.sources.guest import Guest
from app.sources.locations import without_secrets
from app.sources.ocpi.adapter import FIRST_ERROR_CODE
from app.sources.values import text

MAX_PAGES = 10_000
_REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})

Location = object


async def download_locations(url: str, to: BinaryIO, guest: Guest, token: str) -> None:
    """Write all locations that `url` gives as JSON Lines, one of them a line; one page at a time is in memory.

    The token is sent as OCPI 2.2 wants it (Base64), and where that is refused as 2.1.1 does; without one nothing is.
    Pages follow the header `Link`; where there is none, but `X-Total-Count` tells of more, they are asked for by
    `offset`. The token never goes to another host than that of `url`, nor off encryption: no redirect is followed.

    Raises FetchError, whose message holds neither the token nor the parameters.
    """
    pages = Bounded(to, without_secrets(url), guest.limits)
    headers = await _accepted(url, guest, token)
    asked, page, offset = {url}, httpx.URL(url), 0
    for _ in range(MAX_PAGES):
        answer = await guest.insist(lambda page=page: _ask(page, headers, guest))  # type: ignore[misc]
        locations = _locations(answer)
        for location in locations:
            pages.write(orjson.dumps(location) + b"\n")
        offset += len(locations)
        following = _next(answer, offset, is_empty=not locations)
        if following is None:
            return
        if str(following) in asked:
            raise FetchError(f"{without_secrets(url)} leads from page to page in a circle.")
        asked.add(str(following))
        page = _same_host(following, httpx.URL(url))
    raise FetchError(f"{without_secrets(url)} has over {MAX_PAGES:,} pages.")


async def _accepted(url: str, guest: Guest, token: str) -> dict[str, str]:
    """The header that the server takes, found by asking it for one location."""
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise FetchError("The token holds characters that no header can have.")
    encoded, raw = ({"Authorization": f"Token {each}"} for each in (b64encode(token.encode()).decode(), token))
    one = httpx.URL(url).copy_merge_params({"limit": "1"})

    async def is_refused() -> bool:
        async with guest.ask(one, encoded, expected={httpx.codes.OK, *_REFUSED}, follow_redirects=False) as answer:
            return answer.status_code in _REFUSED

    return raw if await guest.insist(is_refused) else encoded


async def _ask(url: httpx.URL, headers: dict[str, str], guest: Guest) -> httpx.Response:
    async with guest.ask(url, headers, follow_redirects=False, hint=_hint) as answer:
        await answer.aread()
    return answer


def _hint(answer: httpx.Response) -> str:
    return "Is the feed's token right?" if answer.status_code in _REFUSED else ""


def _locations(answer: httpx.Response) -> list[Location]:
    """Of an envelope (§4.1.7), or a bare list."""
    shown = without_secrets(str(answer.url))
    try:
        told: Any = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise FetchError(f"{shown} did not answer with whole JSON: {error}.") from error
    if isinstance(told, dict):
        code = told.get("status_code")
        if isinstance(code, int) and code >= FIRST_ERROR_CODE:
            message = text(told.get("status_message"), 200) or "no message"
            raise FetchError(f"{shown} answered with status_code {code}: {message}.")
        told = told.get("data")
    if not isinstance(told, list):
        raise FetchError(f"{shown} did not answer with a list of locations. Does the address end in /locations?")
    return told


def _next(answer: httpx.Response, offset: int, *, is_empty: bool) -> httpx.URL | None:
    link = answer.links.get("next", {}).get("url")
    if link:
        return answer.url.join(link)
    total = answer.headers.get("X-Total-Count", "")
    if is_empty or not total.isdecimal() or offset >= int(total):
        return None
    return answer.url.copy_merge_params({"offset": str(offset)})


def _same_host(following: httpx.URL, url: httpx.URL) -> httpx.URL:
    if (following.scheme, following.host, following.port) != (url.scheme, url.host, url.port):
        raise FetchError(
            f"{without_secrets(str(url))} leads to {without_secrets(str(following))}, which is not followed: the "
            "token is for the first host only."
        )
    return following
