"""The tables. Only this package and the migrations see them; triggers (in the migration) fill `changes`."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
)
from sqlalchemy.orm import Mapped, Mapper, mapped_column, validates
from sqlalchemy.orm.attributes import instance_dict

from app.db.base import Base, BigId, Document, UtcDateTime
from app.stations.model import CONTENT, EvseDocument, derive, evse_documents


def _now() -> datetime:
    return datetime.now(UTC)


_VANISHED = text("deleted_at IS NOT NULL")


class Station(Base):
    """A charging station. See `StationCreate` for the columns that come from outside."""

    __tablename__ = "stations"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index(None, "deleted_at", postgresql_where=_VANISHED, sqlite_where=_VANISHED),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(200), default="local")
    external_id: Mapped[str] = mapped_column(String(200), default=lambda: uuid4().hex)
    title: Mapped[str] = mapped_column(Text)
    operator: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    city: Mapped[str | None] = mapped_column(Text)
    postal_code: Mapped[str | None] = mapped_column(String(20))
    country: Mapped[str | None] = mapped_column(String(2))
    longitude: Mapped[float] = mapped_column(Double)
    latitude: Mapped[float] = mapped_column(Double)
    evses: Mapped[list[EvseDocument]] = mapped_column(Document, default=list)
    access: Mapped[str | None] = mapped_column(String(20))
    opening_hours: Mapped[str | None] = mapped_column(Text)
    price: Mapped[str | None] = mapped_column(Text)
    evse_count: Mapped[int]
    connector_mask: Mapped[int] = mapped_column(BigInteger)
    max_power_kw: Mapped[float | None] = mapped_column(Double)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_updated: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the station vanished from its source; it is then in no answer."""

    def __init__(self, **values: Any) -> None:
        """As SQLAlchemy's own, but without an event for each attribute: they take as long as to write the row.

        Raises TypeError for what is no column, and pydantic's ValidationError for `evses` that are not sound."""
        if not _COLUMNS.issuperset(values):
            unknown = values.keys() - _COLUMNS
            raise TypeError(f"a Station has no {', '.join(sorted(unknown))}")
        if "evses" in values:
            values["evses"] = evse_documents(values["evses"])
        instance_dict(self).update(values)

    @validates("evses")
    def _as_documents(self, _: str, evses: Any) -> list[EvseDocument]:
        return evse_documents(evses)


_COLUMNS = frozenset(Station.__table__.columns.keys())


@event.listens_for(Station, "before_insert")
def _complete(_mapper: Mapper[Station], _connection: object, station: Station) -> None:
    """What `_derive` does, for a station that is new, so that nobody asks what its attributes were before."""
    values = instance_dict(station)
    if values.get("evses") is None:
        values["evses"] = []
    derived = derive(values)
    if derived["content_hash"] == values.get("content_hash"):
        return
    values |= derived
    values["last_updated"] = now = _now()
    values["created_at"] = values.get("created_at") or now


@event.listens_for(Station, "before_update")
def _derive(_mapper: Mapper[Station], _connection: object, station: Station) -> None:
    """Keep the derived columns true to the content; `last_updated` moves only when the content does."""
    if station.evses is None:
        station.evses = []
    derived = derive({name: getattr(station, name) for name in CONTENT})
    if derived["content_hash"] == station.content_hash:
        return
    for name, value in derived.items():
        setattr(station, name, value)
    station.last_updated = _now()
    station.created_at = station.created_at or station.last_updated


class EvseStatusRow(Base):
    """The newest live observation of an EVSE. Apart from `stations`: it changes thousands of times more often."""

    __tablename__ = "evse_status"

    station_id: Mapped[int] = mapped_column(BigId, ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True)
    evse_uid: Mapped[str] = mapped_column(String(200), primary_key=True)
    status: Mapped[str] = mapped_column(String(20))
    observed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The source's time."""
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it ceases to hold; `None`: it holds until it is replaced."""


class StatusChange(Base):
    """An EVSE got into another state; triggers write it, whoever writes `evse_status`. By months on PostgreSQL."""

    __tablename__ = "status_changes"
    __table_args__ = {"sqlite_with_rowid": False, "postgresql_partition_by": "RANGE (at)"}  # noqa: RUF012 - as above

    station_id: Mapped[int] = mapped_column(BigId, ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True)
    evse_uid: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    """When it was first seen in the state; for UNKNOWN perhaps when what was known had grown too old."""
    status: Mapped[str] = mapped_column(String(20))


class EvseKey(Base):
    """Where the EVSEs with a public id are; triggers keep it, whoever writes the stations."""

    __tablename__ = "evse_keys"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    """See `app.stations.evse_id`."""
    station_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("stations.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    evse_uid: Mapped[str] = mapped_column(String(200), primary_key=True)


class OcpiLocation(Base):
    """A location as a partner has pushed it."""

    __tablename__ = "ocpi_locations"

    external_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    """Of the station."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON; not the database's own kind of it, which on PostgreSQL cannot hold every text."""


class Change(Base):
    """One line of the change feed: this station, or its status, is no more what it was."""

    __tablename__ = "changes"
    __table_args__ = (Index(None, "tx", "seq"), {"sqlite_autoincrement": True})

    seq: Mapped[int] = mapped_column(BigId, primary_key=True)
    tx: Mapped[int] = mapped_column(BigInteger)
    """Number of the transaction that wrote it. On PostgreSQL `seq` is given out before the commit, so the order
    of reading is (tx, seq), up to the oldest transaction still open. 0 on SQLite."""
    kind: Mapped[str] = mapped_column(String(10))
    """`station`, `status`, or `reset`: a source's facts have changed, or (PostgreSQL) a table was truncated, so that
    everything must be read anew."""
    station_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    evse_uid: Mapped[str | None] = mapped_column(String(200))
    """Of which alone the status is another; `None`: of several or all."""


class Source(Base):
    """Where stations come from, as `SourceFacts` describes it."""

    __tablename__ = "sources"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    homepage: Mapped[str] = mapped_column(Text)
    licence: Mapped[str] = mapped_column(Text)
    licence_url: Mapped[str] = mapped_column(Text)
    attribution: Mapped[str] = mapped_column(Text)
    cadence_s: Mapped[int] = mapped_column(BigInteger)
    status_ttl_s: Mapped[int | None] = mapped_column(BigInteger)


class ImportRun(Base):
    """The report of one import."""

    __tablename__ = "import_runs"
    __table_args__ = (Index(None, "source", "started_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(200))
    input: Mapped[str] = mapped_column(Text)
    """File name or URL, without credentials."""
    input_key: Mapped[str | None] = mapped_column(String(16))
    """Tells the whole of the input's address, its query too, from others (`app.sources.locations.fingerprint`)."""
    full: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(Text)
    """Why the run ended early; `None`: it has not."""
    report: Mapped[dict[str, Any] | None] = mapped_column(Document)
    input_unchanged: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The input was that of the import before, so it was not read; the report counts nothing."""
    input_version: Mapped[dict[str, Any] | None] = mapped_column(Document)
    """What tells the input from its other versions, where it has any (`app.sources.downloads.Version`)."""
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when the input's host is to be left alone."""
