"""Other engines that know nothing of ours give the same answers to the benchmark's queries."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import cycle

import pytest

from app.stations.model import StoredStation
from benchmarks.catalogue import stored
from benchmarks.queries import mix
from benchmarks.rivals import comparison, kdtree, postgis, redis
from benchmarks.rivals.rival import Rival
from tests import services
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def stations() -> Sequence[StoredStation]:
    return list(stored(2_000))


def _in_postgis(stations: Sequence[StoredStation]) -> AbstractContextManager[Rival]:
    programs = services.postgresql_programs()
    if programs is None:
        skip_or_fail("PostgreSQL is not installed, so answers were not compared with its")
        raise AssertionError
    return postgis.postgis(stations, programs)


@pytest.fixture(params=[_in_postgis, redis.redis_geosearch, kdtree.kdtree], ids=["postgis", "redis", "kdtree"])
def rival(request: pytest.FixtureRequest, stations: Sequence[StoredStation]) -> Iterator[Rival]:
    with request.param(stations) as rival:
        yield rival


def test_the_answers_agree_and_both_are_measured(rival: Rival, stations: Sequence[StoredStation]) -> None:
    search, places = comparison.our_search(stations), comparison.Places(stations)
    assert comparison.check(places, search, rival, mix(100)) > 30
    taken = comparison.measure(search, rival, cycle(mix(100)), seconds=0.05)
    assert len(taken.ours) == len(taken.theirs) > 0
    assert taken.ratio(0.5) > 0


def test_a_wrong_answer_is_told(stations: Sequence[StoredStation]) -> None:
    search, places = comparison.our_search(stations), comparison.Places(stations)
    wrong = Rival("wrong", lambda query: list(range(1, query.limit + 1)), tolerance_m=0.1)
    with pytest.raises(comparison.DisagreementError, match="wrong says"):
        comparison.check(places, search, wrong, mix(5))
