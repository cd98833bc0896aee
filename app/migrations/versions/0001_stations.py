"""stations, live status, change feed, sources, import runs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "stations",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("external_id", sa.String(200), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("city", sa.Text()),
        sa.Column("postal_code", sa.String(20)),
        sa.Column("country", sa.String(2)),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("evses", _DOCUMENT, nullable=False),
        sa.Column("access", sa.String(20)),
        sa.Column("opening_hours", sa.Text()),
        sa.Column("price", sa.Text()),
        sa.Column("evse_count", sa.Integer(), nullable=False),
        sa.Column("connector_mask", sa.BigInteger(), nullable=False),
        sa.Column("max_power_kw", sa.Double()),
        sa.Column("content_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("last_updated", _INSTANT, nullable=False),
        sa.Column("deleted_at", _INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_stations"),
        sa.UniqueConstraint("source", "external_id", name="uq_stations_source_external_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "evse_status",
        sa.Column("station_id", _BIG_ID, nullable=False),
        sa.Column("evse_uid", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("observed_at", _INSTANT, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["station_id"], ["stations.id"], name="fk_evse_status_station_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("station_id", "evse_uid", name="pk_evse_status"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", _BIG_ID, nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("station_id", sa.BigInteger(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_tx_seq", "changes", ["tx", "seq"])
    op.create_table(
        "sources",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("homepage", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("licence_url", sa.Text(), nullable=False),
        sa.Column("attribution", sa.Text(), nullable=False),
        sa.Column("cadence_s", sa.BigInteger(), nullable=False),
        sa.Column("status_ttl_s", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name", name="pk_sources"),
    )
    op.create_table(
        "import_runs",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("finished_at", _INSTANT),
        sa.Column("error", sa.Text()),
        sa.Column("report", _DOCUMENT),
        sa.PrimaryKeyConstraint("id", name="pk_import_runs"),
    )
    op.create_index("ix_import_runs_source_started_at", "import_runs", ["source", "started_at"])
    if op.get_bind().dialect.name == "sqlite":
        _create_sqlite_triggers()
    else:
        _create_postgresql_triggers()


def _create_sqlite_triggers() -> None:
    for table, kind, key in (("stations", "station", "id"), ("evse_status", "status", "station_id")):
        for action, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            op.execute(
                f"""
                CREATE TRIGGER {table}_{action.lower()}_is_a_change AFTER {action} ON {table}
                BEGIN
                    INSERT INTO changes (tx, kind, station_id, at)
                    VALUES (0, '{kind}', {row}.{key}, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000');
                END
                """
            )


def _create_postgresql_triggers() -> None:
    """Once for each statement, whatever number of rows it writes: COPY and bulk updates cost little more."""
    for table, kind, key in (("stations", "station", "id"), ("evse_status", "status", "station_id")):
        op.execute(
            f"""
            CREATE FUNCTION {table}_changed() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO changes (tx, kind, station_id, at)
                SELECT DISTINCT pg_current_xact_id()::text::bigint, '{kind}', {key}, now() FROM touched;
                RETURN NULL;
            END $$
            """
        )
        for action, rows in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            op.execute(
                f"""
                CREATE TRIGGER {table}_{action.lower()}_is_a_change AFTER {action} ON {table}
                REFERENCING {rows} TABLE AS touched
                FOR EACH STATEMENT EXECUTE FUNCTION {table}_changed()
                """
            )
        op.execute(
            f"""
            CREATE FUNCTION {table}_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO changes (tx, kind, station_id, at)
                VALUES (pg_current_xact_id()::text::bigint, 'reset', 0, now());
                RETURN NULL;
            END $$
            """
        )
        op.execute(
            f"""
            CREATE TRIGGER {table}_truncate_is_a_change AFTER TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION {table}_truncated()
            """
        )
