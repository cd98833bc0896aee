"""Rows written in batches are stored as the ORM would store them, on both databases."""

import asyncio
import enum
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Enum,
    ForeignKey,
    LargeBinary,
    NullPool,
    String,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates
from sqlalchemy.orm.exc import StaleDataError

from app.db import Database
from app.db.base import BigId, Document, UtcDateTime
from app.db.engine import synchronous, with_driver
from app.stations import Station, StationCreate
from app.stations.feed import changes_after, current_position
from app.utils.batch_ops import BatchOperations, BatchSettings
from app.utils.memory_optimization import BulkInsertBuffer
from tests.make import station


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Thing(Base):
    """Every kind of column that makes a difference."""

    __tablename__ = "some things"
    __table_args__ = (UniqueConstraint("the name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column("the name", String)
    number: Mapped[int | None]
    ratio: Mapped[float | None]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, native_enum=False, length=10))
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    document: Mapped[Any] = mapped_column(Document, nullable=True)
    is_good: Mapped[bool | None]
    kind: Mapped[str] = mapped_column(default="plain")
    tags: Mapped[list[str]] = mapped_column(Document, default=list)
    origin: Mapped[str | None] = mapped_column(server_default="somewhere")
    length: Mapped[int | None] = mapped_column(default=func.abs(-7))
    version: Mapped[int] = mapped_column(default=1, onupdate=2)
    parent: Mapped[int | None] = mapped_column(BigId, ForeignKey("some things.id"))
    upper: Mapped[str | None]

    @validates("number")
    def _is_small(self, _: str, number: int | None) -> int | None:
        if number is not None and abs(number) > 1_000_000:
            raise ValueError("number is too large")
        return number


@event.listens_for(Thing, "before_insert")
@event.listens_for(Thing, "before_update")
def _derive(_mapper: object, _connection: object, thing: Thing) -> None:
    thing.upper = None if thing.name is None else thing.name.upper()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def things_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of either kind that holds the table of things."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('things')}/things.db"
    else:
        url = str(request.getfixturevalue("postgresql_server"))
    engine = create_engine(synchronous(with_driver(url)), poolclass=NullPool)
    Base.metadata.create_all(engine)
    yield url
    Base.metadata.drop_all(engine)


@pytest.fixture
async def things(things_url: str) -> AsyncIterator[Database]:
    """A database with no thing in it."""
    database = Database(things_url)
    async with database.open_session() as session:
        await session.execute(delete(Thing))
    yield database
    await database.close()


def names(number: int, prefix: str = "t") -> list[dict[str, Any]]:
    return [{"name": f"{prefix}{n}"} for n in range(number)]


async def stored(session: AsyncSession, *columns: Any) -> list[Any]:
    rows = (await session.execute(select(*columns).order_by(Thing.id))).all()
    return [row[0] if len(columns) == 1 else tuple(row) for row in rows]


async def add_all(session: AsyncSession, rows: Iterable[Any], **options: Any) -> BatchOperations[Thing]:
    async with BatchOperations(session, Thing, **options) as ops:
        for row in rows:
            await ops.add(row)
    return ops


