"""Webhooks on both databases: what a real receiver is told, whatever it does."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.api.v1 import render
from app.auth import Scope
from app.auth import repository as keys
from app.auth.token import key_id_of
from app.db import Database
from app.db.migrate import migrate
from app.live import Watch
from app.replica import place_of
from app.stations import feed, live
from app.stations import repository as stations
from app.stations.live import Observation
from app.stations.model import Connector, Evse
from app.stations.vocabulary import ConnectorType, EvseStatus
from app.webhooks import figures, repository
from app.webhooks.courier import Courier
from app.webhooks.filter import WebhookFilter
from app.webhooks.resending import send_again
from app.webhooks.sender import Sender
from app.webhooks.states import WebhookState, state_of
from app.webhooks.tables import Delivery, Webhook
from tests import services
from tests.conftest import ROOT, skip_or_fail
from tests.make import NOW, station
from tests.receiver import Receiver, receiving

SECRET = "a secret of sixteen characters or more".replace(" ", "-")
ROUND_S = 70.0
"""After so long what became too old is looked for too."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@dataclass
class World:
    """A database, and a courier whose clock is ours."""

    database: Database
    sender: Sender
    key_id: str
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.courier = Courier(self.database, self.sender, render.states, lambda: self.now, lambda: 0.0)

    async def bring(self, after_s: float = 0.0) -> None:
        """All that can be delivered, so long after now."""
        self.now += timedelta(seconds=after_s)
        while True:
            await self.courier.work()
            if not self.courier.has_more:
                return
            await self.courier.finish()

    async def put(self, *external_ids: str, **fields: Any) -> None:
        async with self.database.open_session() as session:
            await stations.store(session, "test", [station(each, **fields) for each in external_ids], self.now)

    async def remove(self, *external_ids: str) -> None:
        async with self.database.open_session() as session:
            await stations.remove(session, "test", external_ids, self.now)

    async def see(self, station_id: int, status: EvseStatus, ttl: timedelta | None = None) -> None:
        """A second after what was seen before."""
        self.now += timedelta(seconds=1)
        async with self.database.open_session() as session:
            await live.observe(session, "feed", [Observation(station_id, "1", status, self.now)], self.now, ttl)

    async def truth(self, watch: Watch) -> dict[int, Any]:
        """What is told of each station of the filter, told again from all stations."""
        async with self.database.open_session(read_only=True) as session:
            found = [each async for page in stations.all_stations(session, self.now) for each in page]
        seen = [each for each in found if watch.sees(each.id, place_of(each))]
        return {each.id: orjson.loads(orjson.dumps(render.states(each), option=orjson.OPT_UTC_Z)) for each in seen}

    async def hook(self, url: str, **wanted: Any) -> Webhook:
        filter_ = WebhookFilter(**wanted)
        webhook_id = f"hook-{random.randrange(10**9)}"  # noqa: S311
        inside = await self.truth(filter_.watch)
        async with self.database.open_session() as session:
            position = await feed.current_position(session)
            webhook = Webhook(
                id=webhook_id, key_id=self.key_id, name=None, url=url, secret=SECRET,
                filter=filter_.model_dump_json(exclude_defaults=True), created_at=self.now, position_tx=position.tx,
                position_seq=position.seq, stale_to=self.now, stale_id=2**63 - 1,
            )  # fmt: skip
            await repository.add(session, webhook, list(inside))
        return webhook

    async def webhook(self, of: Webhook) -> Webhook:
        async with self.database.open_session(read_only=True) as session:
            found = await repository.find(session, of.id)
            assert found is not None
            return found

    async def delivered(self, of: Webhook) -> None:
        """Wait until nothing waits."""
        for _ in range(500):
            if not await self.deliveries(of):
                break
            await asyncio.sleep(0.02)
        assert await self.deliveries(of) == []

    async def deliveries(self, of: Webhook, *, dead: bool | None = None) -> list[Delivery]:
        async with self.database.open_session(read_only=True) as session:
            return await repository.listed(session, of.id, dead=dead)

    async def resume(self, of: Webhook) -> None:
        async with self.database.open_session() as session:
            found = await repository.find(session, of.id)
            assert found is not None
            await repository.resume(session, found, self.now)


