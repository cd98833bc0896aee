"""What a log call costs who logs, in times of a call that goes nowhere; and what the middlewares add to a request."""

import argparse
import asyncio
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from app.middleware.logging import PerformanceMiddleware, RequestLoggingMiddleware
from app.utils.advanced_logging import log_context, log_later, setup_logging, shutdown_logging
from benchmarks.figures import print_table, spread

_CALLS = 200
"""In a row; far fewer than the queue holds."""
_DRAIN_S = 0.05
_FIELDS = {"source": "afdc", "stations": 5_571, "share": 0.25, "path": "/api/v1/stations", "done": True}
_HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
_HEADERS = [(b"host", b"localhost"), (b"user-agent", b"curl"), (b"accept", b"*/*")]


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, the writing thread having nothing left to do before and after."""
    start = perf_counter()
    for _ in range(_CALLS):
        call()
    took = perf_counter() - start
    sleep(_DRAIN_S)
    return took / _CALLS * 1e6


def measure(rounds: int) -> dict[str, list[float]]:
    """Microseconds a call, round by round."""
    nowhere, ours = logging.Logger("nowhere"), setup_logging("benchmark")
    nowhere.addHandler(logging.NullHandler())
    loop = asyncio.new_event_loop()
    calls: dict[str, Callable[[], object]] = {
        "logging to a NullHandler": lambda: nowhere.info("event", extra=_FIELDS),
        "setup_logging's logger": lambda: ours.info("event", extra=_FIELDS),
        "log_later": lambda: log_later(ours, logging.INFO, "event", _FIELDS),
    }
    for name, app in _applications().items():
        calls[name] = lambda app=app: loop.run_until_complete(app(_scope(), _nothing, _nothing))  # type: ignore[misc]
    took: dict[str, list[float]] = {name: [] for name in calls}
    with log_context(request_id="4bf92f3577b34da6a3ce929d0e0e4736"):
        for _ in range(rounds):
            for name, call in calls.items():
                took[name].append(microseconds(call))
    loop.close()
    return took


def _applications() -> dict[str, Any]:
    return {
        "an application": _constant,
        "with PerformanceMiddleware": PerformanceMiddleware(_constant),
        "with RequestLoggingMiddleware": RequestLoggingMiddleware(_constant),
        "with both": PerformanceMiddleware(RequestLoggingMiddleware(_constant)),
    }


async def _constant(scope: Any, receive: Any, send: Any) -> None:
    await send(_HEAD)
    await send({"type": "http.response.body", "body": b"ok"})


async def _nothing(*_: Any) -> Any: ...


def _scope() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": _HEADERS, "client": ("127.0.0.1", 1)}


def print_costs(rounds: int) -> None:
    """With 5 fields and a request id. The console goes to /dev/null meanwhile."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as null, redirect_stderr(null):
        setup_logging(log_dir=folder)
        took = measure(rounds)
        shutdown_logging()
    rows = []
    for name, each in took.items():
        floor = took["an application" if "with" in name or "application" in name else "logging to a NullHandler"]
        ratios = [one / other for one, other in zip(each, floor, strict=True)]
        added = [one - other for one, other in zip(each, floor, strict=True)]
        rows.append([name, spread(each, 1), spread(added, 1), "" if each is floor else spread(ratios)])
    print_table(["call", "µs: median (smallest to greatest)", "more than the floor", "÷ floor"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    print_costs(parser.parse_args().rounds)
