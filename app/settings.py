"""Settings from the environment (or `.env`). Read in `app.main`, the command line and `app.db` only."""

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import ConfigurationError
from app.utils.advanced_logging import LoggingSettings
from app.utils.background_tasks import TaskSettings
from app.utils.batch_ops import BatchSettings
from app.utils.caching import CacheSettings
from app.utils.memory_optimization import MemorySettings
from app.utils.metrics import MetricsSettings

_NAME = r"[a-z0-9_-]+"


def _pairs(text: str, value: str, form: str = "NAME=VALUE") -> dict[str, str]:
    """`name=value` pairs with white space or commas between them. Raises ValueError, which shows no value."""
    parts = [part for part in re.split(rf"[\s,]+(?={_NAME}=)", text.strip(" \t\r\n,")) if part]
    found = [re.fullmatch(rf"({_NAME})=({value})", part) for part in parts]
    for number, match in enumerate(found, start=1):
        if match is None:
            raise ValueError(f"entry {number} of {len(found)} is not of the form {form}")
    pairs = {match[1]: match[2] for match in found if match}
    if len(pairs) < len(found):
        raise ValueError("a name stands there twice")
    return pairs


class SourceSettings(BaseSettings):
    """From where sources are kept fresh, and what that may take."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    source_urls: SecretStr = SecretStr("")
    """`name=URL` for each source that is to be read from a file by itself; a URL may hold a key."""
    feeds_file: Path | None = None
    """TOML file with a table for each feed of a format that many publish (OCPI, DATEX II)."""
    source_cadence_hours: str = ""
    """`name=hours` for each source that is to be read otherwise than as often as its publisher renews it."""
    fetch_max_mb: Annotated[float, Field(gt=0)] = 4_000.0
    """10^6 bytes that an input may have, as it comes and decompressed."""
    fetch_contact: str = ""
    """URL or mail address that is told to the hosts, so that they can turn to somebody."""
    imports_kept_days: Annotated[float, Field(ge=1)] = 90.0
    """How long reports of imports and lists of rejected records are kept."""
    history_kept_days: Annotated[float, Field(ge=1, le=36_500)] = 90.0
    """How long changes of the status of EVSEs are remembered."""
    vanished_kept_days: Annotated[float, Field(ge=2)] = 90.0
    """How long a station that its source has no more could come back under its old id. More than the day that changes
    are kept for, so that every process has heard of it before."""

    @field_validator("source_urls")
    @classmethod
    def _urls(cls, given: SecretStr) -> SecretStr:
        _pairs(given.get_secret_value(), r"(?i:https?)://[^\s/]\S*", "NAME=http(s)://HOST/…")
        return given

    @field_validator("source_cadence_hours")
    @classmethod
    def _hours(cls, given: str) -> str:
        if any(
            not 0 < float(hours) <= _MOST_HOURS for hours in _pairs(given, r"\d+(?:\.\d+)?", "NAME=HOURS").values()
        ):
            raise ValueError(f"hours must be over 0 and at most {_MOST_HOURS:,}")
        return given

    @field_validator("fetch_contact")
    @classmethod
    def _contact(cls, given: str) -> str:
        if not (given.isascii() and given.isprintable()):
            raise ValueError("it goes into a header, so it must be ASCII")
        return given

    @property
    def urls_by_source(self) -> dict[str, str]:
        """Of SOURCE_URLS."""
        return _pairs(self.source_urls.get_secret_value(), r"\S+")

    @property
    def cadences(self) -> dict[str, timedelta]:
        """Of SOURCE_CADENCE_HOURS, by source."""
        return {
            name: timedelta(hours=float(hours)) for name, hours in _pairs(self.source_cadence_hours, r"\S+").items()
        }


_MOST_HOURS = 8_760


class Settings(
    LoggingSettings,
    MetricsSettings,
    CacheSettings,
    MemorySettings,
    BatchSettings,
    TaskSettings,
    SourceSettings,
    BaseSettings,
):
    """Every setting, with its unit and default: those of the toolkit, and the service's own."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Path("data")
    """Folder for the embedded database and the lists of rejected records."""
    database_url: str = ""
    """`sqlite:///path` or `postgresql://user:password@host/name`; empty: `voltway.db` in DATA_DIR."""
    replica_poll_seconds: Annotated[float, Field(gt=0, le=60)] = 0.5
    """How often a serving process looks for changes of which it has heard nothing (see `app.db.bell`)."""
    status_ttl_minutes: Annotated[float, Field(gt=0)] = 60.0
    """How long a state that a client has told (`POST /api/v1/status`) is shown, unless it is told again."""
    simulate_demo: bool = False
    """Whether the availability of the demo network changes by itself, as a simulation."""
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Requests that a process answers at a time, streams aside; whoever comes then is told to try again later."""
    max_streams: Annotated[int, Field(ge=0, le=100_000)] = 5_000
    """Streams of live status that a process keeps open; whoever comes then is told to try again later."""
    webhook_private_targets: bool = False
    """Whether webhooks may lead to addresses that are not public, such as those of the own network."""
    export_kept_hours: Annotated[float, Field(gt=0)] = 24.0
    """How long the files of exports can be fetched."""
    export_max_total_mb: Annotated[float, Field(gt=0)] = 10_000.0
    """10^6 bytes that the files of exports may take together: the oldest make room for new ones."""
    export_min_free_mb: Annotated[float, Field(ge=0)] = 1_000.0
    """10^6 bytes of the disk that exports leave free, for the database above all."""
    ocm_api_key: SecretStr | None = None
    """Key for the Open Charge Map API."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises ConfigurationError, naming the variable that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            raise ConfigurationError.of(error) from None

    @property
    def database(self) -> URL:
        """Of DATABASE_URL or DATA_DIR. Raises ConfigurationError."""
        if not self.database_url:
            return URL.create("sqlite", database=str(self.data_dir / "voltway.db"))
        with suppress(ArgumentError, ValueError):
            url = make_url(self.database_url)
            if "@" not in (url.host or ""):  # else it has the rest of a password, which errors would tell
                return url
        raise ConfigurationError(
            "DATABASE_URL is not a database URL (sqlite:///path or postgresql://user:password@host/name, with "
            "special characters in the password percent-encoded)."
        )

    @property
    def shown_database_url(self) -> str:
        """Without the password, which may also stand in the query."""
        return self.database.set(query={}).render_as_string(hide_password=True)
