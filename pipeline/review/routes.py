"""The review over HTTP: the page itself, and below `/v1/review` what it asks for.

    GET    /review/  /review/FILE                   nobody's token is needed: there is nothing of a job in them
    GET    /v1/views  /v1/views/program             read: displays, views, and a view's program for the browser
    GET    /v1/review/JOB                           read: the job as the page shows it
    GET    /v1/review/JOB/frames/N/layers           read: what there is to see of a frame
    GET    /v1/review/JOB/frames/N/pixels           read: pixels of a layer, raw
    GET    /v1/review/JOB/frames/N/proxy            read: pixels of a layer as they were made with the frame, smaller
    GET    /v1/review/JOB/frames/N/shown            read: PNG of a layer as a display shows it
    GET    /v1/review/JOB/frames/N/thumbnail        read: JPEG
    POST   /v1/review/JOB/frames/N/steered          write: pixels for another λ, at a proxy's size
    POST   /v1/review/JOB/lambda                    write: λ into the shot's file, and full size as a job

Layers are named by their place in the file: what a file calls them is shown, and used for nothing. Proxies, which this
software wrote itself, have names.
"""

# Annotations are values here, not texts: FastAPI reads those of functions that are made inside of functions.

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.api.server import PROBLEMS, JobName, Server, address_of, caller
from pipeline.api.tokens import Token
from pipeline.config.colour import Rendering
from pipeline.errors import ConfigError, PenumbraError, ProductError
from pipeline.farm.products import Products
from pipeline.images import viewing
from pipeline.review import pictures
from pipeline.review.apply import MAP_FILE, FullSize, shot_file, write_steering
from pipeline.review.desk import Desk, ReviewDocument
from pipeline.review.steering import By, Region, Steering

__all__ = ["add_review"]

_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
"""Types of the page's own files, by suffix."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DESKS: Final = 64
_STROKES: Final = 640 * 360

T = TypeVar("T")
LayerIndex = Annotated[int, Query(ge=0, le=4096, description="Place of the layer in the file.")]
Proxied = Literal["beauty", "noisy", "error", "samples"]
"""Names of `images.proxy.LAYERS`."""
Step = Annotated[int, Query(ge=1, le=64, description="Pixels to either side that become one.")]
Stops = Annotated[float, Query(ge=-20, le=20, description="Exposure, in stops.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Strokes(_Body):
    """A painted λ map, of any size: a byte for each pixel, row by row; 0 is not painted."""

    width: int = Field(ge=1, le=4096)
    height: int = Field(ge=1, le=4096)
    data: str = Field(max_length=900_000, description="Base64.")

    def plane(self) -> NDArray[np.uint8]:
        """H×W. Raises ConfigError: it has not as many bytes as pixels."""
        try:
            flat = np.frombuffer(base64.b64decode(self.data, validate=True), np.uint8)
        except (binascii.Error, ValueError) as error:
            raise ConfigError("the painted map is not Base64") from error
        if flat.size != self.width * self.height or flat.size > _STROKES:
            raise ConfigError(f"the painted map has {flat.size} bytes, not {self.width}×{self.height}")
        return flat.reshape(self.height, self.width)


class Rectangle(_Body):
    """A part of a frame, in its pixels."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1, le=1920)
    height: int = Field(ge=1, le=1080)


class Steered(_Body):
    """What is to be denoised anew, at a proxy's size."""

    value: float = Field(alias="lambda", description="λ where nothing is painted.")
    strokes: Strokes | None = None
    region: Rectangle | None = Field(default=None, description="null: all of the frame, smaller.")
    coarser: int = Field(default=1, ge=1, le=4, description="Of the proxy's size, to either side.")
    by: By = "kpcn"


class Taken(_Body):
    """What the shot is to have from now on."""

    value: float = Field(alias="lambda")
    strokes: Strokes | None = None
    write: bool = Field(default=True, description="Write it into the shot's file.")
    render: bool = Field(default=False, description="Denoise a new version of the job with it; a map must be written.")