_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_HOSTILE = st.sampled_from(["\t", "a\nb", "\\", "\\N", "\\.", "\r\n", "'", '"', "%s", "NULL", "", "é\u2028", "😀"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | _WORDS | _HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.fixed_dictionaries(
    {"name": _HOSTILE | _WORDS},
    optional={
        "number": st.none() | st.integers(-1_000_000, 1_000_000),
        "ratio": st.none() | st.floats(allow_nan=False, width=32),
        "raw": st.none() | st.binary(max_size=20),
        "colour": st.none() | st.sampled_from(Colour),
        "at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "document": _JSON.filter(lambda value: type(value) is not int),  # SQLite would not keep it as JSON
        "is_good": st.none() | st.booleans(),
        "kind": st.none() | _WORDS,
        "tags": st.lists(_WORDS, max_size=3),
        "origin": st.none() | _HOSTILE,
        "length": st.none() | st.integers(0, 9),
        "version": st.none() | st.integers(0, 9),
    },
)


@given(rows=st.lists(_FIELDS, max_size=8, unique_by=lambda row: str(row["name"])), batch_size=st.integers(1, 5))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_rows_are_stored_as_by_the_orm(things_url: str, rows: list[dict[str, Any]], batch_size: int) -> None:
    columns = [column for column in Thing.__table__.columns if column.name != "id"]

    async def every_way() -> list[list[Any]]:
        database = Database(things_url)
        read = []
        try:
            for as_given in (None, rows, [Thing(**row) for row in rows]):
                async with database.open_session() as session:
                    await session.execute(delete(Thing))
                    if as_given is None:
                        session.add_all([Thing(**row) for row in rows])
                    else:
                        await add_all(session, as_given, batch_size=batch_size)
                    await session.flush()
                    read.append(await stored(session, *columns))
        finally:
            await database.close()
        return read

    by_orm, from_mappings, from_instances = asyncio.run(every_way())
    assert sorted(map(repr, from_mappings)) == sorted(map(repr, by_orm))
    assert sorted(map(repr, from_instances)) == sorted(map(repr, by_orm))
    assert len(by_orm) == len(rows)


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 263])
async def test_every_row_is_stored_whatever_the_batch_size(number: int, things: Database) -> None:
    async with things.open_session() as session:
        ops = await add_all(session, names(number), batch_size=100)
        assert await stored(session, Thing.name) == [row["name"] for row in names(number)]
    assert ops.result.inserted == number
    assert ops.errors == []


async def test_rows_of_different_columns_go_into_one_batch(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, [{"name": "a"}, {"name": "b", "origin": "here"}, {"name": "c", "document": [1]}])
        read = await stored(session, Thing.name, Thing.origin, Thing.document, Thing.length)
    assert sorted(read) == [("a", "somewhere", None, 7), ("b", "here", None, 7), ("c", "somewhere", [1], 7)]


@pytest.mark.parametrize("caught_inside", [False, True])
async def test_a_batch_that_fails_takes_all_others_back_and_is_raised(caught_inside: bool, things: Database) -> None:
    async with things.open_session() as session:
        session.add(Thing(name="before"))
        ops = BatchOperations(session, Thing, batch_size=10)

        async def fail() -> None:
            async with ops:
                for row in [*names(25), {"name": "t3"}, *names(14, "u")]:
                    try:
                        await ops.add(row)
                    except IntegrityError:
                        if not caught_inside:
                            raise

        with pytest.raises(RuntimeError if caught_inside else IntegrityError):
            await fail()
        assert ops.result.inserted == 0
        session.add(Thing(name="after"))
        await session.flush()
        assert await stored(session, Thing.name) == ["before", "after"]


async def test_a_rest_that_fails_at_the_end_takes_all_back(things: Database) -> None:
    async with things.open_session() as session:
        with pytest.raises(IntegrityError, match=r"(?i)unique"):
            await add_all(session, [*names(25), {"name": "t3"}], batch_size=10)
        assert await stored(session, Thing.name) == []


async def test_an_error_in_the_block_takes_all_back_and_is_raised(things: Database) -> None:
    async with things.open_session() as session:

        async def fail() -> None:
            async with BatchOperations(session, Thing, batch_size=10) as ops:
                for row in names(25):
                    await ops.add(row)
                raise LookupError("halfway")

        with pytest.raises(LookupError, match="halfway"):
            await fail()
        assert await stored(session, Thing.name) == []


async def test_cancelling_takes_all_back_and_leaves_the_session_usable(things: Database) -> None:
    reached = asyncio.Event()

    async def endless(session: AsyncSession) -> None:
        async with BatchOperations(session, Thing, batch_size=10) as ops:
            for row in names(1_000_000):
                await ops.add(row)
                if row["name"] == "t55":
                    reached.set()

    async with things.open_session() as session:
        async with asyncio.timeout(20):
            task = asyncio.create_task(endless(session))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await stored(session, Thing.name) == []
        await add_all(session, names(3))
        assert len(await stored(session, Thing.name)) == 3


async def test_ending_the_transaction_inside_the_block_is_an_error(things: Database) -> None:
    engine = create_async_engine(with_driver(things.url))
    async with AsyncSession(engine) as session:

        async def fail() -> None:
            async with BatchOperations(session, Thing) as ops:
                await ops.add({"name": "a"})
                await session.commit()

        with pytest.raises(RuntimeError, match="ended inside"):
            await fail()
        assert await stored(session, Thing.name) == []
    await engine.dispose()


