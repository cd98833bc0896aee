"""`voltway keys`."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.auth import Scope, repository
from app.auth.development import FILE, NAME, development_key
from app.auth.tables import ApiKey
from app.auth.token import key_id_of
from app.db import Database
from app.db.migrate import require_current
from app.errors import ConfigurationError
from app.settings import Settings

keys = typer.Typer(help="Keys that programs write with: create, list, revoke.", no_args_is_help=True)
Result = TypeVar("Result")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; tells the keys apart in the list.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be given several times.")],
    expires_in_days: Annotated[
        int | None, typer.Option(help="It ceases to hold after so many days; none: when revoked.", min=1, max=36_500)
    ] = None,
    party: Annotated[
        str | None,
        typer.Option(metavar="CC*PID", help="With ocpi:write: for whom alone it may push, as NL*ALL."),
    ] = None,
) -> None:
    """Make a key and print it, this once, alone on the last line. It is stored hashed."""
    ocpi_party = None if party is None else _party(party, scope)
    now = datetime.now(UTC)
    expires_at = now + timedelta(days=expires_in_days) if expires_in_days else None

    async def make(database: Database) -> str:
        async with database.open_session() as session:
            return await repository.create(session, name, scope, now, expires_at, ocpi_party)

    token = _run(make)
    typer.echo(f"key {key_id_of(token)} for {name}: {_rights(sorted(set(scope)), ocpi_party)}")
    typer.echo("Keep it: it cannot be shown again. Send it as X-API-Key.")
    typer.echo(token)


@keys.command("list")
def list_() -> None:
    """Show all keys, without their secrets."""

    async def read(database: Database) -> list[ApiKey]:
        async with database.open_session(read_only=True) as session:
            return await repository.all_keys(session)

    table = Table(box=None, pad_edge=False)
    for heading in ("id", "name", "scopes", "state", "created", "last used"):
        table.add_column(heading, overflow="fold")
    now = datetime.now(UTC)
    for key in _run(read):
        table.add_row(
            key.id, escape(key.name), _rights(key.scopes, key.ocpi_party), _state(key, now), _day(key.created_at),
            _minute(key.last_used_at),
        )  # fmt: skip
    Console().print(table)


@keys.command()
def revoke(name_or_id: Annotated[str, typer.Argument(metavar="NAME-OR-ID")]) -> None:
    """Let a key hold no more. Every running process refuses it within two seconds."""

    async def end(database: Database) -> ApiKey:
        async with database.open_session() as session:
            return await repository.revoke(session, name_or_id, datetime.now(UTC))

    key = _run(end)
    typer.echo(f"revoked: {key.id} ({key.name})")


@keys.command()
def development() -> None:
    """Print a key for trying things out, made when there is none; only in the embedded database."""
    data_dir = Settings.load().data_dir
    token = _run(lambda database: development_key(database, data_dir))
    typer.echo(f"development key, kept in {data_dir / FILE} (to revoke it: voltway keys revoke {NAME}):")
    typer.echo(token)


def _party(written: str, scopes: Collection[Scope]) -> str:
    found = re.fullmatch(r"([A-Za-z]{2})[*-]?([A-Za-z0-9]{3})", written)
    if found is None or Scope.OCPI_WRITE not in scopes:
        raise ConfigurationError("--party is a country code and a party id, as NL*ALL, and goes with ocpi:write.")
    return "*".join(found.groups()).upper()


def _rights(scopes: Collection[str], ocpi_party: str | None) -> str:
    return ", ".join(scopes) + (f" for {ocpi_party}" if ocpi_party else "")


def _run(use: Callable[[Database], Awaitable[Result]]) -> Result:
    settings = Settings.load()
    require_current(settings.database)

    async def with_database() -> Result:
        database = Database(settings.database)
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(with_database())


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at:
        return f"{'expired' if key.expires_at <= now else 'until'} {_day(key.expires_at)}"
    return "valid"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"
