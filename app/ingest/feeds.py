"""Which sources keep themselves fresh: those that the settings name an address of."""

from dataclasses import dataclass, replace
from datetime import timedelta

from app.errors import ConfigurationError, FetchError, UnknownSourceError
from app.ingest.feed_file import named_feeds
from app.settings import Settings
from app.sources.locations import without_secrets
from app.sources.registry import Source, all_sources

OCM_API = "https://api.openchargemap.io/v3/poi"


@dataclass(frozen=True, slots=True)
class Feed:
    """A source and where it is read from."""

    source: Source
    """With the cadence at which it is to be read."""
    url: str
    only_changes: bool = False
    """The address gives what has changed since a time (Open Charge Map's API), not all there is."""
    tells_changes: bool = False
    """It gives all there is, and on request only what has changed since a time (OCPI)."""

    @property
    def name(self) -> str:
        return self.source.facts.name

    @property
    def cadence(self) -> timedelta:
        return self.source.facts.cadence


def configured_feeds(settings: Settings, *, ocm_url: str = OCM_API) -> list[Feed]:
    """In the order of the names. Raises ConfigurationError, naming the variable that is wrong."""
    key = settings.ocm_api_key.get_secret_value() if settings.ocm_api_key else None
    sources, urls = all_sources(key), settings.urls_by_source
    for variable, names in (("SOURCE_URLS", urls), ("SOURCE_CADENCE_HOURS", settings.cadences)):
        for name in names:
            if name not in sources:
                raise ConfigurationError(
                    f"A setting is wrong. {variable}: there is no source {name}; there are: {', '.join(sources)}."
                )
    if key:
        urls = {"ocm": ocm_url} | urls
    feeds = [_feed(sources[name], url, settings.cadences.get(name)) for name, url in urls.items()]
    feeds += [Feed(each.source, each.url, tells_changes=each.is_pulled) for each in named_feeds(settings.feeds_file)]
    return sorted(feeds, key=lambda feed: feed.name)


def find_configured(name: str, settings: Settings) -> Source:
    """One that VoltWay knows by itself, or by FEEDS_FILE. Raises UnknownSourceError, naming those that exist."""
    key = settings.ocm_api_key.get_secret_value() if settings.ocm_api_key else None
    sources = all_sources(key) | {each.source.facts.name: each.source for each in named_feeds(settings.feeds_file)}
    if name not in sources:
        raise UnknownSourceError(f"There is no source {name!r}; there are: {', '.join(sources)}.")
    return sources[name]


def _feed(source: Source, url: str, cadence: timedelta | None) -> Feed:
    try:
        without_secrets(url)
    except FetchError as error:
        raise ConfigurationError(f"A setting is wrong. SOURCE_URLS, {source.facts.name}: {error}") from None
    facts = replace(source.facts, cadence=cadence or source.facts.cadence)
    is_api = source.facts.name == "ocm" and url.partition("?")[0].rstrip("/").endswith("/poi")
    return Feed(replace(source, facts=facts), url, only_changes=is_api)
