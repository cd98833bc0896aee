"""How many jobs, how often, and where they are kept."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url

_Interval = Annotated[float, Field(ge=1, lt=7 * 86_400)]
"""Longer ones are more likely a slip."""


class TaskSettings(BaseSettings):
    """Of the jobs of one process."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    max_workers: Annotated[int, Field(ge=1)] = 5
    """Jobs that a process does at the same time."""
    jobs_in_serve: bool = True
    """Whether `voltway serve` does jobs and keeps the schedule, or leaves both to `voltway worker`."""
    task_interval_refresh: _Interval = 3_600.0
    """Seconds from one warming of the caches to the next."""
    task_interval_sync: _Interval = 1_800.0
    """Seconds from one look for new data at the sources to the next; each is read at its own cadence."""


class _Location(BaseSettings):
    """Where the application's database is, as every part of the application reads it."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Path("data")
    database_url: str = ""


def jobs_url(database_url: URL | str | None) -> URL:
    """PostgreSQL itself; or, as SQLite has one writer at a time, a file of its own beside the SQLite database."""
    location = _Location()
    written = database_url or location.database_url or f"sqlite:///{location.data_dir / 'voltway.db'}"
    url = make_url(written)
    if url.get_backend_name() in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise ValueError("DATABASE_URL: jobs can be kept in PostgreSQL or beside an SQLite file.")
    file = Path(url.database)
    return URL.create("sqlite", database=str(file.with_name(f"{file.stem}-jobs.db").absolute()))
