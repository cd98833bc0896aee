"""The terms that go with exported stations: who passes them on must name their sources."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.stations.model import StoredStation


@dataclass(slots=True)
class Licence:
    """Of the stations of one source in a file."""

    source: str
    licence: str | None
    licence_url: str | None
    attribution: str | None
    stations: int = 0


class Licences:
    """Those of all stations that went into a file."""

    def __init__(self) -> None:
        self._by_source: dict[str, Licence] = {}

    def note(self, stations: Iterable[StoredStation]) -> None:
        for station in stations:
            if station.source not in self._by_source:
                terms = station.licence, station.licence_url, station.attribution
                self._by_source[station.source] = Licence(station.source, *terms)
            self._by_source[station.source].stations += 1

    def all(self) -> list[Licence]:
        """In the order in which the sources appear."""
        return list(self._by_source.values())


_INTRODUCTION = """\
Charging stations, read from VoltWay's catalogue at {now:%Y-%m-%d %H:%M} UTC.
Who passes the file on must name its sources and keep to their licences.
"""


def licence_text(licences: Iterable[Licence], now: datetime) -> bytes:
    """To be kept beside the file."""
    return "\n".join([_INTRODUCTION.format(now=now), *map(_terms, licences)]).encode()


def _terms(of: Licence) -> str:
    lines = [f"Source: {of.source} ({of.stations:,} stations)"]
    lines.append(f"Licence: {of.licence or 'not known; ask whoever has entered these stations'}")
    lines += [f"Its text: {of.licence_url}"] if of.licence_url else []
    lines += [f"To be named: {of.attribution}"] if of.attribution else []
    return "\n".join(lines) + "\n"
