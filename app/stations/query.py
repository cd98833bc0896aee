"""What may be asked of the catalogue: one model for HTTP, the command line and the search itself."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.stations.model import MAX_POWER_KW
from app.stations.vocabulary import Access, ConnectorType, StationStatus

MAX_LIMIT = 1_000
MAX_IDS = 1_000
MAX_SKIP = 1_000_000_000
MAX_RADIUS_KM = 20_040
"""Past the farthest that two places on Earth can be from each other."""

_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class Box(NamedTuple):
    """Degrees, WGS 84. `west` > `east` means that the box crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def parts(self) -> list["Box"]:
        """Boxes with `west` <= `east` that together hold the same places: 180° east and west are one meridian."""
        if self.west > self.east:
            return [self._replace(east=180.0), self._replace(west=-180.0)]
        beyond = [self._replace(west=edge, east=edge) for edge in (-180.0, 180.0) if -edge in (self.west, self.east)]
        return [self, *beyond]


def parse_box(written: str) -> Box:
    """Read `west,south,east,north`; raises ValueError saying what is wrong."""
    try:
        box = Box(*(float(part) for part in written.split(",")))
    except (ValueError, TypeError):
        raise ValueError("must be four numbers: west,south,east,north in degrees") from None
    if not all(math.isfinite(edge) for edge in box):
        raise ValueError("must be four finite numbers: west,south,east,north in degrees")
    if not (-180 <= box.west <= 180 and -180 <= box.east <= 180):
        raise ValueError("west and east must lie between -180 and 180")
    if not (-90 <= box.south <= box.north <= 90):
        raise ValueError("south and north must lie between -90 and 90, south not above north")
    return box


def parse_ids(written: str) -> list[int]:
    """Read ids of stations between commas; raises ValueError saying what is wrong."""
    parts = written.split(",")
    if len(parts) > MAX_IDS:
        raise ValueError(f"must be at most {MAX_IDS:,} ids")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 2**63 for part in parts):
        raise ValueError("must be ids of stations with commas between them, such as 1,2,3")
    return [int(part) for part in parts]


def _readable_by(parse: Callable[[str], object]) -> AfterValidator:
    """Keeps what was written, if it can be read."""

    def check(written: str) -> str:
        parse(written)
        return written

    return AfterValidator(check)


BoxText = Annotated[str, StringConstraints(max_length=200), _readable_by(parse_box)]
IdsText = Annotated[str, StringConstraints(max_length=20 * MAX_IDS), _readable_by(parse_ids)]


class Parameters(BaseModel):
    """A query, in which nothing is unknown: a misspelt filter would otherwise answer more than was asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _parameters_are_known(cls, given: Any) -> Any:
        fields = cls.__pydantic_fields__
        if not given.keys() <= fields.keys():
            unknown = [name for name in given if name not in fields]
            known = ", ".join(fields)
            raise PydanticCustomError(
                "unknown_parameter",
                "There is no such parameter; known are: {known}",
                {"known": known, "parameter": unknown[0][:100]},
            )
        return given


class StationQuery(Parameters):
    """Filters combine with AND; `connector`, `min_power_kw` and `status` must hold together on one EVSE."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = Field(
        None,
        description="Degrees north, WGS 84. With `longitude`: answers are sorted by distance from there.",
        examples=[52.52],
    )
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = Field(
        None, description="Degrees east, WGS 84.", examples=[13.405]
    )
    radius_km: Annotated[float, Field(gt=0, le=MAX_RADIUS_KM, allow_inf_nan=False)] | None = Field(
        None,
        description="Only stations within this distance of the position, in km; none: however far.",
        examples=[10],
    )
    bbox: BoxText | None = Field(
        None,
        description="Only stations inside `west,south,east,north`, in degrees. West may be greater than east: "
        "the box then crosses the antimeridian.",
        examples=["13.3,52.4,13.5,52.6"],
    )
    connector: Annotated[list[ConnectorType], Field(max_length=len(ConnectorType))] = Field(
        [], description="Only stations with one of these connectors; may be repeated.", examples=[["ccs2"]]
    )
    min_power_kw: Annotated[float, Field(ge=0, le=MAX_POWER_KW, allow_inf_nan=False)] | None = Field(
        None, description="Only stations with a connector of at least this power, in kW.", examples=[50]
    )
    status: StationStatus | None = Field(None, description="Only stations in this state now.", examples=["available"])
    operator: _Words | None = Field(
        None, description="Only stations of this operator; case does not matter.", examples=["Demo Drive (sample)"]
    )
    country: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{2}$")] | None = Field(
        None, description="ISO 3166-1 alpha-2 code.", examples=["DE"]
    )
    access: Access | None = Field(None, description="Only stations open to these drivers.", examples=["public"])
    source: _Words | None = Field(None, description="Only stations from this source.", examples=["demo"])
    q: _Words | None = Field(
        None,
        description="Only stations with this text in title, operator, address, city or postal code.",
        examples=["Berlin"],
    )
    skip: Annotated[int, Field(ge=0, le=MAX_SKIP)] = Field(0, description="Stations to leave out at the start.")
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = Field(100, description="Most stations to answer.")

    @model_validator(mode="after")
    def _position_is_whole(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise _missing(
                "longitude" if self.longitude is None else "latitude", "latitude and longitude go together"
            )
        if self.radius_km is not None and self.latitude is None:
            raise _missing("latitude", "radius_km needs a position: latitude and longitude")
        return self

    @property
    def box(self) -> Box | None:
        return None if self.bbox is None else parse_box(self.bbox)

    @property
    def is_filtered(self) -> bool:
        """Whether something is asked of a station but where it is from the position."""
        return not self.model_fields_set.isdisjoint(_FILTERS)


_FILTERS = StationQuery.model_fields.keys() - {"longitude", "latitude", "radius_km", "skip", "limit"}


def _missing(parameter: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("missing", "{why}", {"why": why, "parameter": parameter})
