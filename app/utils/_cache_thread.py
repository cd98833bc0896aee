"""One thread with an event loop, for what must go on beside the callers."""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs `main` from when it is first needed until `stop`, or the interpreter's end; then never again."""

    def __init__(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._main = main
        self._lock = threading.Lock()
        self._stopping = asyncio.Event()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> asyncio.AbstractEventLoop | None:
        """The loop, or None after `stop`."""
        with self._lock:
            if self._stopped:
                return None
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread.start()
                atexit.register(self.stop)
            return self._loop

    def wait_for(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run it there and wait here. Raises TimeoutError, also after `stop`."""
        future = self._submit(work)
        try:
            return future.result(timeout_s)
        except CancelledError as error:
            raise TimeoutError from error
        finally:
            future.cancel()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if loop := self.start():
            with suppress(RuntimeError):  # closed just now
                return asyncio.run_coroutine_threadsafe(work, loop)
        work.close()
        raise TimeoutError

    def stop(self) -> None:
        """Cancel what runs there and wait for the thread's end."""
        with self._lock:
            loop, stopped_before, self._stopped = self._loop, self._stopped, True
        if loop is not None and not stopped_before:
            loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            atexit.unregister(self.stop)

    def _run(self) -> None:
        async def serve() -> None:
            work = asyncio.create_task(self._main())
            await self._stopping.wait()
            work.cancel()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # type: ignore[arg-type,return-value]
            runner.run(serve())
