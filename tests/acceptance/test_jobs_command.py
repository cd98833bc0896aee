"""`voltway worker`, `voltway jobs` and `/api/v1/jobs`: a serving process that leaves its jobs to a worker."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.db.migrate import migrate
from app.utils.background_tasks import JobQueue
from tests.acceptance.conftest import VOLTWAY, environment, serving, voltway
from tests.conftest import ROOT
from tests.integration import work
from tests.keys import create_key
from tests.services import free_port

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    migrate(_url(folder))
    return folder


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx.Client]:
    """Of a process that does no jobs."""
    key = create_key(_url(folder), "operator")
    with serving(folder, JOBS_IN_SERVE="false") as address, httpx.Client(base_url=address, timeout=30) as client:
        client.headers["X-API-Key"] = key
        yield client


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'voltway.db'}"


@contextmanager
def worker(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [VOLTWAY, "worker", *options],
        env=environment(folder, LOG_DIR="worker-logs", PYTHONPATH=str(ROOT)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "VoltWay does background jobs, 2 at a time.\n"
            yield process
            process.terminate()
            assert process.wait(15) == 0
        finally:
            process.kill()


def wait_for(http: httpx.Client, job_id: str, *statuses: str) -> dict[str, Any]:
    deadline = time.monotonic() + WITHIN_S
    while (job := http.get(f"/api/v1/jobs/{job_id}").json())["status"] not in statuses:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    found: dict[str, Any] = job
    return found


def submit(folder: Path, function: Any, **options: Any) -> str:
    async def put() -> str:
        queue = JobQueue(database_url=_url(folder), does_jobs=False)
        await queue.start()
        try:
            return await queue.submit(function, **options)
        finally:
            await queue.stop()

    return asyncio.run(put())


def test_what_a_serving_process_takes_a_worker_does_and_hands_back_what_does_not_end(
    folder: Path, http: httpx.Client
) -> None:
    asked = http.post("/api/v1/export/data", params={"format": "csv"}, headers={"X-Request-ID": "asked-1"})
    job_id = asked.json()["job_id"]
    assert http.get(f"/api/v1/jobs/{job_id}").json()["status"] == "pending"
    port = free_port()
    with worker(folder, "--max-workers", "2", "--metrics-port", str(port)) as process:
        job = wait_for(http, job_id, "completed", "failed")
        assert (job["status"], job["progress"], job["attempts"]) == ("completed", 1.0, 1)
        assert set(job).isdisjoint({"result", "arguments"})
        hanging = submit(folder, work.sleep_through_the_first, started=str(folder / "started"), seconds=600)
        wait_for(http, hanging, "running")
        figures = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'job_duration_seconds_count{name="export_large_dataset",outcome="completed"} 1.0' in figures
        assert 'jobs{status="running"}' in figures
        began = time.monotonic()
        process.terminate()
        assert process.wait(15) == 0
        assert time.monotonic() - began < 12
    assert http.get(f"/api/v1/jobs/{hanging}").json()["status"] == "running"
    assert voltway(folder, "jobs", "cancel", hanging).returncode == 0
    lines = [json.loads(line) for line in (folder / "worker-logs" / "app.log").read_text().splitlines()]
    (completed,) = (line for line in lines if line["msg"] == "job_completed" and line["job_id"] == job_id)
    assert completed["request_id"] == "asked-1"


def test_jobs_are_listed_shown_cancelled_and_retried_from_another_process(folder: Path, http: httpx.Client) -> None:
    job_id = submit(folder, work.add, name="sum [x]", left=1, right=2, delay_s=600)
    listed = voltway(folder, "jobs", "list", "--name", "sum [x]", "--status", "pending").stdout
    assert listed.split()[:3] == ["id", "name", "status"]
    for shown in (job_id, "sum [x]", "delayed until 2"):
        assert shown in listed
    assert voltway(folder, "jobs", "cancel", job_id).stdout == f"cancelled: {job_id} (sum [x])\n"
    assert "cancelled" in voltway(folder, "jobs", "show", job_id).stdout
    (found,) = http.get("/api/v1/jobs", params={"name": "sum [x]", "status": "cancelled"}).json()["items"]
    assert found["id"] == job_id
    assert found["finished_at"]
    assert voltway(folder, "jobs", "retry", job_id).stdout == f"in the queue again: {job_id} (sum [x])\n"
    assert http.get(f"/api/v1/jobs/{job_id}").json()["status"] == "pending"
    for arguments, why in (
        (("retry", job_id), f"Job {job_id} is pending: only what failed or was cancelled can be retried."),
        (("show", "none"), "There is no job none, or it is no more remembered."),
        (("pause", "none"), "There is no schedule none"),
    ):
        refused = voltway(folder, "jobs", *arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"error: {why}")
        assert len(refused.stderr.splitlines()) == 1


def test_a_schedule_is_paused_and_resumed_from_the_command_line(folder: Path, http: httpx.Client) -> None:
    with worker(folder, "--max-workers", "2"):
        deadline = time.monotonic() + WITHIN_S
        while "sync_external_data" not in (listed := voltway(folder, "jobs", "schedules").stdout):
            assert time.monotonic() < deadline, listed
        assert voltway(folder, "jobs", "pause", "cleanup_old_jobs").stdout == "paused: cleanup_old_jobs\n"
    (line,) = (
        line
        for line in voltway(folder, "jobs", "schedules").stdout.splitlines()
        if line.startswith("cleanup_old_jobs")
    )
    assert line.split()[1:5] == ["every", "1", "d", "paused"]
    assert voltway(folder, "jobs", "resume", "cleanup_old_jobs").returncode == 0
    assert "paused" not in voltway(folder, "jobs", "schedules").stdout


def test_a_worker_without_tables_or_with_a_port_that_is_taken_says_so(
    folder: Path, http: httpx.Client, tmp_path: Path
) -> None:
    without = voltway(tmp_path, "worker")
    assert (without.returncode, without.stderr.count("\n")) == (1, 1)
    assert "voltway migrate" in without.stderr
    taken = voltway(folder, "worker", "--metrics-port", str(http.base_url.port))
    assert taken.returncode == 1
    assert taken.stderr.splitlines()[-1].startswith("error: --metrics-port")
