"""What all processes know about schedules: which there are, which are paused, and how far each has got."""

import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.utils._jobs_cadence import Cadence, Cron, Every, cadence_of
from app.utils._jobs_database import reachable, schema_of

_MAKE_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('task_schedules', 7))")


@dataclass(frozen=True, slots=True)
class Entry:
    """One schedule. Times are Unix time, seconds."""

    name: str
    every_s: float | None
    cron: str | None
    is_paused: bool
    done_slot: float | None
    """Beginning of the last slot that has its job, or was passed over; `None`: there was none yet."""
    kept_at: float

    @property
    def cadence(self) -> Cadence:
        return cadence_of(self.every_s, self.cron)

    @property
    def next_slot(self) -> float:
        """The first that is not done; in the past when nobody has kept the schedule."""
        return self.kept_at if self.done_slot is None else self.cadence.next_after(self.done_slot)


class Calendar:
    """A table beside the queue's. All methods block, and raise QueueUnavailableError while the database is away."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._table = sa.Table(
            "task_schedules",
            sa.MetaData(schema=schema_of(engine)),
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("every_s", sa.Double),
            sa.Column("cron", sa.Text),
            sa.Column("is_paused", sa.Boolean, nullable=False),
            sa.Column("done_slot", sa.Double),
            sa.Column("kept_at", sa.Double, nullable=False),
        )

    def make_table(self) -> None:
        """Does nothing where it is."""
        with reachable(), self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(_MAKE_ONE_AT_A_TIME)
            connection.execute(sa.schema.CreateTable(self._table, if_not_exists=True))

    def keep(self, name: str, cadence: Every | Cron) -> Entry:
        """Tell that this process looks after a schedule, and return what is known of it."""
        now = time.time()
        every_s = cadence.interval_s if isinstance(cadence, Every) else None
        cron = cadence.expression if isinstance(cadence, Cron) else None
        first = None if cadence.begins_at_once else cadence.slot_at(now)
        old = self._table.c
        new = {"every_s": every_s, "cron": cron, "kept_at": now}
        # a changed expression begins anew: what it would have meant before is not made up for
        done = sa.case((sa.or_(old.cron == cron, sa.literal(cron is None)), old.done_slot), else_=first)
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        statement = (
            insert(self._table)
            .values(name=name, is_paused=False, done_slot=first, **new)
            .on_conflict_do_update(index_elements=["name"], set_=new | {"done_slot": done})
            .returning(*self._table.c)
        )
        with reachable(), self._engine.begin() as connection:
            return Entry(*connection.execute(statement).one())

    def set_done(self, name: str, slot: float) -> None:
        """The slot has its job, or is passed over."""
        table = self._table
        is_later = sa.or_(table.c.done_slot.is_(None), table.c.done_slot < slot)
        with reachable(), self._engine.begin() as connection:
            connection.execute(table.update().where(table.c.name == name, is_later).values(done_slot=slot))

    def set_paused(self, name: str, is_paused: bool) -> bool:
        """Whether there is such a schedule."""
        update = self._table.update().where(self._table.c.name == name).values(is_paused=is_paused)
        with reachable(), self._engine.begin() as connection:
            return connection.execute(update).rowcount == 1

    def entries(self) -> list[Entry]:
        """By name."""
        with reachable(), self._engine.connect() as connection:
            return [Entry(*row) for row in connection.execute(sa.select(self._table).order_by(self._table.c.name))]

    def forget(self, kept_before: float) -> None:
        """Delete what nobody has looked after since then, and is not paused: it is no more in the code."""
        table = self._table
        is_old = sa.and_(table.c.kept_at < kept_before, sa.not_(table.c.is_paused))
        with reachable(), self._engine.begin() as connection:
            connection.execute(table.delete().where(is_old))
