"""What the page is told of a job: its frames, how they converged, what they cost, what is wrong with them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.config.colour import Rendering
from pipeline.errors import ProductError, StoreError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.products import MissingProduct, Products
from pipeline.farm.progress import FrameSnapshot, Progress
from pipeline.farm.store import Store
from pipeline.images import exr_parts
from pipeline.review.pictures import space_of

__all__ = ["Desk", "ReviewDocument", "ReviewFrame"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReviewFrame(_Document):
    """One frame, as the page shows it."""

    frame: int
    state: str
    picture: str = Field(description="Tells one picture of the frame from another; empty while there is none.")
    problem: str = Field(description="What is wrong with the frame, in one line; empty where nothing is.")
    round: int | None
    spp: float | None
    error: float | None = Field(description="Predicted, of the last round.")
    error_p99: float | None
    samples: int
    expected: float | None = Field(description="Samples that it will have taken at its end: a guess until it stops.")
    seconds: float = Field(description="Device time of rendering.")
    denoise_seconds: float | None
    degraded: bool
    reason: str | None = Field(description="Why it got no more rounds: target, max_spp, budget.")
    curve: list[tuple[float, float]] = Field(description="Samples per pixel and predicted mean error, round by round.")


class ReviewDocument(_Document):
    """A job, as the page shows it."""

    job: str
    shot: str
    version: int
    versions: list[str] = Field(description="Ids of all versions of the shot, the oldest first.")
    state: str
    priority: int
    fraction: float = Field(description="Share of the expected work that is done, 0 … 1.")
    seconds_left: float | None
    fps: float
    width: int
    height: int
    space: Rendering = Field(description="That the pictures are in.")
    lambda_: float = Field(alias="lambda")
    lambda_map: bool
    backend: str
    target_error: float | None
    max_spp: int | None
    metric: str
    failures: list[str]
    frames: list[ReviewFrame]


@dataclass
class Desk:
    """Looks at one job again and again. Safe to use from many threads.

    Args:
        store: where the job lives.
        job: the job.
    """

    store: Store
    job: Job
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _whole: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._progress = Progress(self.store, self.job)
        self._products = Products(self.store, self.job)
        self._size: tuple[int, int] | None = None

    def document(self, *, slots: int = 0) -> ReviewDocument:
        """What the page shows now. Raises StoreError: the store cannot be read."""
        with self._lock:
            seen = self._progress.snapshot(slots=slots)
            frames = [self._frame(frame) for frame in sorted(seen.frames, key=lambda each: each.frame)]
            width, height = self._pixels([frame.frame for frame in frames])
        config = self.job.config
        sampling, denoise = config.get("sampling", {}), config.get("denoise", {})
        return ReviewDocument(
            job=self.job.id,
            shot=self.job.shot,
            version=self.job.version,
            versions=[name for name in jobs.jobs(self.store) if name.rpartition(".")[0] == self.job.shot],
            state=seen.state,
            priority=seen.priority,
            fraction=seen.fraction,
            seconds_left=None if seen.forecast is None else seen.forecast.seconds.middle,
            fps=float(Fraction(config.get("fps", 24))),
            width=width,
            height=height,
            space=space_of(self.job),
            **{"lambda": denoise.get("lambda", 1.0)},
            lambda_map=denoise.get("lambda_map") is not None,
            backend=denoise.get("backend", "none"),
            target_error=sampling.get("target_error"),
            max_spp=sampling.get("max_spp"),
            metric=sampling.get("metric", "smape"),
            failures=list(seen.failures),
            frames=frames,
        )

    def _frame(self, frame: FrameSnapshot) -> ReviewFrame:
        facts: Mapping[str, Any] = {}
        picture = problem = ""
        if frame.path is not None:
            facts = self._facts(names.frame_product(frame.frame))
            digest = str(facts.get("exr_blake2b", ""))
            problem = self._checked(self._products.name(frame.path), digest)
            picture = digest[:16]
        elif frame.round is not None:
            picture = f"r{frame.round:02d}"
        if frame.state == "absent":
            mark = self._recorded(names.absent(frame.frame))
            problem = str(mark.get("reason") or "given up: it could not be made")
        elif frame.failures:
            problem = f"{frame.failures[0]} failed"
        last = frame.round if frame.round is not None else -1
        return ReviewFrame(
            frame=frame.frame,
            state=frame.state,
            picture=picture,
            problem=problem,
            round=frame.round,
            spp=frame.spp,
            error=frame.error,
            error_p99=frame.error_p99,
            samples=frame.samples,
            expected=frame.expected,
            seconds=frame.seconds,
            denoise_seconds=facts.get("denoise_seconds"),
            degraded=frame.degraded,
            reason=frame.reason,
            curve=[point for r in range(last + 1) if (point := self._point(frame.frame, r)) is not None],
        )

    def _point(self, frame: Frame, r: int) -> tuple[float, float] | None:
        judged = self._facts(names.error(frame, r))
        spp, mean = judged.get("spp"), judged.get("mean")
        return None if spp is None or mean is None else (float(spp), float(mean))

    def _checked(self, name: str, digest: str) -> str:
        """What is wrong with a deliverable; looked at once for each one that was whole, and where it is a local file.

        The digest of every byte is not worth its time here; that each chunk is there, is.
        """
        if digest in self._whole:
            return self._whole[digest]
        path = self.store.path(name)
        if path is None:
            return ""
        try:
            data = np.memmap(path, np.uint8, "r").data
            for part in exr_parts.headers(data):
                exr_parts.require_whole(data, part)
        except FileNotFoundError:
            return "its file is missing"
        except (OSError, ValueError, ProductError) as error:
            return f"its file is damaged: {error}"
        self._whole[digest] = ""
        return ""

    def _facts(self, name: str) -> Mapping[str, Any]:
        try:
            return self._products.facts(name) if self._products.exists(name) else {}
        except (ProductError, StoreError):
            return {}

    def _recorded(self, name: str) -> Mapping[str, Any]:
        with contextlib.suppress(MissingProduct):
            return self._products.recorded(name)
        return {}

    def _pixels(self, frames: list[Frame]) -> tuple[int, int]:
        """Width and height of the frames; 0×0 until the first sample plan is there, where the shot does not say."""
        if self._size is None:
            resolution = self.job.config.get("resolution")
            if resolution:
                self._size = (int(resolution[0]), int(resolution[1]))
            else:
                self._size = next(filter(None, map(self._planned, frames)), None)
        return self._size or (0, 0)

    def _planned(self, frame: Frame) -> tuple[int, int] | None:
        try:
            plan = self._products.read(names.samples(frame, 0)).arrays.get("map")
        except ProductError:
            return None
        return None if plan is None else (plan.shape[1], plan.shape[0])
