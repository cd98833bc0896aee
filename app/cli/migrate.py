"""`voltway migrate`."""

import typer

from app.db import migrate as migrations
from app.settings import Settings


def migrate() -> None:
    """Create the tables, or bring them to this version. Does nothing when they are up to date."""
    settings = Settings.load()
    migrations.migrate(settings.database)
    typer.echo(f"database is up to date: {settings.shown_database_url}")