@asynccontextmanager
async def world_of(database: Database) -> AsyncIterator[World]:
    async with database.open_session() as session:
        token = await keys.create(session, "receiver", [Scope.WEBHOOKS], NOW)
    sender = Sender(private_allowed=True, within_s=0.5)
    yield World(database, sender, str(key_id_of(token)))
    await sender.close()
    await database.close()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with world_of(database) as world:
        yield world


def fold(bodies: list[dict[str, Any]], begin: dict[int, Any]) -> dict[int, Any]:
    """As a receiver does it, which leaves out repeats."""
    known, seen = dict(begin), set()
    for body in bodies:
        if body["delivery_id"] in seen:
            continue
        seen.add(body["delivery_id"])
        for event in body["events"]:
            kind = event.pop("type")
            assert kind in {"status", "gone"}
            known.pop(event["station_id"], None)
            if kind == "status":
                known[event["station_id"]] = event
    return known


async def test_a_change_is_told_once_and_signed(world: World, receiver: Receiver) -> None:
    await world.put("1", "2")
    hook = await world.hook(receiver.url)
    await world.bring()
    assert receiver.received == []
    await world.see(1, EvseStatus.CHARGING)
    await world.see(1, EvseStatus.AVAILABLE)
    await world.bring()
    await world.bring()
    (request,) = receiver.received
    assert request.is_signed_with(SECRET, world.now.timestamp())
    assert not request.is_signed_with(f"{SECRET}.", world.now.timestamp())
    assert request.headers["User-Agent"].startswith("VoltWay/")
    assert request.headers["Voltway-Delivery"] == request.body["delivery_id"]
    assert request.headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert request.body["webhook_id"] == hook.id
    (event,) = request.body["events"]
    assert (event["type"], event["station_id"], event["status"]) == ("status", 1, "available")
    assert await world.deliveries(hook) == []
    assert (await world.webhook(hook)).last_delivered_at == world.now


async def test_what_fails_is_told_again_as_it_is_then_and_what_follows_waits(
    world: World, receiver: Receiver
) -> None:
    await world.put("1")
    hook = await world.hook(receiver.url)
    receiver.refuse(500, 302)
    await world.see(1, EvseStatus.CHARGING)
    await world.bring()
    await world.see(1, EvseStatus.AVAILABLE)
    await world.bring(8)
    assert len(receiver.received) == 1
    assert state_of(await world.webhook(hook)) is WebhookState.FAILING
    await world.bring(2)
    (waiting,) = await world.deliveries(hook)
    assert (waiting.attempts, waiting.last_error) == (2, "the receiver answered 302")
    await world.bring(61)
    assert [body["events"][0]["status"] for body in receiver.bodies] == ["occupied", *["available"] * 3]
    assert len({body["delivery_id"] for body in receiver.bodies}) == 4
    assert state_of(await world.webhook(hook)) is WebhookState.ACTIVE


async def test_a_delivery_that_fails_and_fails_holds_up_no_other_and_never_tells_what_was(
    world: World, receiver: Receiver
) -> None:
    await world.put("1", "2", "3")
    hook = await world.hook(receiver.url)
    receiver.refuse(500, 500, 500)
    await world.see(1, EvseStatus.CHARGING)
    for after_s in (0, 10, 60):
        await world.bring(after_s)
    (aside,) = await world.deliveries(hook)
    assert aside.attempts == 3
    receiver.refuse(204, 500)
    await world.see(2, EvseStatus.CHARGING)
    await world.see(1, EvseStatus.AVAILABLE)
    await world.bring()
    await world.see(3, EvseStatus.CHARGING)
    await world.bring()
    assert [event["station_id"] for event in receiver.bodies[-2]["events"]] == [2, 1]
    assert [each.attempts for each in await world.deliveries(hook)] == [1, 3]
    await world.bring(300)
    last, renewed = (body["events"] for body in receiver.bodies[-2:])
    assert [(event["station_id"], event["status"]) for event in last] == [(3, "occupied")]
    assert [(event["station_id"], event["status"]) for event in renewed] == [(1, "available")]
    assert await world.deliveries(hook) == []