async def test_it_does_not_commit(things: Database) -> None:
    async def fail() -> None:
        async with things.open_session() as session:
            await add_all(session, names(3))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with things.open_session() as session:
        assert await stored(session, Thing.name) == []


async def test_bad_rows_are_named_and_good_ones_stored(things: Database) -> None:
    rows = names(40)
    rows[3] = {"name": None}
    rows[7] = {"name": "t2"}
    rows[20] = {"name": "t20", "number": 2_000_000}
    rows[21] = {"name": "t21", "at": datetime(2026, 1, 1)}  # noqa: DTZ001
    rows[22] = {"name": "t22", "raw": object()}
    rows[39] = {"name": "t39", "parent": -1}
    async with things.open_session() as session:
        ops = await add_all(session, rows, batch_size=16, on_error="collect")
        read = await stored(session, Thing.name)
    assert [each.index for each in ops.errors] == [3, 7, 20, 21, 22, 39]
    assert {each.operation for each in ops.errors} == {"add"}
    assert [each.identity for each in ops.errors] == [{}, *({"name": n} for n in ("t2", "t20", "t21", "t22", "t39"))]
    reasons = [each.reason for each in ops.errors]
    assert "null" in reasons[0].lower()
    assert "unique" in reasons[1].lower()
    assert reasons[2:4] == ["number is too large", "an instant needs a time zone"]
    assert "object" in reasons[4]
    assert "foreign key" in reasons[5].lower()
    assert (ops.result.inserted, ops.result.failed) == (34, 6)
    bad = {each.index for each in ops.errors}
    assert read == [f"t{n}" for n in range(40) if n not in bad]


@pytest.mark.parametrize("value", ["nul \0 in it", "lone surrogate \ud800"], ids=["nul", "surrogate"])
async def test_text_that_a_database_refuses_is_a_named_row(value: str, things: Database) -> None:
    async with things.open_session() as session:
        ops = await add_all(session, [*names(5), {"name": value}, {"name": "last"}], on_error="collect")
        read = await stored(session, Thing.name)
        sqlite_takes_it = session.get_bind().dialect.name == "sqlite" and "\0" in value
    if sqlite_takes_it:
        assert value in read
    else:
        assert [each.index for each in ops.errors] == [5]
        assert read == ["t0", "t1", "t2", "t3", "t4", "last"]


async def test_a_fault_that_is_no_rows_is_raised(database: Database) -> None:
    async with database.open_session() as session:
        with pytest.raises(SQLAlchemyError, match="some things"):
            await add_all(session, names(3), on_error="collect")


async def test_operations_happen_in_the_order_given(things: Database) -> None:
    async with things.open_session() as session, BatchOperations(session, Thing, key=["name"]) as ops:
        await ops.add({"name": "a", "number": 1})
        await ops.update({"name": "a", "number": 2})
        await ops.update({"name": "a", "ratio": 0.5})
        await ops.update({"name": "a", "number": 3})
        await ops.delete({"name": "a"})
        await ops.delete({"name": "a"})
        await ops.upsert({"name": "a", "number": 4})
        await ops.upsert({"name": "a", "number": 5})
    assert (ops.result.inserted, ops.result.updated, ops.result.deleted) == (2, 4, 1)
    async with things.open_session() as session:
        assert await stored(session, Thing.name, Thing.number, Thing.ratio) == [("a", 5, None)]


@pytest.mark.parametrize("ready_made", [False, True])
async def test_an_update_changes_what_is_given_and_nothing_else(ready_made: bool, things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, [{"name": n, "number": 1, "origin": "x"} for n in ("a", "b", "c")])
        first, second, _ = await stored(session, Thing.id)
        async with BatchOperations(session, Thing, ready_made=ready_made) as ops:
            await ops.update({"id": first, "name": "z", "number": None})
            await ops.update(Thing(id=second, ratio=0.5))
        read = await stored(session, Thing.name, Thing.number, Thing.ratio, Thing.origin, Thing.version, Thing.upper)
    assert ops.result.updated == 2
    assert read == [
        ("z", None, None, "x", 2, "A" if ready_made else "Z"),
        ("b", 1, 0.5, "x", 2, "B"),
        ("c", 1, None, "x", 1, "C"),
    ]


