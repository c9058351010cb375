"""The course of a training: how far it goes, when it is looked at, and when it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.radiosity import checkpoint
from pipeline.radiosity.caches import Begun
from pipeline.radiosity.identity import Identity
from pipeline.radiosity.train import Progress

__all__ = ["Course", "run"]

KEEP_EVERY = 60.0  # seconds


class Course:
    """One training that is made piece by piece.

    Args:
        begun: the training.
        identity: of its scene.
        steps: to make in this scene, in all; None: the preset's.
        seconds: of wall clock from now on; None: as long as the steps take.
        early_stop: ends where the held-out residual improves no more.

    Attributes:
        steps: of the schedule, with which it ends.
        ended: whether it has.
    """

    def __init__(
        self,
        begun: Begun,
        identity: Identity,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        early_stop: bool = True,
    ) -> None:
        self.begun, self.identity = begun, identity
        progress, preset = begun.trainer.progress, begun.trainer.plan.preset
        self.steps = preset.steps if steps is None and seconds is None else progress.begun + (steps or 10**9)
        self._until = None if seconds is None else time.monotonic() + seconds
        self._early_stop = early_stop and steps is None
        self._kept = time.monotonic()
        self._kept_step = progress.step if begun.origin == "resumed" else -1

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        progress = self.begun.trainer.progress
        late = self._until is not None and time.monotonic() >= self._until
        return progress.step >= self.steps or late or bool(self._early_stop and progress.stopped)

    def advance(self, seconds: float) -> None:
        """Trains for so long, by at least one step."""
        if self.ended:
            return
        trainer = self.begun.trainer
        until = time.monotonic() + seconds
        trainer.advance(trainer.progress.step + 1, early_stop=self._early_stop)
        latest = until if self._until is None else min(until, self._until)
        trainer.advance(self.steps, until=latest, early_stop=self._early_stop)
        if self.ended or time.monotonic() - self._kept > KEEP_EVERY:
            self.keep()

    def keep(self) -> None:
        """Writes a checkpoint, if there is anything new."""
        step = self.begun.trainer.progress.step
        if step != self._kept_step:
            checkpoint.write(self.begun.file, self.begun.trainer, self.identity)
        self._kept, self._kept_step = time.monotonic(), step


def run(course: Course, *, every: float = 1.0, on_progress: Callable[[Progress], None] = lambda progress: None) -> None:
    """Trains to the end, and keeps what was trained, also when it is interrupted.

    Args:
        course: the training.
        every: seconds between two reports.
        on_progress: told how far it is.
    """
    try:
        while not course.ended:
            course.advance(every)
            on_progress(course.begun.trainer.progress)
    finally:
        course.keep()
