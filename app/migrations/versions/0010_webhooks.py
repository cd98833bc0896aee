"""Tell receivers of changes by requests to them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(11), nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("position_tx", sa.BigInteger(), nullable=False),
        sa.Column("position_seq", sa.BigInteger(), nullable=False),
        sa.Column("stale_to", _INSTANT, nullable=False),
        sa.Column("stale_id", sa.BigInteger(), nullable=False),
        sa.Column("paused_because", sa.String(20)),
        sa.Column("failing_since", _INSTANT),
        sa.Column("last_delivered_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_key_id", "webhooks", ["key_id"])
    op.create_table(
        "webhook_stations",
        sa.Column("webhook_id", sa.String(32), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "station_id", name="pk_webhook_stations"),
        _of_webhook("webhook_stations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("seq", _BIG_ID, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("webhook_id", sa.String(32), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _INSTANT),
        sa.Column("last_attempt_at", _INSTANT),
        sa.Column("last_error", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
        _of_webhook("webhook_deliveries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_deliveries_webhook_id_seq", "webhook_deliveries", ["webhook_id", "seq"])
    op.create_index("ix_webhook_deliveries_next_attempt_at", "webhook_deliveries", ["next_attempt_at"])


def _of_webhook(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_webhook_id_webhooks"
    return sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=name, ondelete="CASCADE")
