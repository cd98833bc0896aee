"""Single flight: of several who ask for the same at the same time, one does the work and all get its result."""

import asyncio
import os
import threading
from asyncio import AbstractEventLoop, Task
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from app.utils._cache_values import MISSING, Missing, NotKeepableError, own_copy

T = TypeVar("T")
Look: TypeAlias = Callable[[], Awaitable[Any]]
Work: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class _Flight:
    future: "asyncio.Future[Any] | Future[Any]"
    shared: bool = False
    task: Task[None] | None = None


class Flights:
    """For coroutines, apart for every event loop."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[AbstractEventLoop, dict[Hashable, _Flight]] = WeakKeyDictionary()

    async def run(self, key: Hashable, look: Look, work: Work) -> Any:
        """What `look` finds, or if that is MISSING, the result or exception of `work`.

        The work is a task of its own, so it is finished even if all who wait for it are cancelled: what it uses must
        not end with them. The look is not, for a task costs as much as half a look. MISSING where another's result
        cannot be copied: work for yourself.
        """
        flights = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        flight = flights.get(key)
        if flight is not None:
            flight.shared = True
            return _handed_out(await _outcome(flight), first=False)
        flight = flights[key] = _Flight(asyncio.get_running_loop().create_future())
        try:
            value = await look()
        except asyncio.CancelledError:
            if flight.shared:
                _launch(flights, key, flight, work)
            else:
                del flights[key]
            raise
        except BaseException as error:
            _land(flights, key, error=error)
            raise
        if value is MISSING:
            _launch(flights, key, flight, work)
            value = await _outcome(flight)
        else:
            _land(flights, key, value)
        return _handed_out(value, first=True) if flight.shared else value


async def _outcome(flight: _Flight) -> Any:
    return await asyncio.shield(cast("asyncio.Future[Any]", flight.future))


def _launch(flights: dict[Hashable, _Flight], key: Hashable, flight: _Flight, work: Work) -> None:
    async def fly() -> None:
        try:
            value = await work()
        except BaseException as error:
            _land(flights, key, error=error)
            if not isinstance(error, Exception):
                raise
        else:
            _land(flights, key, value)

    flight.task = asyncio.create_task(fly())


def _land(
    flights: dict[Hashable, _Flight], key: Hashable, value: Any = None, error: BaseException | None = None
) -> None:
    future = flights.pop(key).future
    if error is None:
        future.set_result(value)
    elif isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)
        future.exception()  # seen, even if nobody waits any more


def _handed_out(value: T, first: bool) -> T | Missing:
    try:
        return own_copy(value)
    except NotKeepableError:
        return value if first else MISSING


class ThreadFlights:
    """For threads."""

    def __init__(self) -> None:
        self._begin_anew()
        _thread_flights.add(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def run(self, key: Hashable, work: Callable[[], T]) -> T | Missing:
        """As for coroutines; the first to ask does the work in its own thread."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                flight.shared = True
            else:
                mine = self._flights[key] = _Flight(Future())
        if flight is not None:
            return _handed_out(flight.future.result(), first=False)
        try:
            value = work()
        except BaseException as error:
            with self._lock:
                _land(self._flights, key, error=error)
            raise
        with self._lock:
            _land(self._flights, key, value)
        return _handed_out(value, first=True) if mine.shared else value


_thread_flights: WeakSet[ThreadFlights] = WeakSet()


def _after_fork() -> None:
    """Whoever does the work is a thread of the parent."""
    for flights in _thread_flights:
        flights._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
