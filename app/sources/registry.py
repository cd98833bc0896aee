"""The sources that VoltWay can read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import httpx2 as httpx

from app.errors import UnknownSourceError
from app.sources import afdc, bnetza, irve, ocm
from app.sources.fetch import Download, download
from app.sources.ocm.client import download_pages
from app.sources.records import Outcome, SourceFacts


@dataclass(frozen=True, slots=True)
class Source:
    """A source: what is known of it, how its input is got, how it is read."""

    facts: SourceFacts
    parse: Callable[[BinaryIO], Iterator[Outcome]]
    """Reads a whole file (not compressed, seekable), in memory that does not grow with it. Raises SourceFormatError
    when the input as a whole cannot be read."""
    download: Download = download


def all_sources(ocm_api_key: str | None = None) -> dict[str, Source]:
    """Every source by name."""
    sources = [
        Source(afdc.FACTS, afdc.parse),
        Source(bnetza.FACTS, bnetza.parse),
        Source(irve.FACTS, irve.parse),
        Source(ocm.FACTS, ocm.parse, _ocm_download(ocm_api_key)),
    ]
    return {source.facts.name: source for source in sources}


def find_source(name: str, ocm_api_key: str | None = None) -> Source:
    """Raises UnknownSourceError, naming those that exist."""
    sources = all_sources(ocm_api_key)
    if name not in sources:
        raise UnknownSourceError(f"There is no source {name!r}; there are: {', '.join(sources)}.")
    return sources[name]


def _ocm_download(api_key: str | None) -> Download:
    """A URL that ends in `/poi` is the API, read page by page; any other is a file."""

    async def download_ocm(url: str, to: BinaryIO, client: httpx.AsyncClient) -> None:
        if httpx.URL(url).path.rstrip("/").endswith("/poi"):
            await download_pages(url, to, client, api_key=api_key)
        else:
            await download(url, to, client)

    return download_ocm
