"""A process with a job queue, which does what it is told: a line of JSON in, a line of JSON out. It stops its queue
when there is nothing more to read.

    python -m tests.integration.jobs_process DATABASE_URL WITHIN_S MAX_WORKERS
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from typing import Any

from app.utils.background_tasks import JobQueue, TaskScheduler


def function_of(told: dict[str, Any]) -> Any:
    module, _, name = told["function"].rpartition(".")
    return getattr(importlib.import_module(module), name)


async def obey(queue: JobQueue, scheduler: TaskScheduler, told: dict[str, Any]) -> Any:
    if "submit" in told:
        options = told["submit"].get("options", {})
        return await queue.submit(function_of(told["submit"]), arguments=told["submit"]["arguments"], **options)
    if "schedule" in told:
        every_s = told["schedule"]["every_s"]
        scheduler.add_task(function_of(told["schedule"]), every_s, arguments=told["schedule"]["arguments"])
        return await scheduler.start()
    if "job" in told:
        job = queue.get_job(told["job"])
        return job and {"status": job.status, "result": job.result, "error": job.error, "attempts": job.attempts}
    return os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, within_s: float, max_workers: int) -> None:
    queue = JobQueue(max_workers, database_url=url)
    scheduler = TaskScheduler()
    await queue.start()
    print(json.dumps("started"), flush=True)  # noqa: T201
    while line := await asyncio.to_thread(sys.stdin.readline):
        told: list[dict[str, Any]] = json.loads(line)
        print(json.dumps([await obey(queue, scheduler, each) for each in told]), flush=True)  # noqa: T201
    await scheduler.stop()
    await queue.stop(within_s)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