async def test_a_receiver_that_comes_back_is_told_at_once_all_that_waits(world: World, receiver: Receiver) -> None:
    await world.put(*"123456")
    hook = await world.hook(receiver.url)
    receiver.refuse(*[503] * 15)
    for station_id in range(1, 6):
        await world.see(station_id, EvseStatus.CHARGING)
        for after_s in (0, 10, 60):
            await world.bring(after_s)
    assert [each.attempts for each in await world.deliveries(hook)] == [3] * 5
    await world.see(6, EvseStatus.CHARGING)
    await world.bring()
    assert sorted(event["station_id"] for body in receiver.bodies[-6:] for event in body["events"]) == [*range(1, 7)]
    assert await world.deliveries(hook) == []


async def test_for_a_while_both_secrets_sign(world: World, receiver: Receiver) -> None:
    await world.put("1")
    hook = await world.hook(receiver.url)
    newer = SECRET[::-1]
    async with world.database.open_session() as session:
        found = await repository.find(session, hook.id)
        assert found is not None
        repository.rotate(found, newer, world.now + timedelta(hours=1))
    for after_s, secrets in ((0, {newer, SECRET}), (3_600, {newer})):
        await world.see(1, EvseStatus.CHARGING)
        await world.bring(after_s)
        request = receiver.received[-1]
        assert {each for each in (SECRET, newer) if request.is_signed_with(each, world.now.timestamp())} == secrets


async def test_a_receiver_that_asks_for_patience_has_it(world: World, receiver: Receiver) -> None:
    await world.put("1")
    hook = await world.hook(receiver.url)
    receiver.refuse(503, Retry_After="120")
    await world.see(1, EvseStatus.CHARGING)
    await world.bring()
    (waiting,) = await world.deliveries(hook)
    assert waiting.next_attempt_at == world.now + timedelta(seconds=120)


async def test_a_receiver_that_hangs_is_given_up_and_holds_up_no_other(world: World, receiver: Receiver) -> None:
    await world.put("1")
    with receiving() as slow:
        slow.hangs.set()
        hook, _ = await world.hook(slow.url), await world.hook(receiver.url)
        await world.see(1, EvseStatus.CHARGING)
        await world.courier.work()
        await asyncio.to_thread(receiver.wait_for, lambda: receiver.received and slow.received)
        assert (await world.deliveries(hook))[0].attempts == 0
        await world.courier.finish()
        (waiting,) = await world.deliveries(hook)
        assert waiting.last_error == "no answer within 0.5 s"
        slow.hangs.clear()
        await world.bring(11)
        assert [body["events"] for body in slow.bodies] == [slow.bodies[0]["events"]] * 2
        assert await world.deliveries(hook) == []


async def test_a_receiver_that_is_gone_is_asked_no_more_until_it_is_resumed(world: World, receiver: Receiver) -> None:
    await world.put("1")
    hook = await world.hook(receiver.url)
    receiver.refuse(410)
    await world.see(1, EvseStatus.CHARGING)
    await world.bring()
    await world.bring(86_400)
    assert len(receiver.received) == 1
    assert (await world.webhook(hook)).paused_because == "gone"
    await world.resume(hook)
    await world.bring()
    assert [body["events"] for body in receiver.bodies] == [receiver.bodies[0]["events"]] * 2


