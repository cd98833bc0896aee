"""Of which stations a receiver is told."""

from functools import lru_cache
from typing import Annotated

from pydantic import Field

from app.live import Watch
from app.stations.query import MAX_IDS, BoxText, Parameters, parse_box
from app.stations.vocabulary import ConnectorType

StationId = Annotated[int, Field(ge=1, lt=2**63)]


class WebhookFilter(Parameters):
    """All that is given must hold for a station; `{}` is every station."""

    ids: Annotated[frozenset[StationId], Field(max_length=MAX_IDS)] | None = Field(
        None, description=f"Only these stations, up to {MAX_IDS:,}.", examples=[[1, 2, 3]]
    )
    bbox: BoxText | None = Field(
        None,
        description="Only stations inside `west,south,east,north`, in degrees; as in searches.",
        examples=["13.3,52.4,13.5,52.6"],
    )
    connector: Annotated[tuple[ConnectorType, ...], Field(max_length=len(ConnectorType))] = Field(
        (), description="Only stations with one of these connectors.", examples=[["ccs2"]]
    )

    @property
    def watch(self) -> Watch:
        return Watch(self.ids, None if self.bbox is None else parse_box(self.bbox), self.connector)


@lru_cache(maxsize=1_000)
def watch_of(stored: str) -> Watch:
    """Of a filter as the database has it."""
    return WebhookFilter.model_validate_json(stored).watch


def must_remember(watch: Watch) -> bool:
    """Whether a station can leave the filter without it being told by its id or its end alone."""
    return watch.ids is None and (watch.box is not None or bool(watch.connectors))
