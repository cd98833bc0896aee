"""Rows that come one by one over a long time, written some at a time."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.utils._batch_rows import RowMaker
from app.utils.batch_ops import BatchOperations, BatchSettings

T = TypeVar("T")
logger = logging.getLogger(__name__)


class BulkInsertBuffer(Generic[T]):
    """Collects rows and inserts them when `batch_size` are waiting, when `flush_interval_s` has passed since the
    first of them, and at the end of the block. It never commits: that is the session owner's to do.

    No row is lost: one that was added is in the session's transaction or in `pending`. A batch is written whole or
    not at all; one that fails or is cancelled goes back to `pending`, the error is raised, and the next flush tries
    it again. What is waiting is written at the end even if the block raises: rows that were added before an error are
    good ones. Where all or nothing is wanted, use BatchOperations.

    When not to use it: for rows that are all there (BatchOperations), or where each must be stored before its sender
    is answered.
    """

    def __init__(
        self,
        session: AsyncSession,
        model: type[T],
        batch_size: int | None = None,
        *,
        flush_interval_s: float | None = None,
    ) -> None:
        """Args:
        batch_size: rows; None: BATCH_SIZE.
        flush_interval_s: seconds; None: no row waits for the clock. With it the buffer writes at any time, so the
            session is the buffer's alone until the block ends. An error is raised by the next `add` or the end.
        """
        self._session = session
        self._model = model
        self._maker = RowMaker(model, None, ready_made=False)
        self._batch_size = BatchSettings().batch_size if batch_size is None else batch_size
        if self._batch_size < 1:
            raise ValueError("a batch has at least one row")
        self._interval_s = flush_interval_s
        self._pending: list[T | Mapping[str, Any]] = []
        self._lock = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None
        self._flushing: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self.inserted = 0
        """Rows written so far."""

    @property
    def pending(self) -> list[T | Mapping[str, Any]]:
        """Rows not written yet, in the order in which they came; after the block, those that could not be written."""
        return list(self._pending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        await self._stop_clock()
        self._failure = None
        try:
            await self.flush()
        except Exception as another:
            logger.exception("buffered_rows_not_written", extra={"rows": len(self._pending)})
            if error is None:
                raise
            error.add_note(f"{len(self._pending)} buffered rows could not be written: {another}")

    async def add(self, row: T | Mapping[str, Any]) -> None:
        """Take a row. If it fills a batch, or an earlier flush by the clock has failed, an error of writing is raised
        here; the row is kept all the same. Raises ValueError or TypeError, and does not keep it, for what cannot be
        inserted at all."""
        self._maker.new(0, row)
        self._pending.append(row)
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure
        if len(self._pending) >= self._batch_size:
            await self.flush()
        elif self._interval_s is not None and self._timer is None:
            self._timer = asyncio.create_task(self._flush_later(self._interval_s))

    async def flush(self) -> None:
        """Write all that is waiting. Raises what BatchOperations raises; the rows then wait on."""
        async with self._lock:
            taken, self._pending = self._pending, []
            if not taken:
                return
            try:
                async with BatchOperations(self._session, self._model, self._batch_size) as ops:
                    for row in taken:
                        await ops.add(row)
            except BaseException:
                self._pending = taken + self._pending
                raise
            self.inserted += len(taken)

    async def _flush_later(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        task, self._timer = self._timer, None  # a row that comes now starts another clock
        if task:
            self._flushing.add(task)
            task.add_done_callback(self._flushing.discard)
        try:
            await self.flush()
        except Exception as error:
            logger.warning("buffered_rows_not_written", exc_info=error, extra={"rows": len(self._pending)})
            self._failure = error

    async def _stop_clock(self) -> None:
        """A flush that has begun is not cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._flushing, *([self._timer] if self._timer else []), return_exceptions=True)
        self._timer = None
