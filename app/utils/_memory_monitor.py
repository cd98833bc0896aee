"""How much memory the process holds, and how much it may."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import psutil
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.utils.metrics import memory_limit_bytes, memory_rss_bytes, memory_threshold_exceeded

logger = logging.getLogger(__name__)
_MIB = 1024 * 1024


class MemorySettings(BaseSettings):
    """When memory is worth a warning."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    memory_threshold_mb: Annotated[float, Field(gt=0)] = 500
    """MiB that one process may hold in RAM before it warns."""


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Of this process, in bytes."""

    rss_bytes: int
    """What it holds in RAM (resident set)."""
    limit_bytes: int
    """What its container may use, all processes together, or the machine's RAM where nothing is set."""
    threshold_bytes: int

    @property
    def is_over_threshold(self) -> bool:
        return self.rss_bytes > self.threshold_bytes


class MemoryMonitor:
    """Measures this process and tells when it holds more than the threshold.

    `on_threshold` is called once for each rise over it, by whichever method noticed; what it raises goes to the
    caller of that method.

    When not to use it: to stop a process at a limit (the container or service manager does), or to find what holds
    the memory (`tracemalloc`).
    """

    def __init__(
        self,
        threshold_mb: float | None = None,
        on_threshold: Callable[[MemoryUsage], object] | None = None,
        *,
        root: Path = Path("/"),
    ) -> None:
        """Args:
        threshold_mb: MiB; None: MEMORY_THRESHOLD_MB.
        root: where `proc` and `sys` are found.
        """
        threshold_mb = MemorySettings().memory_threshold_mb if threshold_mb is None else threshold_mb
        self._threshold_bytes = int(threshold_mb * _MIB)
        self._on_threshold = on_threshold
        self._root = root
        self._process = psutil.Process()
        self._was_over = False

    def current(self) -> MemoryUsage:
        """Measure, bring the metrics up to date, and call `on_threshold` on a rise."""
        usage, has_risen = self._measure()
        if has_risen:
            self._tell(usage)
        return usage

    def log_memory_usage(self) -> MemoryUsage:
        """As `current`, and log it: a warning over the threshold, else for information."""
        usage, has_risen = self._measure()
        self._log(usage)
        if has_risen:
            self._tell(usage)
        return usage

    async def run(self, interval_s: float) -> None:
        """Measure every so many seconds, and log each crossing of the threshold, until cancelled. An error of
        `on_threshold` is logged."""
        while True:
            was_over = self._was_over
            try:
                usage, has_risen = self._measure()
                if usage.is_over_threshold != was_over:
                    self._log(usage)
                if has_risen:
                    self._tell(usage)
            except Exception:
                logger.exception("memory_monitor_failed")
            await asyncio.sleep(interval_s)

    def _measure(self) -> tuple[MemoryUsage, bool]:
        """And whether it has risen over the threshold since the last time."""
        machine = psutil.virtual_memory().total
        usage = MemoryUsage(
            rss_bytes=self._process.memory_info().rss,
            limit_bytes=min([machine, *container_limits(self._root)]),
            threshold_bytes=self._threshold_bytes,
        )
        memory_rss_bytes.set(usage.rss_bytes)
        memory_limit_bytes.set(usage.limit_bytes)
        has_risen = usage.is_over_threshold and not self._was_over
        self._was_over = usage.is_over_threshold
        return usage, has_risen

    def _tell(self, usage: MemoryUsage) -> None:
        memory_threshold_exceeded.inc()
        if self._on_threshold is not None:
            self._on_threshold(usage)

    def _log(self, usage: MemoryUsage) -> None:
        logger.log(
            logging.WARNING if usage.is_over_threshold else logging.INFO,
            "memory_usage",
            extra={
                "rss_bytes": usage.rss_bytes,
                "limit_bytes": usage.limit_bytes,
                "threshold_bytes": usage.threshold_bytes,
            },
        )


def container_limits(root: Path) -> Iterator[int]:
    """Limits in bytes of the control groups that this process is in, the groups above them included.

    Linux kernel documentation, cgroup-v1/memory.rst and cgroup-v2.rst; group names as in cgroups(7),
    `/proc/self/cgroup`. A container often sees its own group as the root of the tree, so the root counts too."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":
            yield from _limits_in(root / "sys/fs/cgroup", group, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_in(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")


def _limits_in(tree: Path, group: str, file: str) -> Iterator[int]:
    path = PurePosixPath(group.lstrip("/"))
    for each in (path, *path.parents):
        try:
            text = (tree / each / file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # or `max`
            yield int(text)
