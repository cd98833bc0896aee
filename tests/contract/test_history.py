"""What is remembered of EVSEs, against states that are simply kept for each minute."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from app.db import Database
from app.stations import history, live, repository
from app.stations.history import Period
from app.stations.live import Observation
from app.stations.model import Connector, Evse
from app.stations.occupancy import UseOverTime
from app.stations.vocabulary import ConnectorType, EvseStatus
from tests.make import NOW, station

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TIME_TO_LIVE = 40 * MINUTE
UIDS = ("a", "b")
Seen = tuple[str, EvseStatus, datetime]


async def _store(database: Database) -> int:
    connectors = (Connector(type=ConnectorType.CCS2),)
    evses = tuple(Evse(uid=uid, connectors=connectors) for uid in UIDS)
    async with database.open_session() as session:
        await repository.store(session, "test", [station("1", evses=evses)], NOW)
        return (await repository.ids_of(session, "test", ["1"]))["1"]


async def _observe(database: Database, station_id: int, seen: Sequence[Seen], ttl: timedelta = TIME_TO_LIVE) -> None:
    async with database.open_session() as session:
        observations = [Observation(station_id, *each) for each in seen]
        await live.observe(session, "test", observations, NOW, ttl)


async def _periods(database: Database, station_id: int, start: datetime, end: datetime) -> dict[str, list[Period]]:
    async with database.open_session(read_only=True) as session:
        changes = await history.changes_between(session, station_id, start, end)
        return await history.periods(session, station_id, changes, start, end)


def _by_minutes(seen: Sequence[Seen], uid: str, start: datetime, end: datetime) -> list[EvseStatus]:
    """Of each minute: the newest observation before its end that is not too old then."""
    states = []
    for n in range(int((end - start) / MINUTE)):
        minute = start + n * MINUTE
        before = [each for each in seen if each[0] == uid and each[2] <= minute]
        newest = max(before, key=lambda each: each[2], default=None)
        holds = newest is not None and minute < newest[2] + TIME_TO_LIVE
        states.append(newest[1] if newest and holds else EvseStatus.UNKNOWN)
    return states


def _sampled(periods: Sequence[Period], start: datetime, end: datetime) -> list[EvseStatus]:
    moments = [start + n * MINUTE for n in range(int((end - start) / MINUTE))]
    return [next((p.status for p in periods if p.start <= at < p.end), EvseStatus.UNKNOWN) for at in moments]


@pytest.mark.parametrize("seed", range(4))
async def test_periods_are_what_was_seen_minute_by_minute(database: Database, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - the same in every run
    station_id = await _store(database)
    seen: list[Seen] = []
    at = NOW - 12 * HOUR
    while at < NOW:
        uid, status = random.choice(UIDS), random.choice(list(EvseStatus))
        seen.append((uid, status, at))
        at += random.randint(1, 50) * MINUTE
    for n in range(0, len(seen), 3):
        batch = seen[n : n + 3]
        await _observe(database, station_id, random.sample(batch, len(batch)))
        await _observe(database, station_id, random.sample(seen[: n + 3], 1))  # again
    for start, end in ((NOW - 13 * HOUR, NOW), (NOW - 7 * HOUR, NOW - 2 * HOUR)):
        found = await _periods(database, station_id, start, end)
        for uid in UIDS:
            periods = found.get(uid, [])
            assert _sampled(periods, start, end) == _by_minutes(seen, uid, start, end)
            assert all(one.end <= other.start for one, other in pairwise(periods))
            assert all(start <= each.start < each.end <= end for each in periods)


@pytest.mark.parametrize("status", [EvseStatus.CHARGING, EvseStatus.AVAILABLE])
async def test_of_two_states_of_one_moment_one_is_remembered(database: Database, status: EvseStatus) -> None:
    station_id = await _store(database)
    other = EvseStatus.AVAILABLE if status is EvseStatus.CHARGING else EvseStatus.CHARGING
    for each in (status, other):
        await _observe(database, station_id, [("a", each, NOW - HOUR)], ttl=DAY)
    found = await _periods(database, station_id, NOW - DAY, NOW)
    assert found == {"a": [Period(NOW - HOUR, NOW, EvseStatus.CHARGING)]}


async def test_of_states_that_come_late_only_the_newer_are_remembered(database: Database) -> None:
    station_id = await _store(database)
    free, busy, broken = EvseStatus.AVAILABLE, EvseStatus.CHARGING, EvseStatus.OUTOFORDER
    await _observe(database, station_id, [("a", free, NOW - 3 * HOUR), ("a", broken, NOW - HOUR)], ttl=DAY)
    await _observe(database, station_id, [("a", free, NOW), ("a", busy, NOW - 2 * HOUR)], ttl=DAY)
    found = await _periods(database, station_id, NOW - DAY, NOW)
    assert found == {"a": [Period(NOW - 3 * HOUR, NOW - HOUR, free), Period(NOW - HOUR, NOW, broken)]}


async def test_only_changes_are_remembered(database: Database) -> None:
    station_id = await _store(database)
    for n in range(10):
        await _observe(database, station_id, [("a", EvseStatus.AVAILABLE, NOW + n * MINUTE)])
    async with database.open_session() as session:
        assert await session.scalar(text("SELECT count(*) FROM status_changes")) == 1
        await session.execute(text("DELETE FROM stations"))
        assert await session.scalar(text("SELECT count(*) FROM status_changes")) == 0


async def test_history_is_pruned_and_room_is_made_for_the_months_to_come(database: Database) -> None:
    station_id = await _store(database)
    moments = [NOW + n * 20 * DAY for n in range(-6, 7)]
    for n, at in enumerate(moments):
        status = EvseStatus.CHARGING if n % 2 else EvseStatus.AVAILABLE
        await _observe_at(database, station_id, status, at)
    before = NOW - 30 * DAY
    await history.prune(database, before, NOW)
    async with database.open_session() as session:
        kept = (await session.execute(text("SELECT at FROM status_changes ORDER BY at"))).scalars().all()
        assert len(kept) == len([at for at in moments if at >= before])
        if database.url.get_backend_name() == "postgresql":
            parts = (await session.scalars(text(history._MONTHS))).all()
            assert {"status_changes_2026_05", "status_changes_2026_06", "status_changes_2026_07"} <= set(parts)
            in_may = await session.scalar(text("SELECT count(*) FROM status_changes_2026_05"))
            assert in_may == len([at for at in moments if (at.year, at.month) == (2026, 5)])
    assert await history.prune(database, before, NOW) == 0
    await history.prune(database, NOW + 365 * DAY, NOW + 365 * DAY)
    async with database.open_session() as session:
        assert await session.scalar(text("SELECT count(*) FROM status_changes")) == 0


async def _observe_at(database: Database, station_id: int, status: EvseStatus, at: datetime) -> None:
    async with database.open_session() as session:
        await live.observe(session, "test", [Observation(station_id, "a", status, at)], at, None)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_use_over_time_is_that_of_every_minute(zone: str) -> None:
    random, there = Random(7), ZoneInfo(zone)  # noqa: S311
    start, end = (
        datetime(2026, 3, 20, tzinfo=UTC),
        datetime(2026, 4, 10, 7, 23, tzinfo=UTC),
    )  # clocks change meanwhile
    over_time = UseOverTime(start, end)
    expected = {"hours": [[0.0] * 3 for _ in range(24 * 21 + 8)], "week": [[0.0] * 3 for _ in range(168)]}
    for _ in range(3):
        at, periods = start - 90 * MINUTE, []
        while at < end + HOUR:
            until = at + random.randint(1, 500) * MINUTE
            periods.append(Period(at, until, random.choice(list(EvseStatus))))
            at = until
        over_time.add(periods)
        for period in periods:
            if (column := _COLUMNS.get(period.status)) is not None:
                minute = max(period.start, start)
                while minute < min(period.end, end):
                    local = minute.astimezone(there)
                    expected["hours"][int((minute - start) / HOUR)][column] += 1 / 60
                    expected["week"][local.weekday() * 24 + local.hour][column] += 1 / 60
                    minute += MINUTE
    hours, week = [use for _, use in over_time.hours(start)], over_time.hours_of_week(there)
    for found, wanted in ((hours, expected["hours"]), (week, expected["week"])):
        assert len(found) == len(wanted)
        for use, minutes in zip(found, wanted, strict=True):
            assert [use.available_h, use.occupied_h, use.out_of_service_h] == pytest.approx(minutes)
    whole = over_time.whole
    assert whole.known_h == pytest.approx(sum(map(sum, expected["week"])))
    assert whole.uptime == pytest.approx((whole.available_h + whole.occupied_h) / whole.known_h)


_COLUMNS = {
    EvseStatus.AVAILABLE: 0, EvseStatus.CHARGING: 1, EvseStatus.BLOCKED: 1, EvseStatus.RESERVED: 1,
    EvseStatus.INOPERATIVE: 2, EvseStatus.OUTOFORDER: 2,
}  # fmt: skip


def test_of_nothing_known_nothing_is_said() -> None:
    over_time = UseOverTime(NOW, NOW + HOUR)
    over_time.add([Period(NOW, NOW + HOUR, EvseStatus.UNKNOWN)])
    assert (over_time.whole.occupancy, over_time.whole.uptime, over_time.whole.known_h) == (None, None, 0)
