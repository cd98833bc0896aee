"""Many rows in few statements: added, updated, deleted or upserted as fast as the database takes them.

    async with BatchOperations(session, Station) as ops:
        for each in stations:
            await ops.add(Station(**each))
    print(ops.result.inserted)

What is written so is a write like any other: the model's constructor, validators, column defaults and `before_…`
mapper events run, and triggers see it. Not run are `after_…` mapper events, session events and relationship
cascades.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, AsyncSessionTransaction
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from app.utils._batch_rows import Row, RowMaker
from app.utils._batch_sql import Conflict, Rows, delete_rows, insert_rows, update_rows, upsert_rows
from app.utils._uninterrupted import uninterrupted

__all__ = ["BatchOperations", "BatchResult", "BatchSettings", "Conflict", "RowError", "Rows", "upsert_rows"]

T = TypeVar("T")
Operation = Literal["add", "update", "delete", "upsert"]


class BatchSettings(BaseSettings):
    """How much is written at once."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Rows kept in memory before they are written. More gains little speed and costs memory."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that was not stored."""

    index: int
    """Its place among all rows that were given, from 0."""
    operation: Operation
    identity: Mapping[str, Any]
    """Its values of the key, the primary key and unique columns, as far as it has them."""
    reason: str


@dataclass(slots=True)
class BatchResult:
    """Numbers of rows; complete when the block has ended."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    """A row to delete that is not there is no error, and not counted."""
    unchanged: int = 0
    """Rows to update or upsert that were like that already."""
    errors: list[RowError] = field(default_factory=list)
    """In the order in which the rows were given; empty unless `on_error="collect"`."""

    @property
    def failed(self) -> int:
        return len(self.errors)


class BatchOperations(Generic[T]):
    """Writes to one model's table, within the session's transaction; it never commits.

    The block is a savepoint: an exception inside it, or a batch that fails, takes back all that the session wrote in
    it, through this or otherwise, and is raised; what was written before stays. With `on_error="collect"` the rows
    that cannot be stored are named in `errors` and all others are stored; a fault that is not a row's, such as a lost
    connection, is still raised.

    Rows are instances of the model or mappings from attribute names, and are written in the order given; operations
    that alternate need a statement for each change. As in an ORM flush, `None` for a new row means the default, where
    the column has one. An added instance stays outside the session and does not learn its generated id: look it up by
    its unique key. Objects that the session has loaded do not see what mappings change.

    A batch that is being written is written to its end even if the task is cancelled, as a statement that is cut off
    costs the connection and all that the caller has done in its transaction; then the block is taken back.

    When not to use it: for fewer than about a hundred rows, or where the rows' ids or relationships are needed next,
    `session.add_all` does as well. Use it, like its session, in one task at a time.
    """

    def __init__(
        self,
        session: AsyncSession,
        model: type[T],
        batch_size: int | None = None,
        *,
        on_error: Literal["raise", "collect"] = "raise",
        key: Sequence[str] | None = None,
        replace: Sequence[str] | None = None,
        unless_equal: Sequence[str] = (),
        ready_made: bool = False,
    ) -> None:
        """Args:
        batch_size: rows written at once; None: BATCH_SIZE.
        key: attributes by which `update`, `delete` and `upsert` find a row; for `upsert` they need a unique index.
            None: the primary key.
        replace: attributes that `upsert` changes in a row that exists. None: all but the key and the primary key.
        unless_equal: attributes; `upsert` leaves a row alone in which all of them are equal already.
        ready_made: the rows are what is to be stored: constructor, validators and mapper events are not run, only
            column defaults apply. Much faster with mappings; whoever says so answers for derived columns.

        Raises TypeError for a model that is not mapped to exactly one table.
        """
        self._batch_size = BatchSettings().batch_size if batch_size is None else batch_size
        if self._batch_size < 1:
            raise ValueError("a batch has at least one row")
        self._session = session
        self._collects = on_error == "collect"
        self._maker = RowMaker(model, key, ready_made=ready_made)
        self._conflict = Conflict(
            key=self._maker.column_names(self._maker.key),
            replace=self._maker.replaceable() if replace is None else self._maker.column_names(replace),
            unless_equal=self._maker.column_names(unless_equal),
        )
        self._pending: list[tuple[Operation, Row]] = []
        self._given = 0
        self._savepoint: AsyncSessionTransaction | None = None
        self._failure: BaseException | None = None
        self.result = BatchResult()
        """Nothing but errors once the block has been taken back."""

    @property
    def errors(self) -> list[RowError]:
        return self.result.errors

    async def __aenter__(self) -> Self:
        if self._savepoint:
            raise RuntimeError("BatchOperations serves for one block")
        self._savepoint = await uninterrupted(self._begin())
        return self

    async def _begin(self) -> AsyncSessionTransaction:
        connection = await self._session.connection()
        if connection.dialect.name == "sqlite":
            raw: Any = (await connection.get_raw_connection()).driver_connection
            if not raw.in_transaction:  # the driver begins none for a savepoint, whose release would then commit
                await connection.exec_driver_sql("BEGIN")
        return await self._session.begin_nested()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        await uninterrupted(self._finish() if error is None else self._take_back())

    async def _finish(self) -> None:
        try:
            await self._flush()
            await self._open_savepoint().commit()
        except BaseException:
            await self._take_back()
            raise
        self.errors.sort(key=attrgetter("index"))

    async def _take_back(self) -> None:
        self._pending.clear()
        self.result = BatchResult(errors=self.errors)
        if self._savepoint and self._savepoint.is_active:
            await self._savepoint.rollback()

    async def add(self, row: T | Mapping[str, Any]) -> None:
        """Insert a row. Raises ValueError for an instance that is in a session or stored already."""
        await self._put("add", self._maker.new(self._given, row))

    async def update(self, row: T | Mapping[str, Any]) -> None:
        """Change a stored row: of an instance that was loaded, what was set since; of others, all that they give.

        A row that is not there is an error (SQLAlchemy's StaleDataError). Raises ValueError if the key is missing."""
        await self._put("update", Row(self._given, row, key=self._maker.key_of(row)))

    async def delete(self, row: T | Mapping[str, Any]) -> None:
        """Delete a row, of which only the key matters. Raises ValueError if the key is missing."""
        await self._put("delete", Row(self._given, row, key=self._maker.key_of(row)))

    async def upsert(self, row: T | Mapping[str, Any]) -> None:
        """Insert a row, or replace the one with the same key: what is not given becomes its default.

        Raises ValueError for an instance that is in a session or stored already."""
        await self._put("upsert", self._maker.new(self._given, row))

    async def _put(self, operation: Operation, row: Row) -> None:
        if self._savepoint is None or self._failure:
            raise RuntimeError(
                "use BatchOperations in one `async with` block, and not after a failure"
            ) from self._failure
        self._pending.append((operation, row))
        self._given += 1
        if len(self._pending) >= self._batch_size:
            await uninterrupted(self._flush())

    def _open_savepoint(self) -> AsyncSessionTransaction:
        if self._failure:
            raise RuntimeError("a batch has failed, so nothing of the block is stored") from self._failure
        if self._savepoint is None or not self._savepoint.is_active:
            raise RuntimeError(
                "the block's transaction has been ended inside it; BatchOperations cannot take it back"
            )
        return self._savepoint

    async def _flush(self) -> None:
        pending, self._pending = self._pending, []
        self._open_savepoint()
        try:
            connection = await self._session.connection()
            self._maker.for_dialect(connection.dialect)
            for operation, group in groupby(pending, key=itemgetter(0)):
                await self._write(connection, operation, [row for _, row in group])
        except BaseException as error:
            self._failure = error
            raise

    async def _write(self, connection: AsyncConnection, operation: Operation, rows: list[Row]) -> None:
        """Each row must see those before it, so that none is written together with another of the same key."""
        if operation in {"add", "upsert"}:  # the key may come from a default
            rows = await self._session.run_sync(self._prepare, operation, rows)
        for part in [rows] if operation == "add" else _without_repeated_keys(rows):
            if operation in {"update", "delete"}:
                ready = await self._session.run_sync(self._prepare, operation, part)
            else:
                ready = part
            for alike in _by_names(ready):
                await (self._store_good if self._collects else self._store)(connection, operation, alike)

    def _prepare(self, session: Session, operation: Operation, rows: list[Row]) -> list[Row]:
        event = f"before_{'insert' if operation in {'add', 'upsert'} else operation}"
        if operation in {"update", "delete"}:
            self._maker.load(session, rows, for_event=event)
        fire = self._maker.listeners(session, event)
        complete = {
            "add": self._maker.insert,
            "upsert": self._maker.upsert,
            "update": self._maker.update,
            "delete": self._maker.delete,
        }[operation]
        prepared = []
        for row in rows:
            try:
                complete(fire, row)
            except Exception as error:
                if not self._collects or not _is_of_a_row(error):
                    raise
                self._name(operation, row, error, session)
            else:
                prepared.append(row)
        return prepared

    async def _store_good(self, connection: AsyncConnection, operation: Operation, rows: Sequence[Row]) -> None:
        """Store all, or else each half by itself, until a bad row is alone."""
        try:
            async with connection.begin_nested():
                await self._store(connection, operation, rows)
        except Exception as error:
            if not _is_of_a_row(error):
                raise
            if len(rows) == 1:
                self._name(operation, rows[0], error, self._session.sync_session)
                return
            middle = len(rows) // 2
            await self._store_good(connection, operation, rows[:middle])
            await self._store_good(connection, operation, rows[middle:])

    def _name(self, operation: Operation, row: Row, error: Exception, session: Session) -> None:
        self.errors.append(RowError(row.index, operation, self._maker.identity(row), _reason(error)))
        self._maker.failed(session, row)

    async def _store(self, connection: AsyncConnection, operation: Operation, rows: Sequence[Row]) -> None:
        batch = Rows(self._maker.table, rows[0].names, [row.values for row in rows])
        if not batch.names:
            self.result.unchanged += len(rows)
        elif operation == "add":
            await insert_rows(connection, batch)
            self.result.inserted += len(rows)
        elif operation == "upsert":
            done = await upsert_rows(connection, batch, self._conflict)
            self.result.inserted += done.inserted
            self.result.updated += done.updated
            self.result.unchanged += len(rows) - done.inserted - done.updated
        elif operation == "update":
            found = await update_rows(connection, batch, self._conflict.key)
            if found != len(rows):
                raise StaleDataError(f"{len(rows) - found} of {len(rows)} rows to update do not exist")
            self.result.updated += found
        else:
            self.result.deleted += await delete_rows(connection, batch)
        for row in rows:
            self._maker.stored(self._session.sync_session, row, deleted=operation == "delete")


def _without_repeated_keys(rows: Iterable[Row]) -> Iterator[list[Row]]:
    part: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if row.key in part:
            yield list(part.values())
            part = {}
        part[row.key] = row
    if part:
        yield list(part.values())


def _by_names(rows: Iterable[Row]) -> Iterable[list[Row]]:
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(row.names, []).append(row)
    return alike.values()


_CLASSES_OF_ROW_FAULTS = {"22", "23", "44", "54", "P0"}
"""Of SQLSTATE (PostgreSQL 15 manual, appendix A): data, constraints, views' checks, limits, RAISE in a trigger."""


def _is_of_a_row(error: Exception) -> bool:
    """Whether another row might do better."""
    if not isinstance(error, DBAPIError):
        return True
    if state := getattr(error.orig, "sqlstate", None):
        return state[:2] in _CLASSES_OF_ROW_FAULTS
    return not isinstance(error, OperationalError)


def _reason(error: Exception) -> str:
    told = error.orig if isinstance(error, DBAPIError) else error
    return (str(told).splitlines() or [type(told).__name__])[0]
