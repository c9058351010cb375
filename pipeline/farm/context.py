"""What a recipe gets beside the job: a way to be stopped, a way to tell how far it is, and a worker's memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.farm import Farm

__all__ = ["Cancelled", "Context"]


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
    """

    cancelled: Callable[[], bool] = _never
    progress: Callable[[int, int], None] = _untold
    blobs: Path | None = None
    cache: dict[str, Any] = field(default_factory=dict)
    farm: Farm = field(default_factory=Farm)

    @property
    def wave_samples(self) -> int:
        """Samples of one wave, at most."""
        return self.farm.wave_samples

    def check(self) -> None:
        """Lets go when that was asked for.

        Raises:
            Cancelled: it was.
        """
        if self.cancelled():
            raise Cancelled
