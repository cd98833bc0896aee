"""Tell in the change feed of which EVSE another state is known"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("changes", sa.Column("evse_uid", sa.String(200)))
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()


def _on_sqlite() -> None:
    for action, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        name = f"evse_status_{action.lower()}_is_a_change"
        op.execute(f"DROP TRIGGER {name}")
        op.execute(
            f"""
            CREATE TRIGGER {name} AFTER {action} ON evse_status
            BEGIN
                INSERT INTO changes (tx, kind, station_id, evse_uid, at) VALUES
                (0, 'status', {row}.station_id, {row}.evse_uid, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000');
            END
            """
        )


def _on_postgresql() -> None:
    """Still one line for a station in each statement: where it is of several EVSEs, it names none."""
    op.execute(
        """
        CREATE OR REPLACE FUNCTION evse_status_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO changes (tx, kind, station_id, evse_uid, at)
            SELECT pg_current_xact_id()::text::bigint, 'status', station_id,
                CASE count(*) WHEN 1 THEN min(evse_uid) END, now()
            FROM touched GROUP BY station_id;
            RETURN NULL;
        END $$
        """
    )