async def test_a_delivery_dies_the_newest_follows_and_the_dead_can_be_told_anew(
    world: World, receiver: Receiver
) -> None:
    await world.put("1", "2")
    hook = await world.hook(receiver.url)
    receiver.refuse(*[500] * 7)
    await world.see(1, EvseStatus.CHARGING)
    for _ in range(7):
        await world.bring(21_700)
    (dead,) = await world.deliveries(hook, dead=True)
    assert (dead.attempts, dead.events) == (7, 1)
    await world.see(1, EvseStatus.AVAILABLE)
    await world.see(2, EvseStatus.CHARGING)
    await world.bring()
    assert [event["station_id"] for event in receiver.bodies[-1]["events"]] == [1, 2]
    await world.remove("1")
    await world.bring()
    async with world.database.open_session() as session:
        found = await repository.find_delivery(session, hook.id, dead.id)
        assert found is not None
        again = await send_again(session, hook, found, render.states, world.now)
    assert again.id != dead.id
    await world.bring()
    assert receiver.bodies[-1]["events"] == [{"type": "gone", "station_id": 1}]
    assert await world.deliveries(hook) == []


async def test_a_receiver_that_accepts_nothing_for_days_is_left_alone(world: World, receiver: Receiver) -> None:
    await world.put("1")
    hook = await world.hook(receiver.url)
    receiver.refuse(*[500] * 20)
    await world.see(1, EvseStatus.CHARGING)
    await world.bring()
    await world.bring(4 * 86_400)
    assert (await world.webhook(hook)).paused_because == "failing"
    async with world.database.open_session(read_only=True) as session:
        assert (await figures.count_by_state(session))[WebhookState.PAUSED] == 1
        assert await figures.oldest_undelivered(session, world.now) is None


async def test_who_was_away_for_too_long_is_told_so(world: World, receiver: Receiver) -> None:
    await world.put("1")
    await world.hook(receiver.url)
    await world.see(1, EvseStatus.CHARGING)
    await world.see(1, EvseStatus.AVAILABLE)
    async with world.database.open_session() as session:
        await session.execute(text("DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)"))
    await world.bring()
    assert [body["events"] for body in receiver.bodies] == [[{"type": "reset"}]]
    await world.see(1, EvseStatus.CHARGING)
    await world.bring(1)
    assert receiver.bodies[-1]["events"][0]["status"] == "occupied"


async def test_a_state_that_became_too_old_is_told(world: World, receiver: Receiver) -> None:
    await world.put("1")
    await world.hook(receiver.url, ids=[1])
    await world.see(1, EvseStatus.AVAILABLE, ttl=timedelta(minutes=5))
    await world.bring()
    await world.bring(299)
    assert len(receiver.received) == 1
    await world.bring(ROUND_S)
    await world.bring(ROUND_S)
    assert len(receiver.received) == 2
    (event,) = receiver.bodies[-1]["events"]
    assert (event["status"], event["evses"][0]["stale_since"]) == ("unknown", "2026-05-01T12:05:01Z")


async def test_many_changes_come_in_bounded_parts(world: World, receiver: Receiver) -> None:
    await world.put("first")
    await world.hook(receiver.url)
    await world.put(*map(str, range(1_200)))
    await world.bring()
    assert [len(body["events"]) for body in receiver.bodies] == [500, 500, 200]
    assert len(fold(receiver.bodies, {})) == 1_200


async def test_who_watches_an_area_hears_nothing_of_other_places(world: World, receiver: Receiver) -> None:
    await world.put("in")
    await world.hook(receiver.url, bbox="13,52,14,53")
    await world.put("out", longitude=2.0)
    await world.put("out", longitude=3.0)
    await world.remove("out")
    await world.bring()
    assert receiver.received == []


async def test_a_key_that_no_longer_holds_has_nothing_delivered(world: World, receiver: Receiver) -> None:
    await world.put("1")
    await world.hook(receiver.url)
    await world.see(1, EvseStatus.CHARGING)
    async with world.database.open_session() as session:
        await keys.revoke(session, "receiver", NOW)
    await world.bring()
    assert receiver.received == []


FILTERS: list[dict[str, Any]] = [
    {}, {"ids": [1, 2, 3, 25]}, {"bbox": "0,40,10,50"}, {"connector": ["ccs2"]},
    {"bbox": "0,40,10,50", "connector": ["ccs2", "type2"]},
]  # fmt: skip


