"""What readers are told of changing stations, against a brute force over all stations."""

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TooManyReadersError
from app.live import Hub, Reader, Watch
from app.live.hub import MAX_PENDING, SLICE_BYTES
from app.replica import Replica
from app.replica.slots import Fragment
from app.stations.changes import FeedPosition
from app.stations.model import StoredStation
from app.stations.query import Box
from app.stations.vocabulary import ConnectorType, EvseStatus
from tests.make import evse_state, stored

TYPES = (ConnectorType.CCS2, ConnectorType.TYPE2, ConnectorType.CHADEMO)
IDS = range(1, 7)
EAST = Box(170.0, -10.0, 180.0, 10.0)
WATCHES = (
    Watch(),
    Watch(ids=frozenset({1, 2, 3})),
    Watch(box=Box(0.0, 0.0, 10.0, 10.0)),
    Watch(box=EAST),
    Watch(box=Box(170.0, -10.0, -170.0, 10.0)),
    Watch(connectors=(ConnectorType.CCS2, ConnectorType.CHADEMO)),
    Watch(ids=frozenset({2, 4}), box=Box(-10.0, -10.0, 10.0, 10.0), connectors=(ConnectorType.TYPE2,)),
)
places = st.sampled_from([(5.0, 5.0), (0.0, 0.0), (180.0, 0.0), (-180.0, 0.0), (-175.0, 5.0), (50.0, 50.0)])
stations = st.builds(
    lambda station_id, place, kinds, status: stored(
        station_id, place[0], place[1], [evse_state("1", status, *((kind, 50.0) for kind in kinds))]
    ),
    st.sampled_from(IDS),
    places,
    st.sets(st.sampled_from(TYPES)),
    st.sampled_from(list(EvseStatus)),
)
batches = st.lists(stations | st.sampled_from(IDS), max_size=6)
"""A station as it is now, or the id of one that is gone."""
Steps = list[tuple[list[StoredStation | int], set[int]]]
"""What changes, and which readers read then."""


class Catalogue:
    """Stands for database and follower: applies changes to a replica and tells the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._replica = Replica(lambda station: Fragment(b"{", b""))
        self._seq = 0
        self.stations: dict[int, StoredStation] = {}

    def apply(self, batch: Iterable[StoredStation | int]) -> None:
        changes: dict[int, FeedPosition] = {}
        for each in batch:
            self._seq += 1
            station_id = each if isinstance(each, int) else each.id
            self.stations.pop(station_id, None)
            if not isinstance(each, int):
                self.stations[station_id] = each
            changes.pop(station_id, None)
            changes[station_id] = FeedPosition(0, self._seq)
        before = self._replica.places(changes)
        found = [self.stations[each] for each in changes if each in self.stations]
        self._replica.put(found)
        self._replica.remove(changes.keys() - self.stations.keys())
        after = self._replica.places(changes)
        watched = self._hub.watched(after)
        shown = {station.id: station for station in found if station.id in watched}
        self._hub.refreshed(before, after, shown, changes)
        self._hub.reached(FeedPosition(0, self._seq))


def _frame(place: str, station_id: int, station: StoredStation | None) -> bytes:
    status = station.evses[0].status if station else "gone"
    return f"{place} {station_id} {status}".encode()


def _watched(watch: Watch, stations: dict[int, StoredStation]) -> dict[int, str]:
    """What a reader should know, found without the hub's help."""
    return {
        station.id: station.evses[0].status
        for station in stations.values()
        if (watch.ids is None or station.id in watch.ids)
        and (watch.box is None or _inside(watch.box, station.longitude, station.latitude))
        and (not watch.connectors or {c["type"] for c in station.evses[0].connectors} & set(watch.connectors))
    }


def _inside(box: Box, longitude: float, latitude: float) -> bool:
    turns = (longitude, longitude + 360, longitude - 360)
    east = box.east if box.west <= box.east else box.east + 360
    return any(box.west <= each <= east for each in turns) and box.south <= latitude <= box.north


