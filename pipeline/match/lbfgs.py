"""L-BFGS on estimated gradients, for comparison: differences of noisy gradients make poor curvature.

Gradients at both ends of a step are made of the same offsets and render seeds, without which it does not converge at
all; pairs that say the curvature is negative are left out.

Source: Nocedal, Wright, "Numerical Optimization", algorithm 7.4.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from pipeline.match.descent import clipped
from pipeline.match.estimators import BlackBox, Estimate, gradient
from pipeline.match.minimise import Move
from pipeline.match.samplers import Sampling

__all__ = ["LBFGS"]

Array = NDArray[np.float64]


class LBFGS:
    """Args:
    samples: antithetic pairs per gradient.
    memory: pairs kept.
    trust: the longest step, in σ.
    """

    def __init__(
        self, samples: int = 4, *, sampling: Sampling = Sampling.AGGREGATE, memory: int = 8, trust: float = 1.0
    ) -> None:
        self.name = "L-BFGS"
        self._samples, self._sampling, self._trust = samples, sampling, trust
        self._pairs: deque[tuple[Array, Array]] = deque(maxlen=memory)

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """One step: the gradient here and, with the same randomness, where the step leads."""
        own_seed = int(rng.integers(2**63))

        def at(point: Array) -> Estimate:
            same = np.random.default_rng(own_seed)
            return gradient(f, point, sigma, samples=self._samples, rng=same, seed=seed, sampling=self._sampling)

        here = at(theta)
        if self._pairs:
            step = clipped(self._direction(here.value), self._trust * sigma)
        else:
            length = float(np.linalg.norm(here.value))
            step = -here.value * (self._trust * sigma / length) if length > 0 else np.zeros_like(theta)
        change = at(theta + step).value - here.value
        if float(step @ change) > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self._pairs.append((step, change))
        return Move(step, here.value, here.significance, gradients=2)

    def _direction(self, g: Array) -> Array:
        """−H g by the two-loop recursion."""
        q, alphas = g.copy(), []
        for s, y in reversed(self._pairs):
            alphas.append(float(s @ q) / float(s @ y))
            q = q - alphas[-1] * y
        s, y = self._pairs[-1]
        q = q * (float(s @ y) / float(y @ y))
        for (s, y), alpha in zip(self._pairs, reversed(alphas), strict=True):
            q = q + s * (alpha - float(y @ q) / float(s @ y))
        return -q
