"""What a station is: the validated form that comes in, and the form that is read back.

The words are those of OCPI 2.2.1 Locations (§8): a station (OCPI: location) has EVSEs, each charging one car at a
time; an EVSE has connectors, of which one is in use at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import uuid4

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, field_validator

from app.stations.vocabulary import (
    CONNECTOR_TYPES,
    Access,
    ConnectorFormat,
    ConnectorType,
    EvseStatus,
    PowerType,
)

Fields = dict[str, Any]
"""Values by the names of a model's fields."""

MAX_POWER_KW = 5_000
"""Above this a figure is a mistake (most often W for kW): the Megawatt Charging System ends at 3,750 kW."""

_NO_CONTROL_CHARACTERS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROL_CHARACTERS)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_CONTROL_CHARACTERS)]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=_NO_CONTROL_CHARACTERS)]

StatedStatus = Literal[EvseStatus.INOPERATIVE, EvseStatus.OUTOFORDER, EvseStatus.PLANNED, EvseStatus.REMOVED]
"""States that last until the source says otherwise, so that they may stand in a station's own record. The others
describe a moment and are written as live status."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)


class Connector(_Model):
    """A plug or socket of an EVSE."""

    type: ConnectorType
    power_kw: Annotated[float, Field(gt=0, le=MAX_POWER_KW)] | None = None
    """Highest power it delivers; `None`: not known."""
    format: ConnectorFormat | None = None
    current: PowerType | None = None
    voltage_v: Annotated[int, Field(gt=0, le=10_000)] | None = None
    amperage_a: Annotated[int, Field(gt=0, le=10_000)] | None = None


class Evse(_Model):
    """The part of a station that charges one car at a time."""

    uid: Key
    """Unique within the station, and the same in every import."""
    evse_id: Key | None = None
    """The public id as the source spells it (eMI3 / ISO 15118-2 Annex H, e.g. `DE*AB7*E840*6487`)."""
    status: StatedStatus | None = None
    """The lasting state that the record itself gives; live status outranks it."""
    connectors: Annotated[tuple[Connector, ...], Field(max_length=50)] = ()


class StationCreate(_Model):
    """A station as a source or a client gives it. Only title and position are required."""

    source: Key = "local"
    """Name of the source; with `external_id` it identifies the station."""
    external_id: Key = Field(default_factory=lambda: uuid4().hex)
    """The source's own id; a random one when there is none, so the station is then always a new one."""
    title: Line
    operator: Line | None = None
    address: Line | None = None
    """Street and house number."""
    city: Line | None = None
    postal_code: Annotated[Key, Field(max_length=20)] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166-1 alpha-2."""
    longitude: Annotated[float, Field(strict=True, ge=-180, le=180, allow_inf_nan=False)]
    """Degrees east, WGS 84."""
    latitude: Annotated[float, Field(strict=True, ge=-90, le=90, allow_inf_nan=False)]
    """Degrees north, WGS 84."""
    evses: Annotated[tuple[Evse, ...], Field(max_length=2_000)] = ()
    access: Access | None = None
    opening_hours: Prose | None = None
    """OpenStreetMap `opening_hours` syntax where the source allows it (`24/7`), else the source's own text."""
    price: Prose | None = None
    """The source's own text."""

    @field_validator("evses")
    @classmethod
    def _uids_are_unique(cls, evses: tuple[Evse, ...]) -> tuple[Evse, ...]:
        if len({evse.uid for evse in evses}) < len(evses):
            raise ValueError("two EVSEs have the same uid")
        return evses

    def dict(self, **options: Any) -> Fields:
        """What `Station(**...)` takes: EVSEs stay the frozen models that they are, so that nobody checks them again.

        With any of pydantic's options it is `model_dump`."""
        return self.model_dump(**options) if options else {**vars(self)}


class ConnectorDocument(TypedDict):
    """A connector as stored; see `Connector`. Absent means not known."""

    type: str
    power_kw: NotRequired[float]
    format: NotRequired[str]
    current: NotRequired[str]
    voltage_v: NotRequired[int]
    amperage_a: NotRequired[int]


class EvseDocument(TypedDict):
    """An EVSE as stored in `stations.evses`; see `Evse`."""

    uid: str
    evse_id: NotRequired[str]
    status: NotRequired[str]
    connectors: list[ConnectorDocument]


