"""Carrying out jobs in this process: attempts, time limit, threads, and the end of each."""

import asyncio
import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypedDict

from pydantic import JsonValue

from app.utils._jobs_model import FinalJobError, JobFunction, QueueUnavailableError, Run, current_run, storable
from app.utils._jobs_reference import UnknownFunctionError, as_json, function_named
from app.utils.advanced_logging import log_context
from app.utils.metrics import job_duration_seconds

logger = logging.getLogger("app.jobs")
LONGEST_PAUSE_S = 600.0


class Order(TypedDict):
    """What is to be done, as it stands in the queue."""

    function: str
    arguments: dict[str, JsonValue]
    retries: int
    backoff_s: float
    timeout_s: float | None
    request_id: str | None


class JobFailedError(Exception):
    """The end of a job's last attempt; the message is `Job.error`."""


class Runner:
    """The jobs that this process carries out now. `run` belongs to one event loop, the rest to any thread."""

    def __init__(self, note: Callable[[str, dict[str, JsonValue]], None]) -> None:
        self._note = note
        """Writes something about a job into the queue; may block."""
        self._runs: dict[str, tuple[Run, asyncio.Task[JsonValue]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run(self, job_id: str, order: Order) -> JsonValue:
        """Carry a job out and return its result. Raises JobFailedError."""
        self._loop = asyncio.get_running_loop()
        if self._closed:
            await self._loop.create_future()  # until the loop ends: the job stays for the next process
        await self._end_former(job_id)
        run = Run(job_id)
        fresh = contextvars.Context()  # so that the job sees nothing of the queue's own machinery
        task = self._loop.create_task(self._carry_out(run, order), context=fresh)
        self._runs[job_id] = run, task
        try:
            return await task
        finally:
            run.over.set()
            await asyncio.to_thread(self._write_told, run)
            if self._runs.get(job_id) == (run, task):
                del self._runs[job_id]

    async def _end_former(self, job_id: str) -> None:
        """A job that was cancelled and at once retried comes back before its cancellation is noticed here."""
        if former := self._runs.get(job_id):
            self.cancel(job_id)
            await asyncio.wait([former[1]])

    def cancel(self, job_id: str) -> None:
        """Stop a job's work, if this process does it."""
        run, task = self._runs.get(job_id, (None, None))
        if run and task and self._loop:
            run.cancelled = True
            run.over.set()
            self._loop.call_soon_threadsafe(task.cancel)

    def running(self) -> list[str]:
        """Ids of the jobs in work."""
        return list(self._runs)

    def write_progress(self) -> None:
        """Write down what the jobs have told since the last time."""
        for run, _ in list(self._runs.values()):
            self._write_told(run)

    def _write_told(self, run: Run) -> None:
        told, run.told = run.told, None
        if told:
            self._try_to_note(run, {"progress": told[0], "message": told[1]})

    def _try_to_note(self, run: Run, about: dict[str, JsonValue]) -> None:
        """A job is not to fail for want of a note."""
        with suppress(QueueUnavailableError):
            self._note(run.job_id, about)

    def close(self, within_s: float) -> None:
        """Begin no more jobs, and wait for those in work."""
        self._closed = True
        deadline = time.monotonic() + within_s
        while self._runs and time.monotonic() < deadline:
            time.sleep(0.02)

    async def _carry_out(self, run: Run, order: Order) -> JsonValue:
        about = {"job_id": run.job_id, "job": order["function"].partition(":")[2]}
        if order["request_id"]:
            about["request_id"] = order["request_id"]
        current_run.set(run)
        with log_context(**about), _measured(run, about["job"]):
            for attempt in range(order["retries"] + 1):
                try:
                    return await _attempt(run, order)
                except _FinalError as error:
                    raise JobFailedError(storable(str(error))) from error.__cause__
                except _AttemptFailedError as error:
                    if attempt == order["retries"]:
                        raise JobFailedError(storable(str(error))) from error.__cause__
                    pause_s = min(order["backoff_s"] * 2**attempt, LONGEST_PAUSE_S)
                    told = {"error": str(error), "attempt": attempt + 1, "pause_s": pause_s}
                    logger.warning("job_attempt_failed", extra=told)
                await asyncio.sleep(pause_s)
                await asyncio.to_thread(self._try_to_note, run, {"retries": attempt + 1})
        raise AssertionError("unreachable")


class _AttemptFailedError(Exception):
    """Another attempt may succeed."""


class _FinalError(Exception):
    """No other attempt would end differently."""


async def _attempt(run: Run, order: Order) -> JsonValue:
    try:
        function = await asyncio.to_thread(function_named, order["function"])
    except UnknownFunctionError as error:
        raise _FinalError(str(error)) from error
    is_async = inspect.iscoroutinefunction(function)
    limit = asyncio.timeout(order["timeout_s"])
    try:
        async with limit:
            result = await _call(function, order["arguments"], is_async=is_async)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise _AttemptFailedError("The function was cancelled, but not by the queue.") from error
    except FinalJobError as error:
        raise _FinalError(f"{type(error).__name__}: {error}") from error
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        if not limit.expired():
            raise _AttemptFailedError(f"{type(error).__name__}: {error}") from error
        why = f"It took longer than its time limit of {order['timeout_s']:g} s."
        if is_async:
            raise _AttemptFailedError(why) from None
        run.over.set()  # its thread goes on until it calls `progress`: no second one beside it
        raise _FinalError(why) from None
    try:
        return as_json(result, f"What {order['function']} returned")
    except TypeError as error:
        raise _FinalError(str(error)) from None


async def _call(function: JobFunction, arguments: dict[str, JsonValue], *, is_async: bool) -> Any:
    done: Any = function(**arguments) if is_async else await _in_thread(function, arguments)
    return await done if inspect.isawaitable(done) else done  # a plain wrapper of an async function returns one too


async def _in_thread(function: JobFunction, arguments: dict[str, JsonValue]) -> object:
    """Like `asyncio.to_thread`, but a function that never returns does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: object, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)

    def work() -> None:
        result: object = None
        failure: BaseException | None = None
        try:
            result = context.run(function, **arguments)
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name=f"job-{function.__name__}", daemon=True).start()
    return await done


@contextmanager
def _measured(run: Run, name: str) -> Iterator[None]:
    """Tell the log and the metrics how a job ended."""
    started = time.perf_counter()
    logger.info("job_started")
    job_duration_seconds.labels(name, "failed")  # from now on, so that the first failure is a rise from 0
    outcome, level, cause = "failed", logging.ERROR, None
    told: dict[str, Any] = {}
    try:
        yield
        outcome, level = "completed", logging.INFO
    except asyncio.CancelledError:
        outcome, level = ("cancelled" if run.cancelled else "handed_back"), logging.INFO
        raise
    except Exception as error:
        told["error"], cause = str(error), error.__cause__
        raise
    finally:
        told["duration_s"] = duration_s = round(time.perf_counter() - started, 3)
        job_duration_seconds.labels(name, outcome).observe(duration_s)
        logger.log(level, f"job_{outcome}", extra=told, exc_info=cause)
