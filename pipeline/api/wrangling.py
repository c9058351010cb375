"""Routes that change something: submitting, what is asked of jobs, what is asked of workers. A `write` token may.

What is asked is written down as the token's name: in the audit log, and in the records of the job or the worker.
"""

# Annotations are values here, not texts: FastAPI reads those of functions that are made inside of functions.

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath

from pipeline.api.documents import Changes, Submission, Submitted, TermsDocument, Told
from pipeline.api.server import PROBLEMS, JobName, Server, address_of, caller
from pipeline.api.sources import checked_overrides, checked_sources
from pipeline.api.tokens import Token
from pipeline.config.frames import FrameRange
from pipeline.farm.client import Farm
from pipeline.farm.crew import live_worker
from pipeline.farm.job import Job

__all__ = ["add_wrangling"]

Route = Callable[[Callable[..., Told]], Callable[..., Told]]
Do = Callable[[Farm, Job], str]
"""Asks something of a job; says what became of it."""

WorkerName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_+=@-][A-Za-z0-9_.+=@-]{0,199}$", description="Of a worker.")]
AfterTask = Annotated[bool, Query(description="Let running tasks come to their end.")]
Reason = Annotated[str, Query(max_length=200, description="What is wrong with it.")]
OneJob = Annotated[str | None, Query(alias="job", pattern=r"^[A-Za-z0-9_.-]{1,160}$", description="This job alone.")]
Tasks = Annotated[
    list[Annotated[str, Query(pattern=r"^[A-Za-z0-9_./-]{1,200}$")]],
    Query(max_length=100, description="These alone; by default all that failed."),
]


def add_wrangling(app: FastAPI, server: Server) -> None:
    """Adds them to an application."""
    _add_submission(app, server)
    _add_jobs(app, server)
    _add_workers(app, server)


class _Asked:
    """One request that changes something: its audit line is written however it ends, and names who asked."""

    def __init__(self, server: Server, request: Request, token: Token, action: str, **facts: Any) -> None:
        self._server, self._action = server, action
        self._noted: dict[str, Any] = {"who": token.name, "address": address_of(request), **facts}
        self.farm = server.farm.asked_by(token.name)

    def note(self, outcome: str, **facts: Any) -> None:
        self._server.audit.note(self._action, outcome=outcome, **{**self._noted, **facts})

    def __enter__(self) -> "_Asked":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, HTTPException):
            self.note(f"failed: {error.detail}")
        elif error is not None:
            self.note(f"failed: {error or type(error).__name__}")


def _add_submission(app: FastAPI, server: Server) -> None:
    Writer = Annotated[Token, Depends(caller(server, "write"))]

    @app.post("/v1/jobs", tags=["jobs"], status_code=201, responses=PROBLEMS)
    def submit(request: Request, token: Writer, wanted: Submission) -> list[Submitted]:
        """Submits shots of the server's project. What is wrong with any of them is told, and nothing is enqueued."""
        from pipeline.farm import submission  # brings OpenTimelineIO and the scene's tools

        with _Asked(server, request, token, "submit", sources=wanted.sources) as asked:
            sources = checked_sources(wanted.sources, server.project)
            overrides = checked_overrides(wanted.overrides)
            with server.submissions:
                results = submission.submit(
                    sources,
                    overrides,
                    settings=asked.farm.config,
                    out=asked.farm.store.url,
                    wait=False,
                    owner=token.name,
                )
            asked.note("done", jobs=[result.job for result in results])
        return [Submitted(**asdict(result)) for result in results]


