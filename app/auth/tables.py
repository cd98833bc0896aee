"""The table of keys. Only this package and the migrations see it."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, Document, UtcDateTime

_NOT_REVOKED = text("revoked_at IS NULL")


class ApiKey(Base):
    """A key as stored: without the secret. A revoked key keeps its row, and its name may be given again."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "name", unique=True, sqlite_where=_NOT_REVOKED, postgresql_where=_NOT_REVOKED),)

    id: Mapped[str] = mapped_column(String(11), primary_key=True)
    """The public part of the key."""
    name: Mapped[str] = mapped_column(String(100))
    """For people: who uses it."""
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the whole key."""
    scopes: Mapped[list[str]] = mapped_column(Document)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """To about a minute."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From then on it is refused; `None`: it holds until it is revoked."""
    ocpi_party: Mapped[str | None] = mapped_column(String(6))
    """For whom it may push over OCPI, as `NL*ALL`; `None`: for everybody."""