class Told(_Body):
    """What became of it."""

    told: str


def add_review(app: FastAPI, server: Server) -> None:
    """Adds the review of a farm's jobs to its server."""
    router = APIRouter(tags=["review"], responses=PROBLEMS)
    _add_page(router)
    _add_views(router, server)
    _add_pictures(router, server)
    _add_steering(router, server)
    app.include_router(router)


def _add_page(router: APIRouter) -> None:
    @router.get("/review/{name:path}", include_in_schema=False, response_class=Response)
    def page(name: str) -> Response:
        file = resources.files("pipeline.review") / "page" / (name or "index.html")
        if "/" in name or Path(file.name).suffix not in _TYPES or not file.is_file():
            raise HTTPException(404, "there is no such page")
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(file.read_bytes(), media_type=_TYPES[Path(file.name).suffix], headers=headers)


def _add_views(router: APIRouter, server: Server) -> None:
    read = caller(server, "read")

    @router.get("/v1/views", dependencies=[Depends(read)])
    def views() -> dict[str, Any]:
        """Displays and their views, and which of them viewing pictures are made for."""
        return {"displays": viewing.displays(), "display": viewing.DISPLAY, "view": viewing.VIEW}

    @router.get("/v1/views/program", dependencies=[Depends(read)], response_class=Response)
    def program(
        display: Annotated[str, Query(max_length=200)],
        view: Annotated[str, Query(max_length=200)],
        space: Rendering = "linear_srgb",
    ) -> Response:
        """A view of a rendering space as GLSL ES 3.0, as OpenColorIO writes it."""
        return Response(viewing.shader(display, view, space), media_type="text/plain; charset=utf-8")


def _add_pictures(router: APIRouter, server: Server) -> None:
    reader = [Depends(caller(server, "read"))]
    farm, store, kept = server.farm, server.farm.store, pictures.kept_pictures()
    desks: dict[str, Desk] = {}
    lock = threading.Lock()

    def products(name: str) -> Products:
        return Products(store, server.job(name))

    @router.get("/v1/review/{name}", dependencies=reader)
    def document(name: JobName) -> ReviewDocument:
        """A job as the page shows it: frames, convergence, cost."""
        job = products(name).job
        with lock:
            desk = desks.setdefault(job.id, Desk(store, job))
            while len(desks) > _DESKS:
                desks.pop(next(iter(desks)))
        return desk.document(slots=farm.slots())

    @router.get("/v1/review/{name}/frames/{frame}/layers", dependencies=reader)
    def layers(name: JobName, frame: int) -> dict[str, Any]:
        """What there is to see of a frame."""
        sight = _told(lambda: pictures.look(products(name), frame))
        return {
            "source": sight.source,
            "picture": sight.picture,
            "layers": [{key: value for key, value in asdict(layer).items() if key != "part"} for layer in sight.layers],
        }

    @router.get("/v1/review/{name}/frames/{frame}/pixels", dependencies=reader, response_class=Response)
    def pixels(name: JobName, frame: int, layer: LayerIndex, step: Step = 1) -> Response:
        """Pixels of a layer, little-endian; `X-Shape`: height, width, channels; `X-Type`: half or float."""
        return _raw(_told(lambda: pictures.pixels(products(name), frame, layer, step=step, kept=kept)))

    @router.get("/v1/review/{name}/frames/{frame}/proxy", dependencies=reader, response_class=Response)
    def proxy(name: JobName, frame: int, layer: Proxied) -> Response:
        """Pixels of a layer of a done frame, as of `pixels`; `X-Frame`: width and height of the frame, and how many of
        its pixels to either side became one."""
        made = _told(lambda: pictures.proxies(products(name), frame)).get(layer)
        if made is None:
            raise HTTPException(404, f"frame {frame} was made without proxies, or is not done")
        answer = _raw(made.pixels)
        answer.headers["X-Frame"] = f"{made.width},{made.height},{made.step}"
        return answer

    @router.get("/v1/review/{name}/frames/{frame}/shown", dependencies=reader, response_class=Response)
    def shown(
        name: JobName,
        frame: int,
        layer: LayerIndex,
        exposure: Stops = 0.0,
        step: Step = 1,
        display: Annotated[str, Query(max_length=200)] = viewing.DISPLAY,
        view: Annotated[str, Query(max_length=200)] = viewing.VIEW,
    ) -> Response:
        """A layer as a display shows it: for browsers that cannot do it themselves. PNG."""
        wanted = products(name)
        values = _told(lambda: pictures.pixels(wanted, frame, layer, step=step, kept=kept))
        space = pictures.space_of(wanted.job)
        seen = viewing.to_display(pictures.seen(values), exposure=exposure, display=display, view=view, space=space)
        return Response(viewing.png_bytes(seen), media_type="image/png")

    @router.get("/v1/review/{name}/frames/{frame}/thumbnail", dependencies=reader, response_class=Response)
    def thumbnail(name: JobName, frame: int) -> Response:
        """A small picture of a frame."""
        return Response(_told(lambda: pictures.thumbnail(products(name), frame)), media_type="image/jpeg")


