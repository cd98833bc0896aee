"""What a source's facts show of its stations is part of the change feed"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_SHOWN = ("licence", "licence_url", "attribution", "status_ttl_s")


def upgrade() -> None:
    """A source is written rarely, and seldom otherwise than it was; then every reader starts anew."""
    if op.get_bind().dialect.name == "sqlite":
        _create_sqlite_triggers()
    else:
        _create_postgresql_triggers()


def _create_sqlite_triggers() -> None:
    differs = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _SHOWN)
    for action, condition in (("INSERT", "1"), ("UPDATE", differs), ("DELETE", "1")):
        op.execute(
            f"""
            CREATE TRIGGER sources_{action.lower()}_is_a_change AFTER {action} ON sources WHEN {condition}
            BEGIN
                INSERT INTO changes (tx, kind, station_id, at)
                VALUES (0, 'reset', 0, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000');
            END
            """
        )


def _create_postgresql_triggers() -> None:
    op.execute(
        """
        CREATE FUNCTION sources_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO changes (tx, kind, station_id, at)
            VALUES (pg_current_xact_id()::text::bigint, 'reset', 0, now());
            RETURN NULL;
        END $$
        """
    )
    differs = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _SHOWN)
    for action, condition in (("INSERT", "true"), ("UPDATE", differs), ("DELETE", "true")):
        op.execute(
            f"""
            CREATE TRIGGER sources_{action.lower()}_is_a_change AFTER {action} ON sources
            FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION sources_changed()
            """
        )
