"""A plan carried out: frame by frame, in order, with no more of the sequence in memory than the denoiser's window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.denoise.backends import Denoised, Denoiser
from pipeline.denoise.frame import Frame, frame_of
from pipeline.denoise.sequence.files import gaps
from pipeline.denoise.sequence.layers import outputs
from pipeline.denoise.sequence.plan import Plan
from pipeline.denoise.sequence.read import FrameWindow, digest, frame, parts, stored
from pipeline.denoise.sequence.write import write
from pipeline.errors import StoreError

__all__ = ["Done", "run"]


@dataclass(frozen=True)
class Done:
    """One frame that was denoised.

    Attributes:
        window: frames that the denoiser could read.
        mended: values that were not finite, or negative where there is nothing negative, by layer.
        seconds: spent on denoising it, reading its neighbours included.
    """

    frame: int
    input: str
    output: str
    window: list[int]
    seconds: float
    mended: dict[str, int] = field(default_factory=dict)


def run(plan: Plan, denoiser: Denoiser, *, warn: Callable[[str], None]) -> Iterator[Done]:
    """Denoises the frames of a plan one after the other.

    Args:
        plan: what to denoise.
        denoiser: ready to use.
        warn: takes one line: frames that are missing, values that were mended.

    Raises:
        AssetError: a file's pixels are damaged; the frames before it are done.
        StoreError: the folder cannot be made or written.
        DeviceError: the denoiser cannot run here.
    """
    missing = gaps(plan.frames)
    if missing is not None and denoiser.radius > 0:
        warn(f"frames {missing} are missing; their neighbours are denoised without them")

    def load(number: int) -> Frame:
        found = plan.frames[number]
        loaded = frame(found, plan.layouts[number])
        if loaded.mended:
            told = ", ".join(f"{count} in {layer}" for layer, count in sorted(loaded.mended.items()))
            warn(f"{found.path.name}: values that were not finite or negative were mended: {told}")
        return loaded

    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{plan.out}: cannot be made: {error.strerror or error}") from error
    window = FrameWindow(
        list(plan.frames), denoiser.radius, load, lambda number: digest(plan.frames[number], plan.layouts[number])
    )
    numbers = list(plan.frames)
    for number, following in zip(numbers, [*numbers[1:], None], strict=True):
        window.centre_on(number)
        inside = sorted(window)
        began = time.perf_counter()
        denoised = denoiser.denoise(window, number, plan.lambda_)
        seconds = time.perf_counter() - began
        centre = frame_of(window, number)
        if following is not None:
            window.centre_on(following)  # what the next frame does not need makes room for the file
        found, target = plan.frames[number], plan.out / plan.frames[number].path.name
        _write(plan, number, centre, denoised, target)
        yield Done(number, str(found.path), str(target), inside, round(seconds, 3), dict(centre.mended))


def _write(plan: Plan, number: int, centre: Frame, denoised: Denoised, target: Path) -> None:
    found, layout = plan.frames[number], plan.layouts[number]
    read = parts(found)
    replaced = outputs(layout, centre, denoised, stored(found, layout, read), plan.lambda_)
    write(target, found, layout, read, replaced, lambda_=float(np.mean(plan.lambda_)))
