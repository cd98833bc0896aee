"""What an import did, counted so that nothing is lost: read = stations' records + statuses + skipped + rejected."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

_SHOWN_REASONS = 20


@dataclass(slots=True)
class Counts:
    """New, updated and unchanged, of records or of stations."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        return self.new + self.updated + self.unchanged


@dataclass(slots=True)
class Report:
    """The counts of one run. A record is what the source's publisher counts; several may make one station."""

    source: str
    record_noun: str
    dry_run: bool = False
    input_unchanged: bool = False
    """The input is what it was the last time, so nothing was read."""
    read: int = 0
    records: Counts = field(default_factory=Counts)
    stations: Counts = field(default_factory=Counts)
    removed: int = 0
    """Stations that the source has no more."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Records by reason."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Records by reason."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Records that tell the state of an EVSE, by what became of it: see `app.ingest.sightings`."""
    live: Counter[str] = field(default_factory=Counter)
    """Likewise the states that came with stations; they are no records of their own."""
    notes: Counter[str] = field(default_factory=Counter)
    """Records by what was stored otherwise than delivered."""
    rejections_file: str | None = None

    @property
    def balanced(self) -> bool:
        """Whether every record read is accounted for."""
        return self.read == sum(count for _, count in self._parts())

    def _parts(self) -> Iterator[tuple[str, int]]:
        """What the records read have become."""
        if self.records.total or not self.statuses:
            yield from asdict(self.records).items()
        yield from self.statuses.items()
        yield "skipped", self.skipped.total()
        yield "rejected", self.rejected.total()

    def as_document(self) -> dict[str, Any]:
        """Plain values for storing."""
        return {
            "read": self.read,
            "records": asdict(self.records),
            "stations": asdict(self.stations) | {"removed": self.removed},
            "statuses": dict(self.statuses),
            "live": dict(self.live),
            "skipped": dict(self.skipped),
            "rejected": dict(self.rejected),
            "notes": dict(self.notes),
            "rejections_file": self.rejections_file,
        }

    def lines(self) -> Iterator[str]:
        """The report for people."""
        if self.input_unchanged:
            yield f"{self.source}: the input has not changed, so nothing was read"
            return
        parts = " + ".join(f"{count:,} {name}" for name, count in self._parts())
        yield f"{self.source}: {self.read:,} {self.record_noun} read = {parts}"
        if self.records.total or not self.statuses:
            yield (
                f"stations: {self.stations.new:,} new, {self.stations.updated:,} updated,"
                f" {self.stations.unchanged:,} unchanged, {self.removed:,} removed"
            )
        if self.live:
            yield f"live status: {', '.join(f'{count:,} {name}' for name, count in self.live.items())}"
        for name, reasons in (("skipped", self.skipped), ("rejected", self.rejected), ("noted", self.notes)):
            for reason, count in reasons.most_common(_SHOWN_REASONS):
                yield f"{name}: {count:,} × {reason}"
            if len(reasons) > _SHOWN_REASONS:
                yield f"{name}: … and {len(reasons) - _SHOWN_REASONS:,} more reasons"
        if self.rejections_file:
            yield f"rejected {self.record_noun} are listed in {self.rejections_file}"
        if self.dry_run:
            yield "dry run: nothing was stored"
