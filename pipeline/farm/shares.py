"""Who is served next: the highest priority, then the show that has least of its share, then the oldest job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Claimant", "served_first"]


@dataclass(frozen=True, slots=True)
class Claimant:
    """A job that has a task to start.

    Attributes:
        job: its id.
        show: that it belongs to.
        priority: 0 (last) … 9 (first).
        created: when it was submitted, ISO 8601.
    """

    job: str
    show: str
    priority: int
    created: str


def served_first(
    claimants: Iterable[Claimant], at_work: Mapping[str, int], weights: Mapping[str, float]
) -> Claimant | None:
    """The one whose task is to start next; None where nobody claims.

    Args:
        claimants: jobs with a task that can start.
        at_work: tasks of each show that wait in queues or run.
        weights: of shows; 1 where nothing is said. Tasks at work are divided by it.
    """

    def rank(each: Claimant) -> tuple[int, float, str, str]:
        used = at_work.get(each.show, 0) / weights.get(each.show, 1.0)
        return (-each.priority, used, each.created, each.job)

    return min(claimants, key=rank, default=None)
