"""Run by Alembic for each command, on the connection that `app.db.migrate` opened."""

from alembic import context

import app.auth.tables
import app.stations.tables
import app.webhooks.tables  # noqa: F401 - registers the tables that `alembic check` compares with
from app.db.base import Base


def _is_mapped(name: str | None, kind: str, _: object) -> bool:
    """Parts of a table are not tables of their own."""
    return not (kind == "table" and name and name.startswith("status_changes_"))


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_server_default=True,
    include_name=_is_mapped,
)
with context.begin_transaction():
    context.run_migrations()
