"""Find EVSEs by their public id in any spelling, and keep with a status until when it holds"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("evse_status", sa.Column("expires_at", _INSTANT))
    op.create_table(
        "evse_keys",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("station_id", _BIG_ID, nullable=False),
        sa.Column("evse_uid", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("key", "station_id", "evse_uid", name="pk_evse_keys"),
        sa.ForeignKeyConstraint(
            ["station_id"], ["stations.id"], name="fk_evse_keys_station_id_stations", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_evse_keys_station_id", "evse_keys", ["station_id"])
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()


def _on_sqlite() -> None:
    spelt = "json_extract(evse.value, '$.evse_id')"
    key = f"upper(replace(replace(replace({spelt}, '*', ''), '-', ''), ' ', ''))"
    keys = "INSERT INTO evse_keys (key, station_id, evse_uid) SELECT {key}, {id}, {uid} FROM {rows} WHERE {key} <> ''"
    uid = "json_extract(evse.value, '$.uid')"
    of_new = keys.format(key=key, id="NEW.id", uid=uid, rows="json_each(NEW.evses) AS evse")
    op.execute(keys.format(key=key, id="stations.id", uid=uid, rows="stations, json_each(stations.evses) AS evse"))
    op.execute(f"CREATE TRIGGER stations_insert_gives_keys AFTER INSERT ON stations BEGIN {of_new}; END")
    op.execute(
        f"""
        CREATE TRIGGER stations_update_gives_keys AFTER UPDATE OF evses ON stations WHEN OLD.evses IS NOT NEW.evses
        BEGIN
            DELETE FROM evse_keys WHERE station_id = NEW.id;
            {of_new};
        END
        """
    )


def _on_postgresql() -> None:
    """Once for each statement, whatever number of rows it writes."""
    op.execute(
        """
        CREATE FUNCTION evse_key(spelt text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT translate(spelt, 'abcdefghijklmnopqrstuvwxyz*- ', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
        $$
        """
    )
    keys = """
        INSERT INTO evse_keys (key, station_id, evse_uid)
        SELECT evse_key(evse ->> 'evse_id'), touched.id, evse ->> 'uid'
        FROM {rows}, jsonb_array_elements(touched.evses) AS evse
        WHERE evse_key(evse ->> 'evse_id') <> ''
        """
    op.execute(keys.format(rows="stations AS touched"))
    body = {
        "INSERT": keys.format(rows="touched"),
        "UPDATE": f"""
            DELETE FROM evse_keys USING touched JOIN former USING (id)
            WHERE evse_keys.station_id = touched.id AND touched.evses IS DISTINCT FROM former.evses;
            {keys.format(rows="touched JOIN former ON former.id = touched.id AND former.evses <> touched.evses")}
            """,
    }
    for action, tables in (
        ("INSERT", "NEW TABLE AS touched"),
        ("UPDATE", "NEW TABLE AS touched OLD TABLE AS former"),
    ):
        name = f"stations_{action.lower()}_gives_keys"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body[action]}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {action} ON stations REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )
