"""Newton conjugate gradient with Fletcher–Reeves directions (equations 3–8), on Hessian-vector products of samples.

One product per step: it brings the gradient at θ with it (the mean of its two shifted gradients), so that slope,
curvature and residual come from the same samples. With a step α along v

    α = −gᵀv / vᵀHv,   r' = −g − α Hv,   β = r'ᵀr' / rᵀr,   v' = r' + β v,

r = −g being measured afresh each time, not carried along. Where the curvature along v is not positive, which is the
rule on a plateau's edge, the step goes downhill as far as it is trusted. How well the last product foretold the next
gradient along v says how far to trust, and how many samples it takes: where it was wrong, steps get shorter and samples
more. Until one was right, or samples are as many as they may be, a short step is no sign of arrival.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.match.estimators import BlackBox, gradient, hvp
from pipeline.match.minimise import Move
from pipeline.match.samplers import Sampling

__all__ = ["NewtonCG"]

Array = NDArray[np.float64]

GOOD, BAD = 0.5, 1.0
"""Error of a foretold slope, over the slope before the step: below the first the trust grows and samples get fewer,
above the second it shrinks and they get more."""

DIRECTIONS = 10
"""Steps at one σ before a short one is a sign of arrival: n, at most so many. Stiff directions come first."""

CLEAR = 1.5
"""Length of a gradient over its noise that says that there is a way left to go."""

MORE = 16
"""Times as many samples as at first, at most."""


class NewtonCG:
    """Newton–CG; with the aggregate, what the paper calls OurHVPA, with `Sampling.ELEMENT` OurHVP.

    Args:
        samples: antithetic pairs per product (per parameter with `Sampling.ELEMENT`), at least: 4 evaluations each.
        trust: the longest step at the start, in σ; it stays within a factor 4 of that.
        restart: steps after which directions begin anew with the gradient; by default n, at most 10.
    """

    def __init__(
        self,
        samples: int = 2,
        *,
        sampling: Sampling = Sampling.AGGREGATE,
        trust: float = 1.5,
        restart: int | None = None,
    ) -> None:
        self.name = "Newton-CG"
        self._samples, self._sampling, self._restart = samples, sampling, restart
        self._times = 1  # as many samples as that
        self._steps = 0  # at this σ
        self._right = False  # whether the last slope was foretold well
        self._trust = self._first_trust = trust
        self._v: Array | None = None  # direction of the next step
        self._since = 0  # steps since the last restart
        self._last: tuple[Array, float, float, float] | None = None  # unit v, slope before and foretold, and σ

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """One step."""
        gradients = 1
        if self._v is None:
            first = gradient(f, theta, sigma, samples=self._many, rng=rng, seed=seed, sampling=self._sampling)
            self._v, gradients = -first.value, 2
        length = float(np.linalg.norm(self._v))
        v = self._v / length if length > 0 else _any_direction(rng, len(theta))
        product = hvp(f, theta, v, sigma, samples=self._many, rng=rng, seed=seed, sampling=self._sampling)
        g, Hv, slope = product.gradient.value, product.value, product.slope
        if slope > 0:  # noise, or a turn of the valley: the way back is downhill
            v, Hv, slope = -v, -Hv, -slope
        self._learn(g, sigma)
        longest = self._trust * sigma
        alpha = longest
        if product.curvature > 0:
            alpha = min(-slope / product.curvature, longest)
        self._next(g, v, Hv, alpha, sigma)
        self._last = (v, slope, slope + alpha * float(v @ Hv), sigma)
        self._steps += 1
        quiet = not product.gradient.significance > CLEAR
        sure = quiet and self._steps >= min(len(theta), DIRECTIONS) and (self._right or self._times == MORE)
        return Move(alpha * v, g, product.gradient.significance, gradients, sure)

    @property
    def _many(self) -> int:
        return self._samples * self._times

    def _learn(self, g: Array, sigma: float) -> None:
        """Trust and samples, by how the last step's slope was foretold; not across a change of σ."""
        if self._last is None or self._last[3] != sigma:
            self._right, self._steps = False, 0
            return
        v, before, foretold, _ = self._last
        error = abs(float(v @ g) - foretold) / max(abs(before), np.finfo(float).tiny)
        factor = 2.0 if error < GOOD else 0.5 if error > BAD else 1.0
        self._right = error < GOOD
        self._times = int(np.clip(self._times / factor, 1, MORE))
        self._trust = float(np.clip(self._trust * factor, self._first_trust / 4.0, self._first_trust * 4.0))

    def _next(self, g: Array, v: Array, Hv: Array, alpha: float, sigma: float) -> None:
        """The direction after this step."""
        residual = -(g + alpha * Hv)
        self._since += 1
        restart = self._restart if self._restart is not None else min(len(g), 10)
        norm = float(g @ g)
        if self._since >= restart or norm == 0.0:
            self._v, self._since = residual, 0
            return
        beta = float(residual @ residual) / norm  # Fletcher–Reeves
        # v is of length 1 here; the recurrence is written for directions as long as their residual.
        direction = residual + min(beta, 1.0) * np.sqrt(norm) * v
        if float(direction @ residual) <= 0.0:  # no longer downhill
            direction, self._since = residual, 0
        self._v = direction


def _any_direction(rng: np.random.Generator, dimensions: int) -> Array:
    """A random unit vector: where the samples saw no slope at all."""
    v = rng.standard_normal(dimensions)
    return np.asarray(v / np.linalg.norm(v))
