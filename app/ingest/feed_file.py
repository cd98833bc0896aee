"""Feeds that the operator names: a file with a table for each, as several may have one format."""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from app.errors import ConfigurationError, FetchError
from app.sources import datex2, ocpi
from app.sources.downloads import Place, Version
from app.sources.fetch import Download
from app.sources.guest import Guest
from app.sources.locations import is_url, without_secrets
from app.sources.ocpi.client import download_locations
from app.sources.records import Outcome, Parsed
from app.sources.registry import Source, all_sources, facts_of

Parse = Callable[[BinaryIO], Iterator[Outcome]]
_FORMATS = {name: all_sources()[name] for name in (datex2.FACTS.name, ocpi.FACTS.name)}
"""Those that many publish."""
_MAX_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")

Line = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class NamedFeed(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal["ocpi", "datex2"]
    url: SecretStr
    """May hold a key."""
    token: SecretStr | None = None
    """For `ocpi`: pull from an OCPI server with this token (empty: without one); `None`: the address is a file."""
    title: Line
    licence: Line
    licence_url: str = ""
    attribution: Line
    homepage: str = ""
    cadence_hours: Annotated[float, Field(gt=0, le=8_760)] | None = None
    """`None`: as often as feeds of the format are renewed."""
    status_ttl_hours: Annotated[float, Field(gt=0, le=8_760)] | None = None
    """How long a state from it is shown unless it is told again; `None`: as the format has it."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: SecretStr) -> SecretStr:
        if not is_url(url.get_secret_value()):
            raise ValueError("must begin with http:// or https://")
        try:
            without_secrets(url.get_secret_value())
        except FetchError as error:
            raise ValueError(str(error)) from None
        return url

    @model_validator(mode="after")
    def _token_is_of_use(self) -> Self:
        if self.token is not None and self.format != "ocpi":
            raise ValueError('a token goes with format = "ocpi"')
        return self


@dataclass(frozen=True, slots=True)
class FeedOfTheOperator:
    """A source that the operator has named, and where it is read from."""

    source: Source
    url: str
    is_pulled: bool
    """From an OCPI server, which can be asked for what has changed since a time."""


def named_feeds(file: Path | None) -> list[FeedOfTheOperator]:
    """In the order of the file; none without a file. Raises ConfigurationError, naming table and field."""
    tables = {} if file is None else _read(file)
    return [_feed(name, _validated(name, table)) for name, table in tables.items()]


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"A setting is wrong. FEEDS_FILE: {file} is larger than {_MAX_BYTES} bytes.")
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"A setting is wrong. FEEDS_FILE: {file} cannot be read: {error}.") from None


def _validated(name: str, table: Any) -> NamedFeed:
    wrong = f"A setting is wrong. FEEDS_FILE, [{name}]"
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{wrong}: a name has small letters, digits, - and _, and at most 50 of them.")
    if facts_of(name) is not None or name in all_sources():
        raise ConfigurationError(f"{wrong}: VoltWay has a source of this name already.")
    try:
        return NamedFeed.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f" {part}" for part in first["loc"])
        raise ConfigurationError(f"{wrong}{where}: {first['msg'].removeprefix('Value error, ')}.") from None


def _feed(name: str, feed: NamedFeed) -> FeedOfTheOperator:
    of_format = _FORMATS[feed.format]
    facts = replace(
        of_format.facts,
        name=name,
        title=feed.title,
        homepage=feed.homepage,
        licence=feed.licence,
        licence_url=feed.licence_url,
        attribution=feed.attribution,
        cadence=_hours(feed.cadence_hours) or of_format.facts.cadence,
        status_ttl=_hours(feed.status_ttl_hours) or of_format.facts.status_ttl,
    )
    source = replace(of_format, facts=facts, parse=_under(name, of_format.parse))
    if feed.token is not None:
        source = replace(source, download=_pulling(feed.token.get_secret_value()), is_complete=True)
    return FeedOfTheOperator(source, feed.url.get_secret_value(), is_pulled=feed.token is not None)


def _hours(hours: float | None) -> timedelta | None:
    return None if hours is None else timedelta(hours=hours)


def _under(name: str, parse: Parse) -> Parse:
    """Its stations are of the feed, not of the format."""

    def parse_renamed(file: BinaryIO) -> Iterator[Outcome]:
        for each in parse(file):
            if isinstance(each, Parsed):
                yield replace(each, station=each.station.model_copy(update={"source": name}))
            else:
                yield each

    return parse_renamed


def _pulling(token: str) -> Download:
    async def pull(url: str, place: Place, guest: Guest, known: Version | None) -> Version | None:
        place.clear()
        try:
            with place.body.open("wb") as file:
                await download_locations(url, file, guest, token)
        except OSError as error:
            raise FetchError(f"{without_secrets(url)} could not be stored: {error.strerror}.") from error
        return None

    return pull
