"""The command `voltway`."""

from app.cli.main import main

__all__ = ["main"]
