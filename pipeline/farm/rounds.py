"""The rounds of a few frames in one process, without a store, queues or workers: for studies, and to try things.

It goes through the same pure functions as the recipes of the farm, and makes the same pictures: frames go through each
round together, so that a denoiser reads of each neighbour what it reads on the farm, its buffers after this round or
after the last one that it had. Budgets over a job are the farm's alone.

Source: Vogels et al. 2018, §5.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.backends import Denoised, Denoiser
from pipeline.denoise.frame import Frame
from pipeline.denoise.guides import Guide, Judgement
from pipeline.farm import names
from pipeline.farm.limits import Limits
from pipeline.render.allocate import next_map, round_total, rounding_seed, uniform
from pipeline.render.buffers import FrameBuffers
from pipeline.render.moments import Combination, Moments, add_round, combine

__all__ = ["Course", "Render", "Round", "Seconds", "Window", "run"]

Counts = NDArray[np.uint32]

Render = Callable[[names.Frame, Counts, Counts, int], Moments]
"""Takes samples: of a frame, so many at each pixel, after so many before, in a round."""


@dataclass(frozen=True)
class Course:
    """What the rounds are made with.

    Attributes:
        limits: what ends them; without a budget.
        guide: judges frames, and sends samples.
        denoiser: of the pictures that are delivered, with a radius of its own.
        draft_radius: frames on either side that pictures for the guide alone are denoised from, if fewer.
        combination: how rounds are averaged.
        importance: H×W, an artist's mask; None is 1 everywhere.
        lambda_: of the denoiser.
        seed: of the rounding of sample maps.
    """

    limits: Limits
    guide: Guide
    denoiser: Denoiser
    draft_radius: int | None = None
    combination: Combination = "pooled"
    importance: NDArray[Any] | None = None
    lambda_: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Seconds:
    """Where the time of a frame's round went."""

    allocate: float = 0.0
    render: float = 0.0
    denoise: float = 0.0  # for the guide; of the last round, also of what is delivered
    judge: float = 0.0


@dataclass(frozen=True)
class Round:
    """A frame after one of its rounds.

    Attributes:
        frame: its number.
        number: of the round, from 0.
        samples: H×W, of this round.
        spent: H×W, so far.
        buffers: all rounds so far.
        denoised: what the guide looked at; where it looks at none, of the last round alone.
        judged: error, and guide of the next round.
        reason: why it was the last: `target`, `max_spp`; empty while the frame goes on.
        delivered: the denoised picture of the last round; None while the frame goes on.
        seconds: of this round.
    """

    frame: names.Frame
    number: int
    samples: Counts
    spent: Counts
    buffers: FrameBuffers
    denoised: Denoised | None
    judged: Judgement
    reason: str
    delivered: Denoised | None
    seconds: Seconds

    @property
    def spp(self) -> float:
        """Mean samples per pixel so far."""
        return float(self.spent.mean(dtype=np.float64))


@dataclass
class _Going:
    """A frame between two rounds."""

    moments: Moments | None = None
    spent: Counts | None = None
    judged: Judgement | None = None
    buffers: FrameBuffers | None = None


class Window(dict[int, Frame]):
    """Frames by number as denoisers read them; `digest` names what they hold, for the features that these keep."""

    def __init__(self, frames: dict[int, Frame], run: str, rounds: dict[int, int]) -> None:
        super().__init__(frames)
        self._run, self._rounds = run, rounds

    def digest(self, number: int) -> str:
        """Differs between runs, frames and rounds."""
        return f"{self._run}-{number}-{self._rounds[number]}"

    def around(self, centre: int, radius: int) -> Window:
        """The frames that are no farther from the centre than the radius."""
        near = {number: frame for number, frame in self.items() if abs(number - centre) <= radius}
        return Window(near, self._run, self._rounds)


