"""The shapes of version 1's answers, for the documentation; `render` makes them and a test compares the two."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType, StationStatus


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConnectorGroup(_Shape):
    """Connectors of a station that are alike."""

    type: ConnectorType
    power_kw: float | None = Field(description="Highest power in kW; null: not known.", examples=[150.0])
    total: int = Field(examples=[4])
    available: int = Field(description="How many belong to an EVSE that is free now.", examples=[2])


class StationSummary(_Shape):
    """A station in a list."""

    id: int = Field(description="VoltWay's own id, the same in every answer.", examples=[4711])
    title: str = Field(examples=["Charging park at the old harbour"])
    operator: str | None
    address: str | None
    city: str | None
    postal_code: str | None
    country: str | None = Field(description="ISO 3166-1 alpha-2.", examples=["DE"])
    latitude: float = Field(description="Degrees north, WGS 84.", examples=[52.52])
    longitude: float = Field(description="Degrees east, WGS 84.", examples=[13.37])
    access: Access | None = Field(description="Null: not known.")
    opening_hours: str | None = Field(examples=["24/7"])
    price: str | None = Field(description="In the source's own words.")
    status: StationStatus = Field(
        description="`available` if an EVSE is free; else `occupied` if one is in use; else `maintenance` if all of "
        "known state are out of use; else `unknown`."
    )
    evse_count: int = Field(description="How many cars can charge at once.", examples=[6])
    available_count: int = Field(description="How many EVSEs are free now.", examples=[2])
    max_power_kw: float | None = Field(description="Of the strongest connector.", examples=[150.0])
    connectors: list[ConnectorGroup]
    source: str = Field(examples=["bnetza"])
    external_id: str = Field(description="The source's own id.")
    last_updated: datetime = Field(description="When the station's content (not its status) last changed.")


class StationNearby(StationSummary):
    """A station in a list; with a distance where the request has a position."""

    distance_km: float | None = Field(
        None, description="Great-circle distance on a sphere of 6371.0088 km radius, to the millimetre."
    )


class ConnectorShape(_Shape):
    """A plug or socket; what is absent is not known."""

    type: ConnectorType
    power_kw: float | None = None
    format: ConnectorFormat | None = None
    current: PowerType | None = None
    voltage_v: int | None = None
    amperage_a: int | None = None


class EvseShape(_Shape):
    """The part of a station that charges one car at a time."""

    uid: str = Field(description="Unique within the station.")
    evse_id: str | None = Field(
        description="Public id (eMI3), as its source spells it.", examples=["DE*AB7*E840*6487"]
    )
    status: EvseStatus
    observed_at: datetime | None = Field(description="When the state was seen; null: it is not a live one.")
    connectors: list[ConnectorShape]


class StationDetail(StationSummary):
    """All that is known of a station."""

    evses: list[EvseShape]
    created_at: datetime
    licence: str | None = Field(description="Licence of the data.", examples=["CC-BY-4.0"])
    licence_url: str | None
    attribution: str | None = Field(description="To be shown with the data where the licence asks for it.")
