"""What may be exported, and how: one model for HTTP, the command line and the job."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.errors import VoltWayError
from app.stations.query import parse_box
from app.stations.repository import Selection
from app.stations.vocabulary import ConnectorType
from app.utils.background_tasks import FinalJobError


class ExportFormat(StrEnum):
    """What a file can be."""

    CSV = "csv"
    """RFC 4180, UTF-8, one line a station; EVSEs as JSON in the last column."""
    NDJSON = "ndjson"
    """A JSON object a line."""
    GEOJSON = "geojson"
    """RFC 7946: one FeatureCollection."""
    GEOPARQUET = "geoparquet"
    """GeoParquet 1.1, EVSEs as nested columns."""

    @property
    def ending(self) -> str:
        """Of the names of its files."""
        return "parquet" if self is ExportFormat.GEOPARQUET else self.value


def _in_one_spelling(bbox: str) -> str:
    return ",".join(map(repr, parse_box(bbox)))


class ExportRequest(BaseModel):
    """Filters combine with AND."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: ExportFormat = Field(ExportFormat.CSV, description="`csv`, `ndjson`, `geojson` or `geoparquet`.")
    country: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{2}$")] | None = Field(
        None, description="Only stations in this country: ISO 3166-1 alpha-2.", examples=["DE"]
    )
    source: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Only stations from this source.", examples=["bnetza"]
    )
    connector: Annotated[list[ConnectorType], Field(max_length=len(ConnectorType))] = Field(
        [], description="Only stations with one of these connectors; may be repeated."
    )
    bbox: Annotated[str, StringConstraints(max_length=200), AfterValidator(_in_one_spelling)] | None = Field(
        None,
        description="Only stations inside `west,south,east,north`, in degrees. West may be greater than east: "
        "the box then crosses the antimeridian.",
        examples=["5.8,47.2,15.1,55.1"],
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """For `export_large_dataset`; equal for requests that mean the same."""
        given = self.model_dump(mode="json", exclude_defaults=True)
        return {"format": self.format.value} | {
            name: sorted(set(value)) if isinstance(value, list) else value for name, value in given.items()
        }

    @property
    def selection(self) -> Selection:
        box = None if self.bbox is None else parse_box(self.bbox)
        return Selection(self.country, self.source, tuple(self.connector), box)


class ExportRequestError(VoltWayError, FinalJobError):
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
