"""`voltway webhooks`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import httpx2 as httpx
import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli._tables import print_table
from app.db import Database
from app.db.migrate import require_current
from app.errors import UnknownWebhookError
from app.settings import Settings
from app.webhooks import repository
from app.webhooks.retries import Pause
from app.webhooks.states import state_of
from app.webhooks.tables import Webhook

webhooks = typer.Typer(help="Who is told of changes by requests: list, pause, resume, delete.", no_args_is_help=True)
Result = TypeVar("Result")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `voltway webhooks list` shows it.")]


@webhooks.command("list")
def list_() -> None:
    """Show the webhooks of all keys, without their secrets; of their addresses only the host."""
    rows = [
        [
            each.id, each.name or "", each.key_id, httpx.URL(each.url).host, state_of(each).value,
            each.paused_because or "", _minute(each.failing_since), _minute(each.last_delivered_at),
        ]
        for each in _run(repository.all_of)
    ]  # fmt: skip
    headings = ("id", "name", "key", "host", "state", "because", "failing since", "last delivered")
    print_table(headings, rows, spare=("key", "name", "last delivered"))


@webhooks.command()
def pause(webhook_id: Id) -> None:
    """Deliver nothing to a webhook until it is resumed here."""

    async def act(session: AsyncSession) -> None:
        repository.pause(await _found(session, webhook_id), Pause.OPERATOR)

    _run(act)
    typer.echo(f"paused: {webhook_id}")


@webhooks.command()
def resume(webhook_id: Id) -> None:
    """Go on with a webhook, whatever has paused it."""

    async def act(session: AsyncSession) -> None:
        await repository.resume(session, await _found(session, webhook_id), datetime.now(UTC))

    _run(act)
    typer.echo(f"resumed: {webhook_id}")


@webhooks.command()
def delete(webhook_id: Id) -> None:
    """Remove a webhook, with all that waits to be delivered to it."""

    async def act(session: AsyncSession) -> None:
        await repository.remove(session, await _found(session, webhook_id))

    _run(act)
    typer.echo(f"deleted: {webhook_id}")


async def _found(session: AsyncSession, webhook_id: str) -> Webhook:
    webhook = await repository.find(session, webhook_id)
    if webhook is None:
        raise UnknownWebhookError(f"There is no webhook {webhook_id}: see `voltway webhooks list`.")
    return webhook


def _run(act: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
    settings = Settings.load()
    require_current(settings.database)

    async def with_session() -> Result:
        database = Database(settings.database)
        try:
            async with database.open_session() as session:
                return await act(session)
        finally:
            await database.close()

    return asyncio.run(with_session())


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
