"""Routes that look: jobs, frames, logs, workers, metrics, events. Any token may."""

# Annotations are values here, not texts: FastAPI reads those of functions that are made inside of functions.

import contextlib
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.api.documents import (
    FailureDocument,
    JobDocument,
    JobSummary,
    LogDocument,
    LogLine,
    UsageDocument,
    WorkerDocument,
)
from pipeline.api.server import PROBLEMS, JobName, Server, caller
from pipeline.errors import ProductError
from pipeline.farm import attempts, names
from pipeline.farm import job as jobs
from pipeline.farm.crew import crew
from pipeline.farm.inspection import waits_of
from pipeline.farm.products import Products
from pipeline.farm.progress import snapshot
from pipeline.farm.task_logs import failed_tasks, task_logs
from pipeline.farm.usage import usage
from pipeline.farm.watching import slots_by_device

__all__ = ["add_reading"]

LISTED: Final = 1000
"""Logs that one answer holds, at most."""

TaskName = Annotated[str, Query(pattern=r"^[A-Za-z0-9_./-]{0,200}$", description="A task, or the beginning of some.")]


def add_reading(app: FastAPI, server: Server) -> None:
    """Adds them to an application."""
    reader = [Depends(caller(server, "read"))]
    read: dict[str, Any] = {"dependencies": reader, "responses": PROBLEMS}
    farm, store = server.farm, server.farm.store

    @app.get("/metrics", tags=["farm"], response_class=Response, **read)
    def metrics() -> Response:
        """Metrics, as Prometheus reads them."""
        return Response(generate_latest(server.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/scaling", tags=["farm"], **read)
    def scaling() -> dict[str, dict[str, int]]:
        """Tasks that could be at work now, queued and running ones among them, and live slots, by device."""
        sight = server.watch.look()
        slots = slots_by_device(sight.workers)
        found = {device: {"tasks": 0, "slots": slots[device]} for device in ("cpu", "cuda", "any")}
        for (_, device), count in sight.ready().items():
            found[device]["tasks"] += count
        return found

    @app.get("/v1/workers", tags=["farm"], **read)
    def workers() -> list[WorkerDocument]:
        """Who works on the farm, and who was asked to stay away."""
        return [WorkerDocument(**asdict(member)) for member in crew(farm)]

    @app.get("/v1/events", tags=["jobs"], response_class=StreamingResponse, **read)
    def events(job: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.-]{1,160}$")] = None) -> StreamingResponse:
        """Every unfinished job as it is now, then each change: Server-Sent Events named `job`."""
        if server.stream.full:
            raise HTTPException(503, "as many listeners as this server serves are listening")
        wanted = None if job is None else server.job(job).id
        return StreamingResponse(
            server.stream.events(wanted), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.get("/v1/jobs", tags=["jobs"], **read)
    def list_jobs() -> list[JobSummary]:
        """All jobs of the store."""
        found = [jobs.load(store, job_id) for job_id in jobs.jobs(store)]
        return [JobSummary.of(job, snapshot(store, job)) for job in found]

    @app.get("/v1/jobs/{name}", tags=["jobs"], **read)
    def get_job(name: JobName) -> JobDocument:
        """A job, frame by frame."""
        job = server.job(name)
        seen = snapshot(store, job, slots=farm.slots(), cost_per_hour=farm.config.cost_per_hour)
        failed = []
        for task in seen.failures:
            with contextlib.suppress(FileNotFoundError):  # somebody has just had it tried again
                failed.append(FailureDocument.of(attempts.failure(store, job.directory, task)))
        return JobDocument.whole(job, seen, failed, waits_of(farm, job, seen))

    @app.get("/v1/jobs/{name}/logs", tags=["jobs"], **read)
    def logs(
        name: JobName,
        task: TaskName = "",
        failed: Annotated[bool, Query(description="Of the tasks that failed alone.")] = False,
        after: Annotated[float, Query(description="Of attempts that ended later, seconds since the epoch.")] = 0.0,
    ) -> list[LogDocument]:
        """What tasks said, oldest first."""
        job = server.job(name)
        prefixes = failed_tasks(store, job) if failed else [task] if task else []
        if failed and not prefixes:
            return []
        found = task_logs(store, job, prefixes)
        recent = [each for each in found if each.lines and each.lines[-1].at > after][:LISTED]
        return [
            LogDocument(
                name=each.name,
                task=each.task,
                attempt=each.attempt,
                lines=[
                    LogLine(at=line.at, level=line.level, text=line.text, facts=dict(line.facts)) for line in each.lines
                ],
            )
            for each in recent
        ]

    @app.get("/v1/jobs/{name}/usage", tags=["jobs"], **read)
    def get_usage(name: JobName) -> UsageDocument:
        """Device time, what of it was in vain, its price, and bytes in the store."""
        return UsageDocument.of(usage(store, server.job(name), cost_per_hour=farm.config.cost_per_hour))

    @app.get("/v1/jobs/{name}/frames/{frame}/preview", tags=["jobs"], response_class=Response, **read)
    def preview(name: JobName, frame: int) -> Response:
        """The viewing picture of a frame that is made: PNG."""
        job = server.job(name)
        products = Products(store, job)
        try:
            file = products.facts(names.frame_product(frame)).get("png")
            data = store.read(products.name(file)) if file else None
        except (ProductError, FileNotFoundError):
            data = None
        if data is None:
            raise HTTPException(404, f"{job.id} has no picture of frame {frame} yet")
        return Response(data, media_type="image/png")
