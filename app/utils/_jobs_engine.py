"""Doing jobs: DBOS takes them from the queue, in threads of its own, and gives them to the runner."""

import threading
from typing import cast

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from pydantic import JsonValue

from app.utils._jobs_database import reachable
from app.utils._jobs_runner import Order, Runner
from app.utils._jobs_store import NAME, VERSION, Store

MOST_TAKEOVERS = 10
"""A job that was interrupted more often than this, and may be what kills the processes, is given up."""
BUSY_POLL_S, IDLE_POLL_S = 0.1, 0.5
"""How often a process looks for jobs, at 5 % and 2 % of a core. DBOS goes over to the former in some seconds."""
_END_OF_THREAD_S = 10.0

_runner: Runner | None = None


@DBOS.workflow(name="job", max_recovery_attempts=MOST_TAKEOVERS)
async def _job(order: Order) -> JsonValue:
    assert _runner is not None  # noqa: S101 - DBOS calls it only between `launch` and `destroy`
    return await _runner.run(cast("str", DBOS.workflow_id), order)


class Engine:
    """Takes jobs from `launch` to `destroy`. DBOS is one to a process, and so is this."""

    def __init__(self, store: Store, process: str, runner: Runner, max_workers: int) -> None:
        """`process`: a name that no other process has, as the holder of the jobs in work here."""
        global _runner  # noqa: PLW0603 - as DBOS itself, one to a process
        _runner = runner
        self._store, self.process = store, process
        self._dbos = DBOS(config=self._config())
        queues = self._dbos._registry
        queues.internal_queue_map.pop(NAME, None)  # of an engine before this one
        self._queue = queues._register_internal_queue(  # a public queue has one limit and one pace for all processes
            NAME, worker_concurrency=max_workers, polling_interval_sec=BUSY_POLL_S
        )

    def launch(self) -> None:
        """Begin to take jobs. The tables must be there."""
        with reachable():
            DBOS.launch()

    def stop_taking(self) -> None:
        """Take no more jobs. `DBOS.destroy` alone ends the jobs' event loop while a job is just being taken."""
        for event in self._dbos.background_thread_stop_events:
            event.set()
        for thread in threading.enumerate():
            if thread.name.startswith("queue-worker-") and thread.ident:  # one that is just starting cannot be joined
                thread.join(_END_OF_THREAD_S)

    def destroy(self) -> None:
        """End everything; what is still in work is cancelled, but remains in the queue as running."""
        self.stop_taking()
        DBOS.destroy()

    def in_work(self) -> list[str]:
        """Jobs that this process has, until their end is stored."""
        return self._dbos._active_workflows_set.activeList()

    def poll_every(self, interval_s: float) -> None:
        """How often to look for jobs."""
        self._queue._polling_interval_sec = interval_s

    def _config(self) -> DBOSConfig:
        return {
            "name": NAME,
            "system_database_engine": self._store.engine,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": VERSION,
            "executor_id": self.process,
            "log_level": "WARNING",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.1,  # looks at nothing; it is how long its end takes
            "scheduler_polling_interval_sec": 3_600.0,  # nor is there a schedule for it to find
        }
