"""The sources that VoltWay can read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import httpx2 as httpx

from app.errors import FetchError, UnknownSourceError
from app.sources import afdc, bnetza, datex2, demo, irve, ocm, ocpi, voltway
from app.sources.downloads import Place, Version, download
from app.sources.fetch import Download
from app.sources.guest import Guest
from app.sources.irve import live as irve_live
from app.sources.locations import without_secrets
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
    is_complete: bool = True
    """Whether what it is fetched from lists all of its stations, so that those that it lacks have vanished."""
    is_catalogue: bool = False
    """Whether its records come out of another VoltWay: each is stored under the source that it names, with that
    source's terms, and where it lies has been judged there."""


def all_sources(ocm_api_key: str | None = None) -> dict[str, Source]:
    """Every source by name."""
    sources = [
        Source(afdc.FACTS, afdc.parse),
        Source(bnetza.FACTS, bnetza.parse),
        Source(datex2.FACTS, datex2.parse, is_complete=False),
        Source(irve.FACTS, irve.parse),
        Source(irve_live.FACTS, irve_live.parse, is_complete=False),
        Source(ocm.FACTS, ocm.parse, _ocm_download(ocm_api_key), is_complete=False),
        Source(ocpi.FACTS, ocpi.parse, is_complete=False),
        Source(voltway.FACTS, voltway.parse, is_complete=False, is_catalogue=True),
    ]
    return {source.facts.name: source for source in sources}


def catalogues() -> list[str]:
    """Names of the sources whose inputs may hold stations of any other."""
    return [name for name, source in all_sources().items() if source.is_catalogue]


def find_source(name: str, ocm_api_key: str | None = None) -> Source:
    """Raises UnknownSourceError, naming those that exist."""
    sources = all_sources(ocm_api_key)
    if name not in sources:
        raise UnknownSourceError(f"There is no source {name!r}; there are: {', '.join(sources)}.")
    return sources[name]


def facts_of(name: str) -> SourceFacts | None:
    """Of a source whose stations VoltWay reads or makes itself; `None`: it is somebody else's."""
    own = [source.facts for source in all_sources().values() if not source.is_catalogue]
    return next((facts for facts in (*own, demo.FACTS) if facts.name == name), None)


def _ocm_download(api_key: str | None) -> Download:
    """A URL that ends in `/poi` is the API, read page by page; any other is a file."""

    async def download_ocm(url: str, place: Place, guest: Guest, known: Version | None) -> Version | None:
        if not httpx.URL(url).path.rstrip("/").endswith("/poi"):
            return await download(url, place, guest, known)
        place.clear()
        try:
            with place.body.open("wb") as file:
                await download_pages(url, file, guest, api_key=api_key)
        except OSError as error:
            raise FetchError(f"{without_secrets(url)} could not be stored: {error.strerror}.") from error
        return None

    return download_ocm