class Client:
    """Keeps what a reader is told, and what it may go on from."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.known: dict[int, str] = {}
        self.places: list[FeedPosition] = []
        self.losses = 0

    async def read(self, stations: dict[int, StoredStation]) -> None:
        while True:
            told = await self.reader.take(0)
            if told.lost:
                self.losses += 1
                self.known = _watched(self.reader.watch, stations)
            elif not told.frames:
                return
            for frame in told.frames:
                place, station_id, status = frame.decode().split()
                self.places.append(FeedPosition.read(place))
                if status == "gone":
                    self.known.pop(int(station_id), None)  # it may never have heard of it
                else:
                    self.known[int(station_id)] = status


@given(st.lists(st.tuples(batches, st.sets(st.sampled_from(range(len(WATCHES))))), max_size=8))
def test_each_reader_knows_in_the_end_what_it_watches(
    steps: list[tuple[list[StoredStation | int], set[int]]],
) -> None:
    async def run() -> None:
        hub = Hub(_frame, 100)
        catalogue = Catalogue(hub)
        with ExitStack() as readers:
            clients = [Client(readers.enter_context(hub.reading(watch))) for watch in WATCHES]
            for batch, reading in steps:
                catalogue.apply(batch)
                for number in reading:
                    await clients[number].read(catalogue.stations)
            for client in clients:
                await client.read(catalogue.stations)
                assert client.known == _watched(client.reader.watch, catalogue.stations)
                assert client.places == sorted(client.places)
                assert client.losses == 0

    asyncio.run(run())


def _free(station_id: int) -> StoredStation:
    return stored(station_id, 5.0, 5.0, [evse_state("1", EvseStatus.AVAILABLE)])


async def test_one_who_is_too_slow_is_told_so_once_and_goes_on() -> None:
    hub = Hub(_frame, 10)
    catalogue = Catalogue(hub)
    with hub.reading(Watch()) as slow, hub.reading(Watch(ids=frozenset({7}))) as other:
        for _ in range(3):
            catalogue.apply([_free(station_id) for station_id in range(1, MAX_PENDING + 2)])
        told = await slow.take(0)
        assert (told.lost, told.frames, told.position) == (True, [], hub.position)
        catalogue.apply([_free(7)])
        assert [frame.split()[1] for frame in (await slow.take(0)).frames] == [b"7"]
        assert await slow.take(0) == ([], hub.position, False)
        assert len((await other.take(0)).frames) == 1


async def test_much_is_taken_in_slices_in_whose_order_it_changed() -> None:
    hub = Hub(lambda place, station_id, _: place.encode().ljust(SLICE_BYTES // 4), 10)
    with hub.reading(Watch()) as reader:
        Catalogue(hub).apply([_free(station_id) for station_id in range(1, 11)])
        taken = [await reader.take(0) for _ in range(3)]
    assert [len(told.frames) for told in taken] == [4, 4, 2]
    assert [told.position for told in taken] == [FeedPosition(0, 4), FeedPosition(0, 8), hub.position]
    assert [frame.strip().decode() for told in taken for frame in told.frames] == [f"0-{n}" for n in range(1, 11)]


async def test_a_reader_waits_for_news() -> None:
    hub = Hub(_frame, 10)
    with hub.reading(Watch()) as reader:
        waiting = asyncio.create_task(reader.take(60))
        await asyncio.sleep(0)
        Catalogue(hub).apply([_free(1)])
        async with asyncio.timeout(5):
            assert len((await waiting).frames) == 1
        waiting = asyncio.create_task(reader.take(60))
        await asyncio.sleep(0)
        hub.end()
        async with asyncio.timeout(5):
            assert (await waiting).frames == []
        assert reader.ended


async def test_when_all_was_read_anew_what_readers_knew_may_not_hold() -> None:
    hub = Hub(_frame, 10)
    with hub.reading(Watch(ids=frozenset({1}))) as reader:
        hub.loaded(FeedPosition(3, 5))
        assert await reader.take(0) == ([], FeedPosition(3, 5), True)


async def test_there_is_a_bound_on_readers() -> None:
    hub = Hub(_frame, 1)
    with hub.reading(Watch()), pytest.raises(TooManyReadersError), hub.reading(Watch()):
        raise AssertionError
    with hub.reading(Watch()):
        hub.end()
    with pytest.raises(TooManyReadersError), hub.reading(Watch()):
        raise AssertionError
