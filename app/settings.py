"""Settings from the environment (or `.env`). Read in `app.main`, the command line and `app.db` only."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url


class Settings(BaseSettings):
    """Every setting, with its unit and default."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    data_dir: Path = Path("data")
    """Folder for the embedded database, downloads and reports of rejected records."""
    database_url: str = ""
    """`sqlite:///path` or `postgresql://user:password@host/name`; empty: `voltway.db` in DATA_DIR."""
    replica_poll_seconds: Annotated[float, Field(gt=0, le=60)] = 0.5
    """How often a serving process looks for changes made by other processes."""
    ocm_api_key: SecretStr | None = None
    """Key for the Open Charge Map API."""

    @model_validator(mode="after")
    def _default_database(self) -> Self:
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / 'voltway.db'}"
        return self

    @property
    def shown_database_url(self) -> str:
        """Without the password."""
        return make_url(self.database_url).render_as_string(hide_password=True)
