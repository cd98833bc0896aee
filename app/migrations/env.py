"""Run by Alembic for each command, on the connection that `app.db.migrate` opened."""

from alembic import context

import app.auth.tables
import app.stations.tables  # noqa: F401 - registers the tables that `alembic check` compares with
from app.db.base import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
