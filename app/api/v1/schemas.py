"""The shapes of version 1's answers, for the documentation; `render` makes them and a test compares the two."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.stations.vocabulary import Access, ConnectorFormat, ConnectorType, EvseStatus, PowerType, StationStatus


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


_UPDATED_AT: datetime | None = Field(
    description="When the newest of the states that hold was seen; null: none is known.",
    examples=["2026-05-01T12:03:10Z"],
)


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
    operator: str | None = Field(examples=["Example Power"])
    address: str | None = Field(description="Street and house number.", examples=["Hafenstraße 1"])
    city: str | None = Field(examples=["Berlin"])
    postal_code: str | None = Field(examples=["10557"])
    country: str | None = Field(description="ISO 3166-1 alpha-2.", examples=["DE"])
    latitude: float = Field(description="Degrees north, WGS 84.", examples=[52.52])
    longitude: float = Field(description="Degrees east, WGS 84.", examples=[13.37])
    access: Access | None = Field(description="Null: not known.")
    opening_hours: str | None = Field(examples=["24/7"])
    price: str | None = Field(description="In the source's own words.", examples=["0.49 EUR/kWh"])
    status: StationStatus = Field(
        description="`available` if an EVSE is free; else `occupied` if one is in use; else `maintenance` if all of "
        "known state are out of use; else `unknown`."
    )
    evse_count: int = Field(description="How many cars can charge at once.", examples=[6])
    available_count: int = Field(description="How many EVSEs are free now.", examples=[2])
    updated_at: datetime | None = _UPDATED_AT
    max_power_kw: float | None = Field(description="Of the strongest connector.", examples=[150.0])
    connectors: list[ConnectorGroup]
    source: str = Field(examples=["bnetza"])
    external_id: str = Field(description="The source's own id.", examples=["1010338"])
    last_updated: datetime = Field(
        description="When the station's content (not its status) last changed.", examples=["2026-05-01T12:00:00Z"]
    )


class StationNearby(StationSummary):
    """A station in a list; with a distance where the request has a position."""

    distance_km: float | None = Field(
        None,
        description="Great-circle distance on a sphere of 6371.0088 km radius, to the millimetre.",
        examples=[0.412305],
    )


class ConnectorShape(_Shape):
    """A plug or socket; what is absent is not known."""

    type: ConnectorType
    power_kw: float | None = Field(None, examples=[150.0])
    format: ConnectorFormat | None = Field(None, examples=["CABLE"])
    current: PowerType | None = Field(None, examples=["DC"])
    voltage_v: int | None = Field(None, examples=[920])
    amperage_a: int | None = Field(None, examples=[500])


class EvseShape(_Shape):
    """The part of a station that charges one car at a time."""

    uid: str = Field(description="Unique within the station.", examples=["1"])
    evse_id: str | None = Field(
        description="Public id (eMI3), as its source spells it.", examples=["DE*AB7*E840*6487"]
    )
    status: EvseStatus
    observed_at: datetime | None = Field(
        description="When a state was last seen; null: never.", examples=["2026-05-01T12:03:10Z"]
    )
    stale_since: datetime | None = Field(
        description="Since when that is too old to be shown as the present state; null: it is not."
    )
    connectors: list[ConnectorShape]


class EvseStates(_Shape):
    """An EVSE in an event."""

    uid: str = Field(description="Unique within the station.", examples=["1"])
    evse_id: str | None = Field(description="Public id (eMI3), as its source spells it.")
    status: EvseStatus
    observed_at: datetime | None
    stale_since: datetime | None
    connectors: list[ConnectorType] = Field(description="Types of its connectors, each once.", examples=[["ccs2"]])


class StationStatusEvent(_Shape):
    """Data of the event `status`: a station's states, all of them, as of now."""

    station_id: int = Field(examples=[4711])
    status: StationStatus
    evse_count: int = Field(examples=[6])
    available_count: int = Field(examples=[2])
    updated_at: datetime | None = _UPDATED_AT
    evses: list[EvseStates]


class StationGone(_Shape):
    """Data of the event `gone`: the station is not among the watched any more."""

    station_id: int = Field(examples=[4711])


class StationDetail(StationSummary):
    """All that is known of a station."""

    evses: list[EvseShape]
    created_at: datetime = Field(examples=["2026-05-01T12:00:00Z"])
    licence: str | None = Field(description="Licence of the data.", examples=["CC-BY-4.0"])
    licence_url: str | None = Field(examples=["https://creativecommons.org/licenses/by/4.0/"])
    attribution: str | None = Field(
        description="To be shown with the data where the licence asks for it.", examples=["Bundesnetzagentur.de"]
    )
