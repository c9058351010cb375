"""The server: routes, who may use them, and what becomes of errors.

    GET    /healthz                          nobody's token is needed
    GET    /openapi.json                     likewise
    GET    /metrics                          read: Prometheus
    GET    /v1/scaling                       read: tasks by device, for autoscalers
    GET    /v1/jobs  /v1/jobs/JOB            read: list, frame by frame
    GET    /v1/jobs/JOB/logs  /usage         read
    GET    /v1/jobs/JOB/frames/N/preview     read: PNG
    GET    /v1/workers  /v1/events           read: live workers; Server-Sent Events
    POST   /v1/jobs                          write: submit
    POST   /v1/jobs/JOB/pause … retry        write: control
    PUT    /v1/jobs/JOB/priority             write

JOB is an id (`shot_010.v002`) or a shot, whose newest version is meant. Everything that is written leaves an audit
line, and so does everything that is refused.
"""

# Annotations are values here, not texts: FastAPI reads those of functions that are made inside of functions.

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.api.audit import Audit
from pipeline.api.documents import (
    FailureDocument,
    JobDocument,
    JobSummary,
    LogDocument,
    LogLine,
    Problem,
    Submission,
    Submitted,
    Told,
    UsageDocument,
    WorkerDocument,
)
from pipeline.api.events import Stream
from pipeline.api.limits import BodyLimit
from pipeline.api.sources import checked_overrides, checked_sources
from pipeline.api.tokens import Role, Token, Tokens
from pipeline.config.frames import FrameRange
from pipeline.errors import ConfigError, PenumbraError, ProductError, StoreError
from pipeline.farm import attempts, names
from pipeline.farm import job as jobs
from pipeline.farm.client import BrokerDown, Farm
from pipeline.farm.job import Job
from pipeline.farm.lookup import find_job
from pipeline.farm.metrics import registry
from pipeline.farm.notify import Notifier
from pipeline.farm.products import Products
from pipeline.farm.progress import snapshot
from pipeline.farm.task_logs import failed_tasks, task_logs
from pipeline.farm.usage import usage
from pipeline.farm.watching import Watch, slots_by_device

__all__ = ["CONTROLS", "create_app"]

log = logging.getLogger(__name__)

SUBMISSIONS: Final = 2
"""Submissions that are checked at a time: each starts a process that loads scenes."""
LISTED: Final = 1000
"""Logs that one answer holds, at most."""

JobName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,160}$", description="An id, or a shot.")]
TaskName = Annotated[str, Query(pattern=r"^[A-Za-z0-9_./-]{0,200}$", description="A task, or the beginning of some.")]

CONTROLS: Final[dict[str, str]] = {
    "pause": "Nothing of the job starts any more.",
    "resume": "The job goes on after a pause or a cancel.",
    "cancel": "The job ends; what was made stays.",
    "retry": "Failed tasks are tried again.",
}
"""What can be asked of a job, and what it means."""

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "No token, or one that is not known."},
    403: {"model": Problem, "description": "The token's role does not allow it."},
    404: {"model": Problem, "description": "There is no such job."},
    422: {"model": Problem, "description": "The request is malformed, or a shot has problems."},
    503: {"model": Problem, "description": "The store or the broker does not answer."},
}


class _Server:
    """What all routes share.

    Attributes:
        farm: that is served.
        watch: one look for metrics, streams and webhooks.
    """

    def __init__(
        self,
        farm: Farm,
        tokens: Path,
        audit: Path | None,
        project: Path,
        notifier: Notifier | None,
        look_seconds: float,
    ) -> None:
        self.farm, self.project = farm, project
        self.tokens, self.audit = Tokens(tokens), Audit(audit)
        self.watch = Watch(farm, every=look_seconds)
        self.registry = registry(self.watch)
        self.stream = Stream(self.watch, notifier)
        self.submissions = threading.BoundedSemaphore(SUBMISSIONS)

    def job(self, text: str) -> Job:
        """The job that a path names. Raises HTTPException: there is none."""
        try:
            return find_job(self.farm.store, text)
        except ConfigError as error:
            raise HTTPException(404, str(error)) from error


