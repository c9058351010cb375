"""What a recipe gets beside the job: a way to be stopped, a way to tell how far it is, and a worker's memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.config.farm import Farm

__all__ = ["Cancelled", "Context"]


LEAST_WAVE: Final = 1024
"""Samples of the smallest wave: four blocks of pixels with one sample each."""


class Cancelled(Exception):
    """A task lets go because somebody asked for it. No attempt counts."""


def _never() -> bool:
    return False


def _untold(done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class Context:
    """The surroundings of one task.

    Attributes:
        cancelled: whether the task is to let go. Cheap: to be asked between waves.
        progress: tells how far the task is, in units of its own.
        blobs: directory of content-addressed files; None where the store is not local.
        cache: kept between the tasks of a worker process, such as loaded scenes.
        farm: sizes of waves and slices.
        shrink: what the size of waves is divided by: the task ran out of memory before.
        rate: samples per second that the job's slices reached so far; None before the first.
    """

    cancelled: Callable[[], bool] = _never
    progress: Callable[[int, int], None] = _untold
    blobs: Path | None = None
    cache: dict[str, Any] = field(default_factory=dict)
    farm: Farm = field(default_factory=Farm)
    shrink: int = 1
    rate: float | None = None

    @property
    def wave_samples(self) -> int:
        """Samples of one wave, at most."""
        return max(LEAST_WAVE, self.farm.wave_samples // self.shrink)

    def check(self) -> None:
        """Lets go when that was asked for.

        Raises:
            Cancelled: it was.
        """
        if self.cancelled():
            raise Cancelled
