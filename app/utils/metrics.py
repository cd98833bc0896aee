"""Every metric of the service, declared in one place with its unit and meaning, and their Prometheus text form.

Whoever has something to tell imports the metric from here. Labels come from short closed lists (route templates,
names that stand in the code), never from what a client sent. With several worker processes, PROMETHEUS_MULTIPROC_DIR
names the folder that they share (`voltway serve --workers` sets it), and any of them answers for all;
`multiprocess_mode` says how a gauge's values join. METRICS_ENABLED=false replaces every metric by one that does
nothing.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from pydantic_settings import BaseSettings, SettingsConfigDict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus text exposition format, version 0.0.4."""


class MetricsSettings(BaseSettings):
    """Read once, when this module is imported: prometheus_client decides for the whole process as well."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    metrics_enabled: bool = True
    """Whether to measure, and to answer at `/metrics`."""


ENABLED = MetricsSettings().metrics_enabled
REGISTRY = CollectorRegistry()
disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, that no one looks at
_Join = Literal["livesum", "livemax", "livemin", "livemostrecent", "mostrecent"]


class _Off:
    """Stands for any metric and forgets everything."""

    def labels(self, *_: object, **__: object) -> "_Off":
        return self

    def inc(self, amount: float = 1) -> None: ...
    def dec(self, amount: float = 1) -> None: ...
    def set(self, value: float) -> None: ...
    def observe(self, amount: float) -> None: ...
    def clear(self) -> None: ...


def _counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY) if ENABLED else cast("Counter", _Off())


def _gauge(name: str, meaning: str, labels: Sequence[str] = (), *, join: _Join) -> Gauge:
    if not ENABLED:
        return cast("Gauge", _Off())
    return Gauge(name, meaning, labels, registry=REGISTRY, multiprocess_mode=join)


def _histogram(name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets) if ENABLED else cast("Any", _Off())


_FROM_1_MS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Requests. `endpoint` is a route template, or "unmatched".
request_count = _counter("request_count", "Total HTTP requests", ["method", "endpoint", "status"])
request_duration_seconds = _histogram(
    "request_duration_seconds",
    "From the request's arrival to the last byte of its answer; of a stream of events, to its head",
    ["method", "endpoint"],
    buckets=_FROM_1_MS_S,
)
request_errors = _counter(
    "request_errors", "Answers of status 400 and above, by the kind of problem", ["endpoint", "type"]
)
requests_in_progress = _gauge("requests_in_progress", "Requests that are being answered now", join="livesum")
requests_turned_away = _counter("requests_turned_away", "Requests refused because MAX_REQUESTS were being answered")
slow_requests = _counter("slow_requests", "Requests that took longer than SLOW_REQUEST_THRESHOLD", ["endpoint"])

# Database. `operation` is the statement's first word, if it is one of a few, else "other".
db_query_duration_seconds = _histogram(
    "db_query_duration_seconds",
    "Time for one statement, as the application saw it",
    ["operation"],
    buckets=_FROM_1_MS_S,
)
db_errors = _counter("db_errors", "Statements that failed, and connections that could not be made")
db_connections_in_use = _gauge("db_connections_in_use", "Database connections that do work now", join="livesum")
db_connections_open = _gauge("db_connections_open", "Database connections that are open", join="livesum")
db_connections_max = _gauge(
    "db_connections_max", "Database connections that the pools may open, 0 where nothing limits them", join="livesum"
)

# Caches. `cache` is the cached function's name, `tier` memory or redis.
cache_requests = _counter(
    "cache_requests",
    "Look-ups: hit, miss or error; and values that cannot be kept: refused",
    ["cache", "tier", "result"],
)
cache_entries = _gauge("cache_entries", "Values held in memory", ["cache"], join="livesum")
cache_breaker_open = _gauge("cache_breaker_open", "1 while Redis is left alone after failures", join="livemax")

# Logs.
log_lines = _counter("log_lines", "Lines written to the log", ["level"])
log_lines_dropped = _counter("log_lines_dropped", "Lines lost because the queue to the log was full")

# Memory.
memory_rss_bytes = _gauge("memory_rss_bytes", "Memory that the processes hold in RAM", join="livesum")
memory_limit_bytes = _gauge(
    "memory_limit_bytes", "What the container may use, or the machine's memory where nothing is set", join="livemax"
)
memory_threshold_exceeded = _counter("memory_threshold_exceeded", "Times that a process rose over its threshold")

# Jobs. `name` is the job's name in the code.
jobs = _gauge("jobs", "Jobs that the queue knows, by status", ["status"], join="livemostrecent")
jobs_oldest_pending_seconds = _gauge(
    "jobs_oldest_pending_seconds", "How long the job that has waited longest has waited", join="livemostrecent"
)
job_duration_seconds = _histogram(
    "job_duration_seconds",
    "From a job's start to its end",
    ["name", "outcome"],
    buckets=(0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0),
)
schedule_paused = _gauge("schedule_paused", "1 while a schedule is paused", ["schedule"], join="livemostrecent")
schedule_next_timestamp_seconds = _gauge(
    "schedule_next_timestamp_seconds",
    "When a schedule's next slot begins; in the past when no process keeps it (Unix time)",
    ["schedule"],
    join="livemostrecent",
)

# The catalogue in memory, and the sources that it comes from.
replica_stations = _gauge("voltway_replica_stations", "Stations that a process can find", join="livemin")
replica_current_timestamp_seconds = _gauge(
    "voltway_replica_current_timestamp_seconds",
    "When the replica last equalled the database, of the process that is furthest behind (Unix time)",
    join="livemin",
)
source_stations = _gauge("voltway_source_stations", "Present stations of a source", ["source"], join="livemostrecent")
source_enabled = _gauge(
    "voltway_source_enabled",
    "1 when the source is read by itself, 0 when only by hand",
    ["source"],
    join="livemostrecent",
)
source_cadence_seconds = _gauge(
    "voltway_source_cadence_seconds", "How often the source is to be read", ["source"], join="livemostrecent"
)
source_last_success_timestamp_seconds = _gauge(
    "voltway_source_last_success_timestamp_seconds",
    "When the source was last known to be up to date: imported, or found unchanged (Unix time)",
    ["source"],
    join="livemostrecent",
)
source_last_duration_seconds = _gauge(
    "voltway_source_last_duration_seconds",
    "How long the last complete import of the source took",
    ["source"],
    join="livemostrecent",
)
source_last_records = _gauge(
    "voltway_source_last_records",
    "Records of that import, by what became of them",
    ["source", "outcome"],
    join="livemostrecent",
)
source_failing = _gauge(
    "voltway_source_failing", "1 when the newest import of the source has failed", ["source"], join="livemostrecent"
)
source_failures_in_a_row = _gauge(
    "voltway_source_failures_in_a_row",
    "Imports of the source that have failed since one succeeded",
    ["source"],
    join="livemostrecent",
)
live_evses = _gauge(
    "voltway_live_evses",
    "EVSEs whose newest state the source has told, by whether it is fresh or too old to be shown (stale)",
    ["source", "state"],
    join="livemostrecent",
)

streams = _gauge("voltway_streams", "Streams of live status that are open", join="livesum")
stream_events = _counter("voltway_stream_events", "Events sent to streams")
stream_resets = _counter(
    "voltway_stream_resets", "Times that a stream had to begin anew, as its reader was too slow or too long away"
)

webhooks = _gauge(
    "voltway_webhooks",
    "Webhooks: active, failing (the last attempt was in vain) or paused",
    ["state"],
    join="livemostrecent",
)
webhook_deliveries = _counter(
    "voltway_webhook_deliveries",
    "Attempts to deliver to a webhook: delivered, failed (tried again later) or dead (the last attempt)",
    ["outcome"],
)
webhook_resets = _counter(
    "voltway_webhook_resets", "Times that a webhook had to be told that what it missed is not known any more"
)
webhook_oldest_undelivered_seconds = _gauge(
    "voltway_webhook_oldest_undelivered_seconds",
    "Age of what has waited longest for its way to a webhook that is not paused",
    join="livemostrecent",
)


def get_metrics() -> bytes:
    """All metrics in Prometheus text form, those of every worker process summed."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    forget_dead_processes()
    joined = CollectorRegistry()
    MultiProcessCollector(joined)  # type: ignore[no-untyped-call]
    return generate_latest(joined)


def forget_dead_processes() -> None:
    """Drop the `live…` gauges of workers that have ended, however they did; what they counted stays."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            with suppress(FileNotFoundError):  # another worker does the same at this moment
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
