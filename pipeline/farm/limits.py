"""What ends the rounds of a job: the target, the cap of a frame, and the budget of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.config.sampling import P99_SLACK

if TYPE_CHECKING:
    from pipeline.farm.job import Job

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a job's rounds.

    Attributes:
        first_spp: mean samples per pixel of the first round.
        max_spp: of a frame.
        budget_spp: of all frames together; None: no budget.
        target_error: of the mean; 0 in rehearsals, which have none.
    """

    first_spp: int
    max_spp: int
    budget_spp: int | None = None
    target_error: float = 0.0

    @classmethod
    def of(cls, job: Job) -> Limits:
        """Those of a job. A rehearsal's first round takes one sample for each of its numbers; an errand has none."""
        if job.errand is not None:
            return cls(1, 1)
        rehearsal = job.rehearsal
        if rehearsal is not None:
            return cls(1, 2 ** (rehearsal.rounds - 1), rehearsal.budget_spp, rehearsal.target_error)
        sampling: dict[str, Any] = job.config["sampling"]
        return cls(
            int(sampling["first_spp"]),
            int(sampling["max_spp"]),
            sampling.get("budget_spp"),
            float(sampling.get("target_error", 0.0)),
        )

    @property
    def rounds(self) -> int:
        """Rounds of a frame, at most."""
        if self.budget_spp is not None:
            from pipeline.render import budget  # brings numpy

            return budget.rounds(self.first_spp, self.max_spp, self.budget_spp)
        total, number = self.first_spp, 1
        while total < self.max_spp:
            total, number = total * 2, number + 1
        return number

    @property
    def own_spp(self) -> int:
        """The cap of a frame that no budget counts in: one that was given up, and tried again later."""
        return self.max_spp if self.budget_spp is None else min(self.max_spp, self.budget_spp)

    def excess(self, mean: float, p99: float) -> float:
        """How many times the target an error is: 1 or less is reached."""
        return max(mean, p99 / P99_SLACK) / self.target_error if self.target_error > 0.0 else float("inf")

    def reached(self, mean: float, p99: float) -> bool:
        """Whether a predicted error is at the target, in the mean and in its 99th percentile."""
        return mean <= self.target_error and p99 <= P99_SLACK * self.target_error