def create_app(
    farm: Farm,
    *,
    tokens: Path,
    project: Path,
    audit: Path | None = None,
    webhooks: Sequence[str] = (),
    secret: str | None = None,
    look_seconds: float = 2.0,
) -> FastAPI:
    """The server of a farm.

    Args:
        farm: that it serves.
        tokens: file of the tokens, see `pipeline.api.tokens`.
        project: directory that holds `shots/`; shots are submitted from there. It must be the working directory.
        audit: file for the audit log; None: the logger `penumbra.audit` alone.
        webhooks: URLs that are told of first frames and ends.
        secret: signs what webhooks get.
        look_seconds: for which a look at the farm is good enough, for metrics, streams and webhooks.
    """
    notifier = Notifier(farm.store, webhooks, secret=secret) if webhooks else None
    server = _Server(farm, tokens, audit, project, notifier, look_seconds)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(server.stream.run())
        yield
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        server.audit.close()

    app = FastAPI(
        title="Penumbra",
        version="1",
        description="Submit, inspect, control and follow the jobs of a render farm.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(BodyLimit)
    _add_errors(app)
    _add_open_routes(app)
    _add_reading(app, server)
    _add_writing(app, server)
    return app


# --- who asks -----------------------------------------------------------------------------------------------------

_bearer = HTTPBearer(auto_error=False, description="A token of `pipeline api token`.")


def _caller(server: _Server, role: Role) -> Callable[..., Token]:
    """A dependency that gives the caller's token, or refuses, with an audit line."""

    def check(
        request: Request, shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None
    ) -> Token:
        token = server.tokens.check(shown.credentials) if shown is not None else None
        action = f"{request.method} {request.url.path}"
        if token is None:
            why = "no token" if shown is None else "unknown token"
            server.audit.note(action, who="", address=_address(request), outcome=f"refused: {why}")
            raise HTTPException(401, f"{why}; a token goes into the header Authorization: Bearer …", _CHALLENGE)
        if not token.may(role):
            why = f"{token.name} may {token.role}, not {role}"
            server.audit.note(action, who=token.name, address=_address(request), outcome=f"refused: {why}")
            raise HTTPException(403, why)
        return token

    return check


_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


# --- errors -------------------------------------------------------------------------------------------------------


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(PenumbraError)
    def told(_: Request, error: PenumbraError) -> JSONResponse:
        if isinstance(error, (StoreError, BrokerDown)):
            status = 503
        elif error.exit_code == ConfigError.exit_code:
            status = 422
        else:
            status = 409
        return JSONResponse({"detail": str(error)}, status_code=status)


# --- routes -------------------------------------------------------------------------------------------------------


def _add_open_routes(app: FastAPI) -> None:
    @app.get("/healthz", tags=["server"])
    def healthz() -> dict[str, str]:
        """The server runs."""
        return {"status": "ok"}


def _add_reading(app: FastAPI, server: _Server) -> None:
    reader = [Depends(_caller(server, "read"))]
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
        """The live workers."""
        sight = server.watch.look()
        return [
            WorkerDocument(
                name=worker["name"],
                host=worker["host"],
                device=worker["device"],
                slots=worker["slots"],
                queues=worker["queues"],
                busy=sum(each.held.worker == worker["name"] for each in sight.running),
            )
            for worker in sight.workers
        ]

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
        return JobDocument.whole(job, seen, failed)

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


def _add_writing(app: FastAPI, server: _Server) -> None:
    Writer = Annotated[Token, Depends(_caller(server, "write"))]

    def act(request: Request, token: Token, action: str, name: str, done: Callable[[Job], str], **facts: Any) -> Told:
        """Does something to a job, with an audit line whether it succeeds or not."""
        noted: dict[str, Any] = {"who": token.name, "address": _address(request), "job": name, **facts}
        try:
            job = server.job(name)
            told = done(job)
        except (HTTPException, PenumbraError) as error:
            server.audit.note(action, outcome=f"failed: {error}", **noted)
            raise
        server.audit.note(action, outcome=told, **{**noted, "job": job.id})
        return Told(job=job.id, told=told)

    @app.post("/v1/jobs", tags=["jobs"], status_code=201, responses=PROBLEMS)
    def submit(request: Request, token: Writer, wanted: Submission) -> list[Submitted]:
        """Submits shots of the server's project. What is wrong with any of them is told, and nothing is enqueued."""
        from pipeline.farm import submission  # brings OpenTimelineIO and the scene's tools

        noted: dict[str, Any] = {"who": token.name, "address": _address(request), "sources": wanted.sources}
        try:
            sources = checked_sources(wanted.sources, server.project)
            overrides = checked_overrides(wanted.overrides)
            with server.submissions:
                results = submission.submit(
                    sources, overrides, settings=server.farm.config, out=server.farm.store.url, wait=False
                )
        except PenumbraError as error:
            server.audit.note("submit", outcome=f"failed: {error}", **noted)
            raise
        server.audit.note("submit", outcome="done", jobs=[result.job for result in results], **noted)
        return [Submitted(**asdict(result)) for result in results]

    def add_control(action: str, meaning: str) -> None:
        def control(request: Request, token: Writer, name: JobName) -> Told:
            return act(request, token, action, name, lambda job: _controlled(server.farm, job, action))

        app.post(f"/v1/jobs/{{name}}/{action}", tags=["jobs"], responses=PROBLEMS, name=action, description=meaning)(
            control
        )

    for action, meaning in CONTROLS.items():
        add_control(action, meaning)

    @app.post("/v1/jobs/{name}/skip", tags=["jobs"], responses=PROBLEMS)
    def skip(
        request: Request, token: Writer, name: JobName, frames: Annotated[str, Query(min_length=1, max_length=4096)]
    ) -> Told:
        """These frames are not wanted any more: a range such as 1001-1004."""
        wanted = list(FrameRange.parse(frames))

        def done(job: Job) -> str:
            server.farm.skip(job, wanted)
            return f"{len(wanted)} frames skipped"

        return act(request, token, "skip", name, done, frames=frames)

    @app.put("/v1/jobs/{name}/priority", tags=["jobs"], responses=PROBLEMS)
    def priority(request: Request, token: Writer, name: JobName, value: Annotated[int, Query(ge=0, le=9)]) -> Told:
        """Changes a job's priority: 0 (last) to 9 (first)."""

        def done(job: Job) -> str:
            server.farm.priority(job, value)
            return f"priority {value}"

        return act(request, token, "priority", name, done, value=value)


def _controlled(farm: Farm, job: Job, action: str) -> str:
    """Does one of `CONTROLS`; says what became of it."""
    match action:
        case "pause":
            farm.pause(job)
            return "paused"
        case "resume":
            farm.resume(job)
            return "resumed"
        case "cancel":
            farm.cancel(job)
            return "cancelled"
        case _:
            tasks = farm.retry(job)
            return f"{len(tasks)} failed tasks will be tried again" if tasks else "nothing has failed"