def _add_jobs(app: FastAPI, server: Server) -> None:
    Writer = Annotated[Token, Depends(caller(server, "write"))]

    def act(request: Request, token: Token, action: str, name: str, do: Do, **facts: Any) -> Told:
        with _Asked(server, request, token, action, job=name, **facts) as asked:
            job = server.job(name)
            told = do(asked.farm, job)
            asked.note(told, job=job.id)
        return Told(job=job.id, told=told)

    def post(path: str) -> Route:
        return app.post(f"/v1/jobs/{{name}}/{path}", tags=["jobs"], responses=PROBLEMS)

    @post("pause")
    def pause(request: Request, token: Writer, name: JobName, after_task: AfterTask = False) -> Told:
        """Nothing of the job starts any more; what runs lets go between waves, or comes to its end."""

        def do(farm: Farm, job: Job) -> str:
            farm.pause(job, after_task=after_task)
            return "paused after the tasks that run" if after_task else "paused"

        return act(request, token, "pause", name, do, after_task=after_task)

    @post("resume")
    def resume(request: Request, token: Writer, name: JobName) -> Told:
        """The job goes on after a pause or a cancel."""

        def do(farm: Farm, job: Job) -> str:
            farm.resume(job)
            return "resumed"

        return act(request, token, "resume", name, do)

    @post("cancel")
    def cancel(request: Request, token: Writer, name: JobName, after_task: AfterTask = False) -> Told:
        """The job ends; what was made stays."""

        def do(farm: Farm, job: Job) -> str:
            farm.cancel(job, after_task=after_task)
            return "cancelled after the tasks that run" if after_task else "cancelled"

        return act(request, token, "cancel", name, do, after_task=after_task)

    @post("retry")
    def retry(request: Request, token: Writer, name: JobName, task: Tasks = []) -> Told:  # noqa: B006 (FastAPI's way)
        """Failed tasks are tried again, and frames that were given up because of them."""

        def do(farm: Farm, job: Job) -> str:
            if found := farm.retry(job, task or None):
                return f"{len(found)} failed task{'s' * (len(found) != 1)} will be tried again"
            return "none of these has failed" if task else "nothing has failed"

        return act(request, token, "retry", name, do, tasks=task)

    @post("skip")
    def skip(
        request: Request, token: Writer, name: JobName, frames: Annotated[str, Query(min_length=1, max_length=4096)]
    ) -> Told:
        """These frames are not wanted any more: a range such as 1001-1004."""

        def do(farm: Farm, job: Job) -> str:
            wanted = FrameRange.parse(frames)
            farm.skip(job, wanted)
            return f"{wanted} are skipped"

        return act(request, token, "skip", name, do, frames=frames)

    @app.put("/v1/jobs/{name}/priority", tags=["jobs"], responses=PROBLEMS)
    def priority(request: Request, token: Writer, name: JobName, value: Annotated[int, Query(ge=0, le=9)]) -> Told:
        """Changes a job's priority: 0 (last) to 9 (first)."""

        def do(farm: Farm, job: Job) -> str:
            farm.priority(job, value)
            return f"priority {value}"

        return act(request, token, "priority", name, do, value=value)

    @post("approve")
    def approve(request: Request, token: Writer, name: JobName) -> Told:
        """The first passes of a job that waits for an approval are good: it goes on."""

        def do(farm: Farm, job: Job) -> str:
            if job.terms(farm.control(job)).approve == "no":
                return "waits for no approval"
            farm.approve(job)
            return "approved"

        return act(request, token, "approve", name, do)

    @app.patch("/v1/jobs/{name}/terms", tags=["jobs"], responses=PROBLEMS)
    def adjust(request: Request, token: Writer, name: JobName, wanted: TermsDocument) -> Told:
        """Changes the terms on which the farm makes the job; no pixel changes."""
        terms = wanted.model_dump(mode="json", exclude_unset=True)

        def do(farm: Farm, job: Job) -> str:
            farm.adjust(job, terms)
            return ", ".join(f"{key} is {json.dumps(value)}" for key, value in terms.items()) or "nothing is changed"

        return act(request, token, "adjust", name, do, terms=terms)

    @post("change")
    def change(request: Request, token: Writer, name: JobName, wanted: Changes) -> Told:
        """Another λ, target or cap: a new version takes the job's place, and reuses what is the same in both."""

        def do(farm: Farm, job: Job) -> str:
            from pipeline.farm.change import changed

            found, attached = changed(farm, job, checked_overrides(wanted.overrides), owner=token.name)
            if found.id == job.id:
                return "is like that already"
            return f"{found.id} {'goes on' if attached else 'takes its place'}"

        return act(request, token, "change", name, do, overrides=wanted.overrides)


def _add_workers(app: FastAPI, server: Server) -> None:
    Writer = Annotated[Token, Depends(caller(server, "write"))]

    def post(path: str) -> Route:
        return app.post(f"/v1/workers/{{worker}}/{path}", tags=["workers"], responses=PROBLEMS)

    @post("drain")
    def drain(request: Request, token: Writer, worker: WorkerName, reason: Reason = "somebody drains it") -> Told:
        """The worker ends when its running tasks are done; it takes no others."""
        with _Asked(server, request, token, "drain", worker=worker, reason=reason) as asked:
            asked.farm.order(live_worker(asked.farm, worker), "drain", reason)
            asked.note(told := "ends after the tasks that run")
        return Told(worker=worker, told=told)

    @post("bar")
    def bar(request: Request, token: Writer, worker: WorkerName, reason: Reason = "", name: OneJob = None) -> Told:
        """The worker is kept off a job, or off the farm; running tasks come to their end."""
        with _Asked(server, request, token, "bar", worker=worker, job=name, reason=reason) as asked:
            job = None if name is None else server.job(name)
            live_worker(asked.farm, worker)
            if job is None:
                asked.farm.order(worker, "out", reason)
            else:
                asked.farm.bar(job, worker)
            asked.note(told := f"kept off {'the farm' if job is None else job.id}")
        return Told(job=None if job is None else job.id, worker=worker, told=told)

    @post("allow")
    def allow(request: Request, token: Writer, worker: WorkerName, name: OneJob = None) -> Told:
        """The worker takes tasks again that it was kept off, by somebody or by the farm itself."""
        with _Asked(server, request, token, "allow", worker=worker, job=name) as asked:
            job = None if name is None else server.job(name)
            if job is None:
                asked.farm.order(worker, "in")
            else:
                asked.farm.allow(job, worker)
            asked.note(told := f"takes tasks of {'the farm' if job is None else job.id}")
        return Told(job=None if job is None else job.id, worker=worker, told=told)
