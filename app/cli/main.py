"""The command's parts, and how it ends when something is wrong."""

import sys

import typer

from app import __version__
from app.cli import demo, imports, keys, migrate, near, serve
from app.errors import VoltWayError

cli = typer.Typer(
    name="voltway",
    help="Charging stations near you, sorted by distance, free right now.\n\n"
    "All commands work on the database of DATABASE_URL, or of voltway.db in DATA_DIR (default: ./data).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("serve")(serve.serve)
cli.command("migrate")(migrate.migrate)
cli.command("import")(imports.import_)
cli.command("near", context_settings={"ignore_unknown_options": True})(near.near)  # -97.7 is a longitude
cli.command("demo")(demo.demo)
cli.add_typer(keys.keys, name="keys")


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