class Derived(TypedDict):
    """The columns that follow from a station's content."""

    evse_count: int
    connector_mask: int
    """OR of `ConnectorType.bit`."""
    max_power_kw: float | None
    content_hash: bytes


CONTENT = (
    "title", "operator", "address", "city", "postal_code", "country", "longitude", "latitude", "evses", "access",
    "opening_hours", "price",
)  # fmt: skip
"""The fields whose change makes a station another one for its readers."""


_EVSES = TypeAdapter(tuple[Evse, ...])
_BIT = {connector_type.value: connector_type.bit for connector_type in CONNECTOR_TYPES}


def evse_documents(evses: object) -> list[EvseDocument]:
    """The stored form of EVSEs, or of what can be validated as such: plain values, what is not known left out.

    Raises pydantic's ValidationError."""
    checked = _EVSES.validator.validate_python(evses)  # TypeAdapter's own methods take a fifth longer
    documents: list[EvseDocument] = _EVSES.serializer.to_python(checked, mode="json", exclude_none=True)
    return documents


def derive(content: Mapping[str, Any]) -> Derived:
    """Compute the derived columns of a station from its CONTENT fields, `evses` in their stored form; a field that is
    not there is `None`."""
    evses: list[EvseDocument] = content["evses"]
    mask, max_power_kw = 0, 0.0
    for evse in evses:
        for connector in evse["connectors"]:
            mask |= _BIT[connector["type"]]
            if (power_kw := connector.get("power_kw", 0.0)) > max_power_kw:
                max_power_kw = power_kw
    hashed = orjson.dumps([*map(content.get, CONTENT)], option=orjson.OPT_SORT_KEYS)
    return Derived(
        evse_count=len(evses),
        connector_mask=mask,
        max_power_kw=max_power_kw or None,
        content_hash=blake2b(hashed, digest_size=16).digest(),
    )


@dataclass(slots=True)
class EvseState:
    """An EVSE with its state at the moment of reading.

    To be left as it is, like StoredStation; frozen ones would make reading a catalogue an eighth slower."""

    uid: str
    evse_id: str | None
    status: EvseStatus
    observed_at: datetime | None
    """When the source saw it in this state; `None` where the state is not an observation."""
    expires_at: datetime | None
    """When the state will read UNKNOWN unless it is observed again; `None`: never."""
    connectors: list[ConnectorDocument]
    stated_status: str | None = None
    """The lasting state that the record itself gives, whatever has been observed since."""
    stale_since: datetime | None = None
    """Since when what was observed at `observed_at` is too old to be shown."""


@dataclass(slots=True)
class StoredStation:
    """A station as read from the database, its live status merged in."""

    id: int
    source: str
    external_id: str
    title: str
    operator: str | None
    address: str | None
    city: str | None
    postal_code: str | None
    country: str | None
    longitude: float
    latitude: float
    access: str | None
    opening_hours: str | None
    price: str | None
    created_at: datetime
    last_updated: datetime
    """When the content (not the live status) last changed."""
    evses: list[EvseState]
    licence: str | None
    licence_url: str | None
    attribution: str | None


class EvseObservation(NamedTuple):
    """The newest that was observed of an EVSE."""

    station_id: int
    evse_uid: str
    status: str | None
    """An EvseStatus, unless a hand has written another word; `None`: nothing is known of it any more."""
    observed_us: int
    """Since 1970; 0 where nothing is known."""
    expires_us: int | None
    """When it ceases to hold; `None`: it holds until it is replaced."""


class ConnectorGroup(NamedTuple):
    """Connectors of one station that are of equal type and power."""

    type: str
    power_kw: float | None
    evses: list[int]
    """Of each of them, at which place in the station's list its EVSE is."""


def connector_groups(station: StoredStation) -> list[ConnectorGroup]:
    """The strongest first."""
    groups: dict[tuple[str, float | None], list[int]] = {}
    for n, evse in enumerate(station.evses):
        for connector in evse.connectors:
            groups.setdefault((connector["type"], connector.get("power_kw")), []).append(n)
    ordered = sorted(groups.items(), key=lambda group: (-(group[0][1] or 0), group[0][0]))
    return [ConnectorGroup(*key, evses) for key, evses in ordered]
