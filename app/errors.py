"""The errors that VoltWay raises on purpose.

Each carries a message that a station operator can act on. None knows HTTP: `app.api.errors` holds the one
table from error to status.
"""

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pydantic import ValidationError


class VoltWayError(Exception):
    """Root of all errors raised on purpose; its message is fit to be shown to a user."""


class ConfigurationError(VoltWayError):
    """A setting is missing, malformed or contradicts another; the message names the variable."""

    @classmethod
    def of(cls, error: "ValidationError") -> Self:
        """Of what pydantic says of settings."""
        wrong = "; ".join(
            f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        return cls(f"A setting is wrong. {wrong}.")


class SchemaMissingError(VoltWayError):
    """The database has no VoltWay tables, or older ones than this version needs."""


class DatabaseUnavailableError(VoltWayError):
    """The database does not answer, or answers with an error of its own."""


class UnknownSourceError(VoltWayError):
    """No adapter has the name that was asked for."""


class SourceFormatError(VoltWayError):
    """The input as a whole is not what the adapter reads: wrong format, no header row, cut-off JSON."""


class FetchError(VoltWayError):
    """A source's file or API could not be downloaded."""


class BusyError(FetchError):
    """Somebody else imports the same source, or fetches the same address, now."""


class NotReadyError(VoltWayError):
    """This process has not loaded the catalogue yet, so it can answer no search."""


class TooDearError(VoltWayError):
    """A query that would hold up all others; it names the parameter that makes it so."""

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(f"{parameter}: {why}")
        self.parameter = parameter
        self.why = why


class OverloadedError(VoltWayError):
    """This process answers as many requests as it may at a time."""


class TooManyReadersError(VoltWayError):
    """As many watch live status as this process can serve."""


class TooManyWebhooksError(VoltWayError):
    """A key, or all together, have as many webhooks as they may."""


class UnknownWebhookError(VoltWayError):
    """No webhook has this id."""


class KeyRefusedError(VoltWayError):
    """A key that does not hold; why (unknown, revoked, expired) is not told."""


class MissingScopeError(VoltWayError):
    """The key holds, but may not do this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs a key with the scope {scope}, which this key does not have.")
        self.scope = scope


class KeyNameError(VoltWayError):
    """A key cannot have this name, or no key has it."""


class JobRefusedError(VoltWayError):
    """There is no such job or schedule, or it does not stand so that this can be done to it."""
