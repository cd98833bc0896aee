"""Which version of its input an import has read, and until when its host is to be left alone"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    unchanged: sa.Column[bool] = sa.Column("input_unchanged", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("import_runs", unchanged)
    op.add_column("import_runs", sa.Column("input_version", _DOCUMENT))
    op.add_column("import_runs", sa.Column("not_before", _INSTANT))
    vanished = sa.text("deleted_at IS NOT NULL")  # to find those that vanished long ago; it costs the others nothing
    op.create_index(
        "ix_stations_deleted_at", "stations", ["deleted_at"], postgresql_where=vanished, sqlite_where=vanished
    )
