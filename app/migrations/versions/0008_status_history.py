"""Remember every change of an EVSE's status"""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "status_changes",
        sa.Column("station_id", _BIG_ID, nullable=False),
        sa.Column("evse_uid", sa.String(200), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "evse_uid", "at", name="pk_status_changes"),
        sa.ForeignKeyConstraint(
            ["station_id"], ["stations.id"], name="fk_status_changes_station_id_stations", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (at)",
    )
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()
    op.execute(
        "INSERT INTO status_changes (station_id, evse_uid, at, status) "
        "SELECT station_id, evse_uid, observed_at, status FROM evse_status"
    )


_WRITE = "INSERT INTO status_changes (station_id, evse_uid, at, status)"
_REPLACE = "ON CONFLICT (station_id, evse_uid, at) DO UPDATE SET status = excluded.status"
"""Of two states of one moment the one that is written last counts: see app/stations/live.py."""
_HAD_GROWN_OLD = "{old}.expires_at < {new}.observed_at AND {old}.status <> 'UNKNOWN'"
_IS_ANOTHER = f"({{old}}.status <> {{new}}.status OR {_HAD_GROWN_OLD})"


def _on_sqlite() -> None:
    names = {"old": "OLD", "new": "NEW"}
    op.execute(
        f"""
        CREATE TRIGGER evse_status_insert_is_remembered AFTER INSERT ON evse_status
        BEGIN
            {_WRITE} VALUES (NEW.station_id, NEW.evse_uid, NEW.observed_at, NEW.status) {_REPLACE};
        END
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER evse_status_update_is_remembered AFTER UPDATE ON evse_status
        WHEN {_IS_ANOTHER.format(**names)}
        BEGIN
            {_WRITE} SELECT OLD.station_id, OLD.evse_uid, OLD.expires_at, 'UNKNOWN'
            WHERE {_HAD_GROWN_OLD.format(**names)} {_REPLACE};
            {_WRITE} VALUES (NEW.station_id, NEW.evse_uid, NEW.observed_at, NEW.status) {_REPLACE};
        END
        """
    )


def _on_postgresql() -> None:
    """Once for each statement, whatever number of rows it writes. What lies in a month that has no table of its own
    is in the one for all the rest, so that no write can fail."""
    op.execute("CREATE TABLE status_changes_rest PARTITION OF status_changes DEFAULT")
    now = datetime.now(UTC)
    for month in range(now.month, now.month + 3):
        first, after = (_month(now.year, each) for each in (month, month + 1))
        op.execute(
            f"CREATE TABLE status_changes_{first:%Y_%m} PARTITION OF status_changes "
            f"FOR VALUES FROM ('{first:%Y-%m-%d}Z') TO ('{after:%Y-%m-%d}Z')"
        )
    names = {"old": "former", "new": "touched"}
    joined = "former JOIN touched USING (station_id, evse_uid)"
    body = {
        "INSERT": f"{_WRITE} SELECT station_id, evse_uid, observed_at, status FROM touched {_REPLACE};",
        "UPDATE": f"""
            {_WRITE} SELECT station_id, evse_uid, former.expires_at, 'UNKNOWN' FROM {joined}
            WHERE {_HAD_GROWN_OLD.format(**names)} {_REPLACE};
            {_WRITE} SELECT station_id, evse_uid, touched.observed_at, touched.status FROM {joined}
            WHERE {_IS_ANOTHER.format(**names)} {_REPLACE};
            """,
    }
    for action, tables in (
        ("INSERT", "NEW TABLE AS touched"),
        ("UPDATE", "NEW TABLE AS touched OLD TABLE AS former"),
    ):
        name = f"evse_status_{action.lower()}_is_remembered"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body[action]} RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {action} ON evse_status REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


def _month(year: int, month: int) -> datetime:
    """`month` counts on from January of that year."""
    return datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)