async def test_a_loaded_instance_is_updated_once_and_stays_in_its_session(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, names(3))
        one, two, three = (await session.scalars(select(Thing).order_by(Thing.id))).all()
        statements: list[str] = []
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement))
        async with BatchOperations(session, Thing) as ops:
            one.number = 1
            await ops.update(one)
            await ops.update(two)
            await ops.delete(three)
        await session.flush()
        assert (ops.result.updated, ops.result.unchanged, ops.result.deleted) == (1, 1, 1)
        assert sum(statement.startswith("UPDATE") for statement in statements) == 1
        assert (one in session, three in session) == (True, False)
        assert not session.dirty or not session.is_modified(one)
        assert await stored(session, Thing.number, Thing.version) == [(1, 2), (None, 1)]


async def test_a_row_to_update_that_is_not_there_is_an_error(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, names(3))
        (first, *_) = await stored(session, Thing.id)
        rows: list[dict[str, Any]] = [{"id": first, "number": 1}, {"id": -1, "number": 2}]

        async def fail() -> None:
            async with BatchOperations(session, Thing) as ops:
                for row in rows:
                    await ops.update(row)

        with pytest.raises(StaleDataError):
            await fail()
        assert await stored(session, Thing.number) == [None, None, None]
        async with BatchOperations(session, Thing, on_error="collect") as ops:
            for row in rows:
                await ops.update(row)
        assert await stored(session, Thing.number) == [1, None, None]
        assert [(each.index, each.identity) for each in ops.errors] == [(1, {"id": -1})]


async def test_what_a_collected_update_could_not_store_is_not_flushed_later(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, names(2))
        one = (await session.scalars(select(Thing).order_by(Thing.id))).first()
        assert one
        async with BatchOperations(session, Thing, on_error="collect") as ops:
            with session.no_autoflush:
                one.name = "t1"
                await ops.update(one)
        assert [each.index for each in ops.errors] == [0]
        await session.flush()
        assert await stored(session, Thing.name) == ["t0", "t1"]


async def test_an_upsert_inserts_replaces_and_leaves_alone(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, [{"name": n, "number": 1, "ratio": 0.5} for n in ("a", "b", "c")])
        before = dict(await stored(session, Thing.name, Thing.id))
        async with BatchOperations(session, Thing, key=["name"], unless_equal=["number"]) as ops:
            await ops.upsert(Thing(name="a", number=1))
            await ops.upsert({"name": "b", "number": 2})
            await ops.upsert({"name": "d", "number": 3})
        assert (ops.result.inserted, ops.result.updated, ops.result.unchanged) == (1, 1, 1)
        async with BatchOperations(session, Thing, key=["name"], replace=["number"]) as ops:
            await ops.upsert({"name": "c", "number": 4, "ratio": 0.75})
        assert (ops.result.inserted, ops.result.updated, ops.result.unchanged) == (0, 1, 0)
        read = await stored(session, Thing.name, Thing.number, Thing.ratio)
        assert sorted(read) == [("a", 1, 0.5), ("b", 2, None), ("c", 4, 0.5), ("d", 3, None)]
        after = dict(await stored(session, Thing.name, Thing.id))
    assert {name: after[name] for name in before} == before


async def test_keys_that_come_from_a_default_are_told_to_the_instance(things: Database) -> None:
    given = Thing(name="a")
    async with things.open_session() as session:
        await add_all(session, [given])
    assert (given.kind, given.tags, given.version, given.upper) == ("plain", [], 1, "A")
    assert inspect(given).transient


