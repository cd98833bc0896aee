"""What the metrics tell of a database: how long statements take, how many fail, how many connections there are."""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExecutionContext

from app.utils import metrics

_OPERATIONS = ("select", "insert", "update", "delete")
_duration = {name: metrics.db_query_duration_seconds.labels(name) for name in (*_OPERATIONS, "other")}


def instrument(engine: Engine) -> None:
    """Measure every statement that goes through the engine."""
    if not metrics.ENABLED:
        return
    event.listen(engine, "before_cursor_execute", _start)
    event.listen(engine, "after_cursor_execute", _observe)
    event.listen(engine, "handle_error", lambda _: metrics.db_errors.inc())


def instrument_pool(engine: Engine, max_connections: int) -> None:
    """Count the connections of the engine, whose pool opens so many at most."""
    if not metrics.ENABLED:
        return
    event.listen(engine, "engine_disposed", lambda _: metrics.db_connections_max.dec(max_connections), once=True)
    metrics.db_connections_max.inc(max_connections)
    in_use, opened = metrics.db_connections_in_use, metrics.db_connections_open
    event.listen(engine.pool, "connect", lambda *_: opened.inc())
    event.listen(engine.pool, "close", lambda *_: opened.dec())
    event.listen(engine.pool, "close_detached", lambda *_: opened.dec())
    event.listen(engine.pool, "checkout", lambda *_: in_use.inc())
    event.listen(engine.pool, "checkin", lambda *_: in_use.dec())


def _start(_: Any, __: Any, ___: str, ____: Any, context: ExecutionContext, _____: bool) -> None:
    context._voltway_start = time.perf_counter()  # type: ignore[attr-defined]


def _observe(_: Any, __: Any, statement: str, ___: Any, context: ExecutionContext, ____: bool) -> None:
    operation = statement.lstrip()[:6].lower()
    child = _duration.get(operation, _duration["other"])
    child.observe(time.perf_counter() - context._voltway_start)  # type: ignore[attr-defined]
