"""Settings from the environment (or `.env`). Read in `app.main`, the command line and `app.db` only."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError
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


class Settings(
    LoggingSettings, MetricsSettings, CacheSettings, MemorySettings, BatchSettings, TaskSettings, BaseSettings
):
    """Every setting, with its unit and default: those of the toolkit, and the service's own."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Path("data")
    """Folder for the embedded database and the lists of rejected records."""
    database_url: str = ""
    """`sqlite:///path` or `postgresql://user:password@host/name`; empty: `voltway.db` in DATA_DIR."""
    replica_poll_seconds: Annotated[float, Field(gt=0, le=60)] = 0.5
    """How often a serving process looks for changes made by other processes."""
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