async def test_what_is_no_row_is_refused_at_once(things: Database) -> None:
    async with things.open_session() as session, BatchOperations(session, Thing, on_error="collect") as ops:
        loaded = Thing(name="loaded")
        session.add(loaded)
        with pytest.raises(ValueError, match="in a session"):
            await ops.add(loaded)
        with pytest.raises(TypeError, match="no column nmae"):
            await ops.add({"nmae": "a"})
        with pytest.raises(TypeError, match="neither a Thing nor a mapping"):
            await ops.add(Station())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="without id"):
            await ops.update({"name": "a"})
        with pytest.raises(ValueError, match="without id"):
            await ops.delete(Thing(name="a"))
    with pytest.raises(RuntimeError, match="async with"):
        await BatchOperations(session, Thing).add({"name": "a"})
    with pytest.raises(ValueError, match="at least one"):
        BatchOperations(session, Thing, batch_size=0)
    with pytest.raises(TypeError, match="no column nmae"):
        BatchOperations(session, Thing, key=["nmae"])


def test_the_batch_size_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BatchSettings().batch_size == 1_000
    monkeypatch.setenv("BATCH_SIZE", "7")
    assert BatchSettings().batch_size == 7


async def test_stations_get_derived_columns_and_change_records(database: Database) -> None:
    given = [station(str(n), country="DE") for n in range(150)]
    async with database.open_session() as session:
        session.add(Station(**station("before").model_dump()))
    async with database.open_session() as session:
        position = await current_position(session)
    async with database.open_session() as session:
        session.add_all([Station(**each.model_copy(update={"source": "orm"}).model_dump()) for each in given])
        async with BatchOperations(session, Station, batch_size=100) as ops:
            for each in given:
                await ops.add(Station(**each.dict()))
    assert ops.result.inserted == 150
    derived = (Station.external_id, Station.content_hash, Station.evse_count, Station.connector_mask, Station.evses)
    async with database.open_session() as session:
        by_orm, in_batches = [
            (
                await session.execute(
                    select(*derived)
                    .where(Station.source == source, Station.external_id != "before")
                    .order_by(Station.id)
                )
            ).all()
            for source in ("orm", "test")
        ]
        ids = set(await session.scalars(select(Station.id).where(Station.external_id != "before")))
        changes = await session.run_sync(changes_after, position)
    assert in_batches == by_orm
    assert changes is not None
    assert changes.stations.keys() == ids
    assert len(ids) == 300


async def test_a_changed_station_is_derived_anew(database: Database) -> None:
    async with database.open_session() as session:
        async with BatchOperations(session, Station) as ops:
            await ops.add(Station(**station("1").model_dump()))
        before = (await session.execute(select(Station.content_hash, Station.last_updated))).one()
        async with BatchOperations(session, Station, key=["source", "external_id"]) as ops:
            await ops.update({"source": "test", "external_id": "1", "title": "renamed", "evses": []})
        after = (await session.execute(select(Station.content_hash, Station.last_updated, Station.evse_count))).one()
    assert after.content_hash != before.content_hash
    assert after.last_updated > before.last_updated
    assert after.evse_count == 0


async def test_a_reader_sees_nothing_before_the_commit_and_all_after(database: Database) -> None:
    async def count() -> int:
        async with database.open_session(read_only=True) as session:
            return await session.scalar(select(func.count()).select_from(Station)) or 0

    async with database.open_session() as session:
        async with BatchOperations(session, Station, batch_size=10) as ops:
            for n in range(25):
                await ops.add(Station(**StationCreate(title=f"{n}", longitude=1, latitude=2).model_dump()))
            assert await count() == 0
        assert await count() == 0
    assert await count() == 25


async def test_nothing_temporary_is_left(things: Database) -> None:
    async with things.open_session() as session:
        async with BatchOperations(session, Thing, key=["name"]) as ops:
            await ops.upsert({"name": "a"})
            await ops.update({"name": "a", "number": 1})
            await ops.delete({"name": "a"})
        tables = (await session.connection()).run_sync(lambda connection: inspect(connection).get_temp_table_names())
        assert await tables == []