def _add_steering(router: APIRouter, server: Server) -> None:
    Writer = Annotated[Token, Depends(caller(server, "write"))]
    farm, steering, full_size = server.farm, Steering(), FullSize(server.farm)

    @router.post("/v1/review/{name}/frames/{frame}/steered", response_class=Response)
    def steered(_: Writer, name: JobName, frame: int, wanted: Steered) -> Response:
        """A frame denoised with another λ, at a proxy's size: pixels as of a layer."""
        strokes = None if wanted.strokes is None else wanted.strokes.plane()
        region = None if wanted.region is None else Region(**wanted.region.model_dump())
        return _raw(
            _told(
                lambda: steering.picture(
                    Products(farm.store, server.job(name)),
                    frame,
                    wanted.value,
                    strokes=strokes,
                    region=region,
                    coarser=wanted.coarser,
                    by=wanted.by,
                )
            )
        )

    @router.post("/v1/review/{name}/lambda")
    def take(request: Request, token: Writer, name: JobName, wanted: Taken) -> Told:
        """Writes λ into the shot's file, comments and order kept; starts a version at full size."""
        job = server.job(name)
        noted: dict[str, Any] = {"who": token.name, "job": job.id, "lambda": wanted.value}
        noted["address"] = address_of(request)
        told = []
        try:
            strokes = None if wanted.strokes is None else wanted.strokes.plane()
            path = shot_file(server.project, job.shot)
            if wanted.write:
                document = Desk(farm.store, job).document()
                values = write_steering(path, wanted.value, strokes, (document.height, document.width))
                told.append(", ".join(f"{key}: {value}" for key, value in values.items()) + f" is in {path.name}")
            if wanted.render:
                painted = wanted.write and strokes is not None and bool(strokes.any())
                told.append(full_size.start(job, wanted.value, path.parent / MAP_FILE if painted else None))
        except PenumbraError as error:
            server.audit.note("lambda", outcome=f"failed: {error}", **noted)
            raise
        server.audit.note("lambda", outcome="; ".join(told), **noted)
        return Told(told="; ".join(told))


def _told(made: Callable[[], T]) -> T:
    """What is made, or why there is nothing to see, for the page to say."""
    try:
        return made()
    except ProductError as error:
        raise HTTPException(404, str(error)) from error


def _raw(values: NDArray[Any]) -> Response:
    values = np.ascontiguousarray(values)
    headers = {
        "X-Shape": ",".join(map(str, values.shape)),
        "X-Type": "half" if values.dtype == np.float16 else "float",
        "Cache-Control": "no-store",
    }
    return Response(values.tobytes(), media_type="application/octet-stream", headers=headers)
