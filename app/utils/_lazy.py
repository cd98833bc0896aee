"""A value that is made when it is first asked for."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Lock, get_ident
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class LazyLoader(Generic[T]):
    """Calls `factory` once, however many threads and tasks ask, and keeps what it gave.

    An error is raised to all who were waiting and is not kept: the next to ask tries again. Code that awaits uses
    `get`, other code `value`; both see the same one value. Whether the factory is asynchronous shows in what it
    returns.

    When not to use it: for what every start needs anyway (make it at the start, where its failure is seen), for a
    module's constant (`functools.cache` on a function without arguments does), or for what must be closed.
    """

    def __init__(self, factory: Callable[[], T | Awaitable[T]]) -> None:
        self._factory = factory
        self._lock = Lock()
        self._load: Future[T] | None = None
        self._loading_threads: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def value(self) -> T:
        """Load it, or wait for whoever does. Raises TypeError if the factory is asynchronous and nothing has been
        loaded, RuntimeError where waiting would never end."""
        load, is_mine = self._join()
        if is_mine:
            self._loading_threads = {get_ident()}
            self._settle(load, self._load_here)
        elif not load.done() and get_ident() in self._loading_threads:
            raise RuntimeError("the value is being loaded by this very thread; a coroutine awaits get()")
        return load.result()

    async def get(self) -> T:
        """As `value`, without holding up the event loop: a factory that is not `async def` runs in a thread.

        The load goes on when who asked first is cancelled, as others may wait for it."""
        load, is_mine = self._join()
        if is_mine:
            self._loading_threads = {get_ident()}
            self._task = asyncio.create_task(self._load_in_loop(load))
        return await asyncio.wrap_future(load)

    @property
    def is_loaded(self) -> bool:
        load = self._load
        return load is not None and load.done()

    def reset(self) -> None:
        """Forget the value: the next to ask loads it anew. A load that is under way still serves who waits for it."""
        with self._lock:
            self._load = None

    def _join(self) -> tuple[Future[T], bool]:
        """The load that there is, or a new one that the caller must do."""
        with self._lock:
            is_new = self._load is None
            if self._load is None:
                self._load = Future()
                self._load.set_running_or_notify_cancel()  # so that no waiting task can cancel it for the others
            return self._load, is_new

    def _load_here(self) -> T:
        made = self._factory()
        if inspect.isawaitable(made):
            if inspect.iscoroutine(made):
                made.close()
            raise TypeError("the factory is asynchronous: await get()")
        return made

    def _load_in_thread(self) -> T | Awaitable[T]:
        self._loading_threads.add(get_ident())
        try:
            return self._factory()
        finally:
            self._loading_threads.discard(get_ident())  # it serves others now

    async def _load_in_loop(self, load: Future[T]) -> None:
        try:
            is_async = inspect.iscoroutinefunction(self._factory)
            made = self._factory() if is_async else await asyncio.to_thread(self._load_in_thread)
            value = await made if inspect.isawaitable(made) else made
        except asyncio.CancelledError:
            self._fail(load, RuntimeError("the event loop that loaded the value has ended"))
            raise
        except BaseException as error:
            self._fail(load, error)
        else:
            load.set_result(cast("T", value))

    def _settle(self, load: Future[T], make: Callable[[], T]) -> None:
        try:
            load.set_result(make())
        except BaseException as error:
            self._fail(load, error)

    def _fail(self, load: Future[T], error: BaseException) -> None:
        with self._lock:
            if self._load is load:
                self._load = None
        load.set_exception(error)
