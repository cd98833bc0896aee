"""The tables of webhooks. Only this package and the migrations see them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, UtcDateTime


class Webhook(Base):
    """Who is told of what, and how far."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(11), index=True)
    """Of the key that made it, and alone sees it."""
    name: Mapped[str | None] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)
    """As it is, for it must sign."""
    former_secret: Mapped[str | None] = mapped_column(Text)
    """Signs too, until `former_until`."""
    former_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    filter: Mapped[str] = mapped_column(Text)
    """A `WebhookFilter` as JSON."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    position_tx: Mapped[int] = mapped_column(BigInteger)
    """With `position_seq`: the last change in the feed that is in a delivery, or is none of its filter."""
    position_seq: Mapped[int] = mapped_column(BigInteger)
    stale_to: Mapped[datetime] = mapped_column(UtcDateTime)
    """With `stale_id`: what became too old to be shown up to that moment, and that station, is in a delivery too."""
    stale_id: Mapped[int] = mapped_column(BigInteger)
    paused_because: Mapped[str | None] = mapped_column(String(20))
    """A `Pause`; `None`: it is told."""
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the first attempt failed after the last that did not; `None`: the last did not."""
    last_delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class KnownStation(Base):
    """A station inside the filter of a webhook, when last looked: only of such the receiver must hear that it has
    left. Kept where there is a filter by area or connector; others tell by themselves."""

    __tablename__ = "webhook_stations"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it

    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True)
    station_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class Delivery(Base):
    """A request that is not, or was never, accepted. An accepted one has no row any more."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook_id", "seq"), {"sqlite_autoincrement": True})

    seq: Mapped[int] = mapped_column(BigId, primary_key=True)
    """The order in which those of a webhook are sent for the first time."""
    id: Mapped[str] = mapped_column(String(32), unique=True)
    """By which the receiver tells a repeat. Another one when the body is made anew."""
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    events: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """What is sent, or was in the last attempt: another attempt tells the states as they are then."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """`None`: it is dead."""
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)