async def test_what_receivers_fold_is_the_truth_for_their_filters(world: World, receiver: Receiver) -> None:
    chance = random.Random(1)  # noqa: S311
    names = [str(number) for number in range(30)]

    async def put(name: str) -> None:
        kinds = chance.sample([ConnectorType.CCS2, ConnectorType.TYPE2, ConnectorType.SCHUKO], chance.randrange(3))
        evse = Evse(uid="1", connectors=tuple(Connector(type=kind) for kind in kinds))
        await world.put(name, longitude=chance.uniform(-5, 15), latitude=45.0, evses=(evse,))

    for name in names[:20]:
        await put(name)
    hooks = [await world.hook(receiver.url + str(number), **wanted) for number, wanted in enumerate(FILTERS)]
    watches = [WebhookFilter(**wanted).watch for wanted in FILTERS]
    begin = [await world.truth(watch) for watch in watches]
    for _ in range(50):
        world.now += timedelta(seconds=chance.randrange(40))
        match chance.randrange(8):
            case 0 | 1 | 2:
                await put(chance.choice(names))
            case 3:
                await world.remove(chance.choice(names))
            case _:
                present = sorted(await world.truth(Watch()))
                ttl = chance.choice([None, timedelta(seconds=90)])
                await world.see(chance.choice(present), chance.choice(list(EvseStatus)), ttl)
        if chance.random() < 0.4:
            receiver.refuse(*chance.choices([204, 204, 500], k=3))
            await world.bring()
    receiver.answers.clear()
    for _ in range(4):
        await world.bring(8_000)
    for number, (hook, watch) in enumerate(zip(hooks, watches, strict=True)):
        mine = [each.body for each in receiver.received if each.path == f"/hook{number}"]
        assert fold(mine, begin[number]) == await world.truth(watch)
        assert await world.deliveries(hook) == []


@pytest.mark.once
async def test_what_a_database_that_restarts_has_not_heard_of_is_delivered_again(receiver: Receiver) -> None:
    programs = services.postgresql_programs()
    if programs is None:
        skip_or_fail("PostgreSQL is not installed, so it was not restarted")
        raise AssertionError
    with services.restartable_postgresql(programs) as server:
        migrate(server.url)
        async with world_of(Database(server.url)) as world:
            await world.put("1")
            hook = await world.hook(receiver.url)
            await world.see(1, EvseStatus.CHARGING)
            receiver.hangs.set()
            running = asyncio.create_task(world.courier.run())
            await asyncio.to_thread(receiver.wait_for, lambda: receiver.received)
            await asyncio.to_thread(server.stop)
            receiver.hangs.clear()
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(receiver.wait_for, lambda: len(receiver.received) > 1)
            await world.delivered(hook)
            assert len({each.raw for each in receiver.received}) == 1
            running.cancel()
            await asyncio.wait([running])


RUN = """
import asyncio, sys
from app.api.v1 import render
from app.db import Database
from app.webhooks.courier import Courier
from app.webhooks.sender import Sender

async def main():
    print("running", flush=True)
    await Courier(Database(sys.argv[1]), Sender(private_allowed=True), render.states).run()

asyncio.run(main())
"""


@pytest.mark.once
async def test_what_a_killed_process_was_delivering_another_delivers(world: World, receiver: Receiver) -> None:
    url = world.database.url.render_as_string(hide_password=False)
    await world.put("1")
    hook = await world.hook(receiver.url)
    await world.see(1, EvseStatus.CHARGING)
    receiver.hangs.set()
    processes = []

    def came(before: int) -> bool:
        return len(receiver.received) > before

    try:
        for lives in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, url], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
            )
            processes.append(process)
            await asyncio.to_thread(receiver.wait_for, partial(came, lives))
            if lives == 0:
                process.send_signal(signal.SIGKILL)
                process.wait(10)
        receiver.hangs.clear()
        await world.delivered(hook)
        assert len({each.raw for each in receiver.received}) == 1
    finally:
        receiver.hangs.clear()
        for process in processes:
            process.kill()
            process.wait(10)
