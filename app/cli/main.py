"""The command's parts, and how it ends when something is wrong."""

import sys
from importlib import import_module
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from app import __version__
from app.errors import ConfigurationError, VoltWayError

_PARTS = {
    "serve": "serve:serve",
    "worker": "worker:worker",
    "jobs": "jobs:jobs",
    "migrate": "migrate:migrate",
    "import": "imports:import_",
    "sync": "sources:sync",
    "sources": "sources:sources",
    "export": "export:export",
    "near": "near:near",
    "demo": "demo:demo",
    "replay": "replay:replay",
    "keys": "keys:keys",
    "webhooks": "webhooks:webhooks",
}
"""Module and name of each command; imported when it is asked for, as together they take a second."""


class _Commands(TyperGroup):
    def list_commands(self, _: Any) -> list[str]:
        return list(_PARTS)

    def get_command(self, _: Any, name: str) -> Any:
        if name not in _PARTS:
            return None
        module, _, attribute = _PARTS[name].partition(":")
        try:
            part = getattr(import_module(f"app.cli.{module}"), attribute)
        except ValidationError as error:  # of METRICS_ENABLED, which is read once and for all
            raise ConfigurationError.of(error) from None
        if not isinstance(part, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(name, context_settings={"ignore_unknown_options": name == "near"})(
                part
            )  # -97.7: a longitude
            part = alone
        command = typer.main.get_command(part)
        command.name = name
        return command


cli = typer.Typer(
    name="voltway",
    cls=_Commands,
    help="Charging stations near you, sorted by distance, free right now.\n\n"
    "All commands work on the database of DATABASE_URL, or of voltway.db in DATA_DIR (default: ./data).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        typer.echo(f"voltway {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that is the user's to mend is one line, without a traceback."""
    try:
        cli()
    except VoltWayError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