async def test_a_buffer_writes_full_batches_and_at_the_end_the_rest(things: Database) -> None:
    async with things.open_session() as session:
        async with BulkInsertBuffer(session, Thing, batch_size=10) as buffer:
            for n, row in enumerate(names(25), start=1):
                await buffer.add(Thing(**row))
                assert (buffer.inserted, len(buffer.pending)) == (n // 10 * 10, n % 10)
        assert (buffer.inserted, buffer.pending) == (25, [])
        assert len(await stored(session, Thing.name)) == 25


async def test_a_buffer_writes_when_the_time_has_come(things: Database) -> None:
    async with things.open_session() as session, BulkInsertBuffer(session, Thing, flush_interval_s=0.01) as buffer:
        async with asyncio.timeout(20):
            for number in (1, 2):
                await buffer.add({"name": f"t{number}"})
                while buffer.inserted < number:
                    await asyncio.sleep(0.001)
        await buffer.add({"name": "rest"})
    async with things.open_session() as session:
        assert await stored(session, Thing.name) == ["t1", "t2", "rest"]


async def test_a_buffer_keeps_what_was_added_before_an_error_in_the_block(things: Database) -> None:
    async with things.open_session() as session:

        async def fail() -> None:
            async with BulkInsertBuffer(session, Thing, batch_size=10) as buffer:
                for row in names(15):
                    await buffer.add(row)
                raise LookupError

        with pytest.raises(LookupError):
            await fail()
        assert len(await stored(session, Thing.name)) == 15


async def test_a_buffers_batch_that_fails_waits_whole_and_is_tried_again(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, [{"name": "t1"}])
        buffer = BulkInsertBuffer(session, Thing, batch_size=3)

        async def fail() -> None:
            async with buffer:
                for row in names(3):
                    await buffer.add(row)

        with pytest.raises(IntegrityError):
            await fail()
        assert buffer.pending == names(3)
        await session.execute(text('DELETE FROM "some things"'))
        await buffer.flush()
        assert (buffer.pending, buffer.inserted) == ([], 3)
        assert await stored(session, Thing.name) == ["t0", "t1", "t2"]


async def test_an_error_of_the_blocks_own_outlives_that_of_the_rest(things: Database) -> None:
    async with things.open_session() as session:
        buffer = BulkInsertBuffer(session, Thing)

        async def fail() -> None:
            async with buffer:
                await buffer.add({"name": None})
                raise LookupError

        with pytest.raises(LookupError) as raised:
            await fail()
        assert buffer.pending == [{"name": None}]
        assert "1 buffered rows could not be written" in raised.value.__notes__[0]


async def test_a_flush_by_the_clock_that_fails_is_told_and_loses_nothing(things: Database) -> None:
    async with things.open_session() as session:
        await add_all(session, [{"name": "t0"}])
        buffer = BulkInsertBuffer(session, Thing, flush_interval_s=0.001)

        async def fail() -> None:
            async with asyncio.timeout(20), buffer:
                await buffer.add({"name": "t0"})
                for n in range(1, 1_000_000):
                    await buffer.add({"name": f"t{n}"})
                    await asyncio.sleep(0.001)

        with pytest.raises(IntegrityError):
            await fail()
        added = [row["name"] for row in buffer.pending if isinstance(row, dict)]
        assert added == [f"t{n}" for n in range(len(added))]
        assert len(added) > 1


async def test_a_buffer_that_is_cancelled_loses_nothing(things: Database) -> None:
    added: list[str] = []
    enough = asyncio.Event()

    async def endless(session: AsyncSession) -> None:
        async with BulkInsertBuffer(session, Thing, batch_size=7) as buffer:
            for row in names(1_000_000):
                added.append(row["name"])
                await buffer.add(row)
                if len(added) > 50:
                    enough.set()

    async with things.open_session() as session:
        async with asyncio.timeout(20):
            task = asyncio.create_task(endless(session))
            await enough.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await stored(session, Thing.name) == added


async def test_a_buffer_refuses_at_once_what_is_no_row(things: Database) -> None:
    async with things.open_session() as session, BulkInsertBuffer(session, Thing) as buffer:
        with pytest.raises(TypeError, match="neither"):
            await buffer.add(timedelta())  # type: ignore[arg-type]
        assert buffer.pending == []
    with pytest.raises(ValueError, match="at least one"):
        BulkInsertBuffer(session, Thing, batch_size=0)


async def test_on_an_engine_of_ones_own_it_never_commits_either(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'own.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await add_all(session, names(3))
        await session.rollback()
        assert await session.scalar(select(func.count()).select_from(Thing)) == 0
    await engine.dispose()
