"""Downloading from Open Charge Map's API, page by page.

Open Charge Map API 3.0, `GET /v3/poi`. It has no page numbers: `sortby=id_asc&greaterthanid=<last ID>` asks for what
follows. The project's own export reads 1,000 POI at a time in this way (openchargemap/ocm-export, README).
"""

from itertools import pairwise
from typing import Any, BinaryIO

import httpx2 as httpx
import orjson

from app.errors import FetchError
from app.sources.disk import Bounded
from app.sources.guest import Guest
from app.sources.locations import without_secrets
from app.sources.ocm.fields import folded, integer

_KEY_HINT = "Set OCM_API_KEY to a key from openchargemap.org (sign in, then `my apps`)."

Poi = dict[str, Any]


async def download_pages(
    url: str, to: BinaryIO, guest: Guest, *, api_key: str | None, page_size: int = 1_000
) -> None:
    """Write all POI that `url` asks for, as a JSON array with one of them a line.

    Parameters in `url` (`countrycode`, `modifiedsince`, `opendata`, ...) are kept, save those that paging needs. One
    page at a time is in memory; one with fewer than `page_size` POI is the last. The array is closed only when all is
    there, so that a file cut short is seen to be one.

    Raises FetchError, whose message holds neither the key nor the parameters.
    """
    headers = _headers(api_key)
    pages = Bounded(to, without_secrets(url), guest.limits)
    pages.write(b"[\n")
    last_id, separator = 0, b""
    while True:
        page = await _page(_page_url(url, page_size, last_id), headers, guest)
        if page:
            last_id = _last_id(page, last_id, url, is_full=len(page) >= page_size)
        for poi in page:
            pages.write(separator + orjson.dumps(poi))
            separator = b",\n"
        if not page or len(page) < page_size:
            break
    pages.write(b"\n]\n")


def _headers(api_key: str | None) -> dict[str, str]:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise FetchError("OCM_API_KEY holds characters that no key has. Copy it again from openchargemap.org.")
    return {"X-API-Key": key} if key else {}


def _page_url(url: str, page_size: int, last_id: int) -> httpx.URL:
    """The caller's parameters, overridden by those that paging needs. Their names are the same in any case."""
    parameters = {name.lower(): value for name, value in httpx.URL(url).params.items()} | {
        "output": "json",
        "compact": "true",
        "verbose": "false",
        "maxresults": str(page_size),
        "sortby": "id_asc",
        "greaterthanid": str(last_id),
    }
    return httpx.URL(url).copy_with(params=parameters)


async def _page(url: httpx.URL, headers: dict[str, str], guest: Guest) -> list[Poi]:
    """Redirects are not followed: they would carry the key elsewhere."""

    async def attempt() -> list[Poi]:
        async with guest.ask(url, headers, follow_redirects=False, hint=_hint) as answer:
            await answer.aread()
        return _pois(answer)

    return await guest.insist(attempt)


def _hint(answer: httpx.Response) -> str:
    return _KEY_HINT if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} else ""


def _pois(response: httpx.Response) -> list[Poi]:
    try:
        page = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise FetchError(f"{_shown(response)} did not answer with whole JSON: {error}.") from error
    if not isinstance(page, list) or not all(isinstance(poi, dict) for poi in page):
        raise FetchError(f"{_shown(response)} did not answer with a list of POI. Does the address end in /v3/poi?")
    return page


def _last_id(page: list[Poi], after: int, url: str, *, is_full: bool) -> int:
    """The ID to go on from. A server that does not do as told would be asked for ever, or give half of what it has.

    Order matters only where more is to follow: a search around a point is answered by distance."""
    ids = [integer(folded(poi).get("id")) or 0 for poi in page]
    are_increasing = all(one < following for one, following in pairwise(ids))
    if min(ids) <= after or (is_full and not are_increasing):
        raise FetchError(
            f"{without_secrets(url)} does not give POI in increasing order of ID above {after}, so it cannot be read "
            "page by page. Nor can a search by latitude and longitude: ask by boundingbox or countrycode."
        )
    return max(ids)


def _shown(response: httpx.Response) -> str:
    return without_secrets(str(response.url))
