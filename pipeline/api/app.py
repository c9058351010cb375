"""The server: its routes, and what becomes of errors.

    GET    /healthz                             nobody's token is needed
    GET    /openapi.json                        likewise
    GET    /metrics                             read: Prometheus
    GET    /v1/scaling                          read: tasks by device, for autoscalers
    GET    /v1/jobs  /v1/jobs/JOB               read: list, frame by frame
    GET    /v1/jobs/JOB/logs  /usage            read
    GET    /v1/jobs/JOB/frames/N/preview        read: PNG
    GET    /v1/workers  /v1/events              read: the crew; Server-Sent Events
    POST   /v1/jobs                             write: submit
    POST   /v1/jobs/JOB/pause … change          write: control
    PUT    /v1/jobs/JOB/priority                write
    PATCH  /v1/jobs/JOB/terms                   write
    POST   /v1/workers/NAME/drain  bar  allow   write
    GET    /review/                             the review page: see `pipeline.review.routes`

JOB is an id (`shot_010.v002`) or a shot, whose newest version is meant. Everything that is written leaves an audit
line, and so does everything that is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from pipeline.api.limits import BodyLimit
from pipeline.api.reading import add_reading
from pipeline.api.server import Server
from pipeline.api.wrangling import add_wrangling
from pipeline.errors import ConfigError, PenumbraError, StoreError
from pipeline.farm.client import BrokerDown, Farm
from pipeline.farm.notify import Notifier
from pipeline.review.routes import add_review

__all__ = ["create_app"]


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
    server = Server(farm, tokens, audit, project, notifier, look_seconds)

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
    add_reading(app, server)
    add_wrangling(app, server)
    add_review(app, server)
    return app


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


def _add_open_routes(app: FastAPI) -> None:
    @app.get("/healthz", tags=["server"])
    def healthz() -> dict[str, str]:
        """The server runs."""
        return {"status": "ok"}