def run(frames: Sequence[names.Frame], size: tuple[int, int], render: Render, course: Course) -> Iterator[Round]:
    """Goes through the rounds until every frame has stopped.

    Args:
        frames: numbers; consecutive ones are each other's neighbours.
        size: (H, W).
        render: takes the samples.
        course: everything else.

    Yields:
        each frame after each of its rounds, round by round.

    Raises:
        ValueError: the limits have a budget.
    """
    if course.limits.budget_spp is not None:
        raise ValueError("a budget is shared on the farm, not here")
    going = {frame: _Going() for frame in sorted(frames)}
    rounds = dict.fromkeys(going, 0)
    left = list(going)
    own = uuid.uuid4().hex
    for r in range(course.limits.rounds):
        times: dict[names.Frame, dict[str, float]] = {}
        maps: dict[names.Frame, Counts] = {}
        for frame in left:
            maps[frame], times[frame] = _render(frame, r, going[frame], size, render, course)
            rounds[frame] = r
        made = {frame: each.buffers for frame, each in going.items() if each.buffers is not None}
        seen = Window({frame: Frame.of(buffers) for frame, buffers in made.items()}, own, dict(rounds))
        stopped = []
        for frame in left:
            one = _judge(frame, r, going[frame], maps[frame], seen, times[frame], course)
            if one.reason:
                stopped.append(frame)
            yield one
        left = [frame for frame in left if frame not in stopped]
        if not left:
            return


def _render(
    frame: names.Frame, r: int, state: _Going, size: tuple[int, int], render: Render, course: Course
) -> tuple[Counts, dict[str, float]]:
    """Takes a round's samples of a frame; its map, and what that took."""
    limits, began = course.limits, time.perf_counter()
    total = round_total(size[0] * size[1], limits.first_spp, limits.max_spp, r)
    if state.spent is None or state.judged is None:
        state.spent = np.zeros(size, np.uint32)
        counts = uniform(size, total)
    else:
        counts = next_map(
            state.judged.guide,
            state.spent,
            total - int(state.spent.sum(dtype=np.int64)),
            importance=course.importance,
            unbiased=course.combination == "unbiased",
            seed=rounding_seed(course.seed, frame, r),
        )
    allocated = time.perf_counter()
    this = render(frame, counts, state.spent, r)
    rendered = time.perf_counter()
    state.moments = add_round(state.moments, this, course.combination)
    state.spent = state.spent + counts
    state.buffers = combine(state.moments, course.combination)
    return counts, {"allocate": allocated - began, "render": rendered - allocated}


def _judge(
    frame: names.Frame,
    r: int,
    state: _Going,
    counts: Counts,
    seen: Window,
    times: dict[str, float],
    course: Course,
) -> Round:
    assert state.buffers is not None and state.spent is not None
    drafts = course.draft_radius is not None and course.draft_radius < course.denoiser.radius
    began = time.perf_counter()
    looked_at = None
    if course.guide.looks_at_denoised:
        looked_at = _denoised(frame, seen, course.draft_radius if drafts else None, course)
    denoised = time.perf_counter()
    judged = course.guide.judge(frame, state.buffers, None if looked_at is None else looked_at.beauty)
    times["judge"] = time.perf_counter() - denoised
    times["denoise"] = denoised - began
    limits = course.limits
    reason = "target" if limits.reached(judged.mean, judged.p99) else "max_spp" if r + 1 == limits.rounds else ""
    delivered = None
    if reason:
        began = time.perf_counter()
        delivered = _denoised(frame, seen, None, course) if drafts or looked_at is None else looked_at
        times["denoise"] += time.perf_counter() - began
    state.judged = judged
    return Round(
        frame=frame,
        number=r,
        samples=counts,
        spent=state.spent,
        buffers=state.buffers,
        denoised=looked_at,
        judged=judged,
        reason=reason,
        delivered=delivered,
        seconds=Seconds(**times),
    )


def _denoised(frame: names.Frame, seen: Window, radius: int | None, course: Course) -> Denoised:
    """The picture of a frame from its neighbours, as many as the denoiser reads unless they are to be fewer."""
    reach = course.denoiser.radius if radius is None else radius
    return course.denoiser.denoise(seen.around(frame, reach), frame, course.lambda_)
