"""How σ shrinks from coarse to fine. All are pure: the σ of the next step from what the last one did.

A wide kernel sees over plateaus and blurs the minimum; a narrow one finds it. σ is in units of the parameters' scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Constant", "Following", "Geometric", "Linear", "Schedule"]


class Schedule(Protocol):
    """A rule for σ."""

    @property
    def start(self) -> float:
        """σ of the first step."""
        ...

    @property
    def end(self) -> float:
        """σ that is never gone below."""
        ...

    def after(self, sigma: float, *, progress: float, moved: float, sure: bool = True) -> float:
        """σ of the next step.

        Args:
            sigma: of the step that was taken.
            progress: share of the budget that is spent, 0 … 1.
            moved: length of that step, in units of the parameters' scales.
            sure: whether that length tells how far is left: one that noise drew does not.
        """
        ...


@dataclass(frozen=True)
class Constant:
    """The same σ throughout."""

    start: float

    @property
    def end(self) -> float:
        return self.start

    def after(self, sigma: float, *, progress: float, moved: float, sure: bool = True) -> float:
        return self.start


@dataclass(frozen=True)
class Linear:
    """Holds, falls linearly between two shares of the budget, and holds: what the paper's authors run."""

    start: float
    end: float
    begin: float = 0.25
    finish: float = 0.75

    def after(self, sigma: float, *, progress: float, moved: float, sure: bool = True) -> float:
        weight = min(max((progress - self.begin) / (self.finish - self.begin), 0.0), 1.0)
        return self.start + weight * (self.end - self.start)


@dataclass(frozen=True)
class Geometric:
    """Falls by the same factor for each share of the budget."""

    start: float
    end: float

    def after(self, sigma: float, *, progress: float, moved: float, sure: bool = True) -> float:
        return float(self.start * (self.end / self.start) ** min(progress, 1.0))


@dataclass(frozen=True)
class Following:
    """Follows the search: shrinks by `factor` after a step shorter than `reach` σ, that is, once the minimum at this
    scale is found; and stays while the search still travels.

    It knows of no budget. It is for methods whose steps are as long as the way that is left (Newton-CG): a damped step,
    or one by a small learning rate, looks like an arrival to it.
    """

    start: float
    end: float
    factor: float = 0.5
    reach: float = 0.5

    def after(self, sigma: float, *, progress: float, moved: float, sure: bool = True) -> float:
        return max(sigma * self.factor, self.end) if sure and moved < self.reach * sigma else sigma
