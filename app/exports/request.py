"""What may be exported, and how: one model for HTTP and for the job."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.errors import VoltWayError
from app.stations.vocabulary import ConnectorType


class ExportFormat(StrEnum):
    """Each with the ending of its files as its value."""

    CSV = "csv"
    """RFC 4180, UTF-8, one line a station; EVSEs as JSON in the last column."""
    NDJSON = "ndjson"
    """A JSON object a line."""
    GEOJSON = "geojson"
    """RFC 7946: one FeatureCollection."""


class ExportRequest(BaseModel):
    """Filters combine with AND."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: ExportFormat = Field(ExportFormat.CSV, description="`csv`, `ndjson` or `geojson`.")
    country: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{2}$")] | None = Field(
        None, description="Only stations in this country: ISO 3166-1 alpha-2.", examples=["DE"]
    )
    source: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Only stations from this source.", examples=["bnetza"]
    )
    connector: Annotated[list[ConnectorType], Field(max_length=len(ConnectorType))] = Field(
        [], description="Only stations with one of these connectors; may be repeated."
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """For `export_large_dataset`; equal for requests that mean the same."""
        given = self.model_dump(mode="json", exclude_defaults=True)
        return {"format": self.format.value} | {
            name: sorted(set(value)) if isinstance(value, list) else value for name, value in given.items()
        }


class ExportRequestError(VoltWayError):
    """An export was asked for that cannot be; the message names the field."""


def requested(format_: str, filters: dict[str, Any]) -> ExportRequest:
    """Raises ExportRequestError."""
    try:
        return ExportRequest(format=format_, **filters)
    except ValidationError as error:
        known = ", ".join(name for name in ExportRequest.model_fields if name != "format")
        wrong = "; ".join(
            f"{each['loc'][0]}: there is no such filter; known are: {known}"
            if each["type"] == "extra_forbidden"
            else f"{each['loc'][0]}: {each['msg']}"
            for each in error.errors()
        )
        raise ExportRequestError(f"This cannot be exported. {wrong}.") from None
