"""The circuit breaker: whether Redis is worth asking at the moment."""

import logging
import time
from threading import Lock

from app.utils.metrics import cache_breaker_open

logger = logging.getLogger(__name__)

_FAILURES_TO_OPEN = 5
_SECONDS_TO_OPEN = 0.2
"""That the failures must have gone on: in a burst that this process itself cannot handle in time, some fail too."""


class Breaker:
    """Opens after failures in a row; whoever opened it has it closed by a probe. Safe in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._failing_since = 0.0
        self.is_open = False
        cache_breaker_open.set(0)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, error: BaseException) -> bool:
        """Whether this failure has opened it."""
        with self._lock:
            now = time.monotonic()
            if self._failures == 0:
                self._failing_since = now
            self._failures += 1
            lasting = self._failures >= _FAILURES_TO_OPEN and now - self._failing_since >= _SECONDS_TO_OPEN
            if self.is_open or not lasting:
                return False
            self.is_open = True
        cache_breaker_open.set(1)
        logger.warning("cache_breaker_opened", extra={"error": type(error).__name__, "failures": self._failures})
        return True

    def close(self) -> None:
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
        self.succeeded()
        cache_breaker_open.set(0)
        logger.info("cache_breaker_closed")
