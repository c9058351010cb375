"""A render pass while the shutter is open: the scene is moved from slot to slot, and the slots' moments are added.

A pass visits only the slots that it has samples for. Features and motion are those of each sample's own time, so they
are averages over the shutter; motion leads to the same moment of the neighbouring frame's shutter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.render.moments import Moments, merged
from pipeline.render.passes import Layers, Program, prepare, render_pass
from pipeline.render.shutter import Slot, slot_time
from pipeline.scene.load import at_time

__all__ = ["render_blurred"]


def render_blurred(
    program: Program,
    counts: NDArray[np.uint32],
    start: NDArray[np.uint32],
    *,
    seed: int,
    shutter: tuple[float, float],
    steps: int,
    bounds: tuple[int, int] | None = None,
    layers: Layers = Layers.ALL,
    wave_samples: int = 2**22,
    on_wave: Callable[[int, int], None] | None = None,
) -> Moments:
    """A render pass whose samples are spread over the shutter.

    The scene is left at the last slot's time: `program` serves further passes of this kind alone.

    Args:
        program, counts, start, seed, bounds, layers, wave_samples, on_wave: as `render_pass`.
        shutter: opens and closes, frames from the frame's own time.
        steps: slots, a power of two.

    Raises:
        SceneError: as `render_pass`; or the camera looks nowhere at some time.
    """
    rows = slice(*bounds) if bounds is not None else slice(None)
    total, done = int(counts.ravel()[rows].sum(dtype=np.int64)), 0
    whole: Moments | None = None
    for number in range(steps):
        slot = Slot(number, steps)
        begun = slot.before(start)
        own = slot.before(start + counts) - begun
        share = int(own.ravel()[rows].sum(dtype=np.int64))
        if share == 0 and (whole is not None or number + 1 < steps):
            continue
        program = prepare(at_time(program.fs, slot_time(number, steps, shutter)), program)

        def report(now: int, _: int, before: int = done) -> None:
            if on_wave is not None:
                on_wave(before + now, total)

        part = render_pass(
            program,
            own,
            begun,
            seed=seed,
            bounds=bounds,
            layers=layers,
            wave_samples=wave_samples,
            on_wave=report,
            slot=slot,
        )
        whole = part if whole is None else merged(whole, part)
        done += share
    assert whole is not None  # the last slot is rendered if no other was
    return whole
