"""Jobs that wait for other jobs: which frames are blocked, and by what, from the other jobs' products."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import FarmError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.control import Control
from pipeline.farm.names import REPORT, Frame
from pipeline.farm.store import Store

__all__ = ["Waits"]

_FRAMES = "frames"


class Waits:
    """What a job waits for. What was there once is not asked for again.

    Args:
        store: where all of the jobs live.
        after: as `Terms.after`: `shot_010.v002` is waited for until it has made all of its frames,
            `shot_010.v002:frames` frame by frame.
    """

    def __init__(self, store: Store, after: Iterable[str]) -> None:
        self.after = tuple(after)
        self._store = store
        self._there: set[tuple[str, Frame | None]] = set()
        self._frames: dict[str, frozenset[Frame]] = {}

    def blocked(self, frames: Iterable[Frame]) -> dict[Frame, str]:
        """The frames that cannot be made yet, and for each the job that it waits for.

        A frame that the other job does not have is not waited for. A job that is not there is.
        """
        found: dict[Frame, str] = {}
        for each in self.after:
            job, _, how = each.partition(":")
            left = [frame for frame in frames if frame not in found]
            if how == _FRAMES:
                found |= {frame: job for frame in left if not self._has_made(job, frame)}
            elif left and not self._has_ended(job):
                found |= dict.fromkeys(left, job)
        return found

    def _has_made(self, job: str, frame: Frame) -> bool:
        if (job, frame) in self._there:
            return True
        directory = jobs.directory_of(job)
        made = (names.frame_product(frame), names.part(frame))
        there = any(self._store.exists(f"{directory}/{name}") for name in made) or frame not in self._wanted(job, frame)
        if there:
            self._there.add((job, frame))
        return there

    def _has_ended(self, job: str) -> bool:
        if (job, None) in self._there:
            return True
        directory = jobs.directory_of(job)
        there = self._store.exists(f"{directory}/{REPORT}") and not self._store.children(f"{directory}/absent")
        if there:
            self._there.add((job, None))
        return there

    def _wanted(self, job: str, frame: Frame) -> frozenset[Frame]:
        """The frames of a job, read once; those that are to come of one that is not there yet: the one in question."""
        known = self._frames.get(job)
        if known is None:
            try:
                found = jobs.load(self._store, job)
            except FarmError:
                return frozenset({frame})
            state = Control(self._store, found.directory).look()
            known = self._frames[job] = frozenset(jobs.wanted_frames(found, state))
        return known
