"""Newton's method on estimated Hessians (equation 3), made safe for plateaus and noise.

On a plateau's edge a smoothed loss bends downwards, and an estimated Hessian is noisy: so each eigenvalue counts by its
size (a direction of negative curvature is followed downhill, as in saddle-free Newton: Dauphin et al. 2014), none
counts for less than the noise in it, and no step is longer than some σ, over which alone the model was looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.match.descent import clipped
from pipeline.match.estimators import BlackBox, gradient, hessian
from pipeline.match.minimise import Move
from pipeline.match.samplers import Sampling

__all__ = ["Newton", "newton_direction"]

Array = NDArray[np.float64]

LEAST_CURVATURE = 1e-3
"""Of the largest eigenvalue: what the smallest one counts for at least."""


def newton_direction(H: Array, g: Array, *, noise: float = 0.0) -> Array:
    """−|H|⁻¹ g, the eigenvalues' sizes at least `noise` and a thousandth of the largest; −g where all are zero."""
    values, vectors = np.linalg.eigh((H + H.T) / 2.0)
    sizes = np.abs(values)
    floor = max(noise, LEAST_CURVATURE * float(sizes.max(initial=0.0)))
    if floor == 0.0:  # no sample saw any curvature: a plateau, on which only the gradient's direction is known
        return -g
    return np.asarray(-vectors @ ((vectors.T @ g) / np.maximum(sizes, floor)))


class Newton:
    """One Newton step per proposal.

    Args:
        samples: antithetic pairs, per element for `Sampling.ELEMENT` (OurH of the paper), else in all.
        trust: the longest step, in σ.
    """

    def __init__(self, samples: int = 2, *, sampling: Sampling = Sampling.ELEMENT, trust: float = 1.5) -> None:
        self.name = "Newton"
        self._samples, self._sampling, self._trust = samples, sampling, trust

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """One step."""
        g = gradient(f, theta, sigma, samples=self._samples, rng=rng, seed=seed, sampling=self._sampling)
        H = hessian(f, theta, sigma, samples=self._samples, rng=rng, seed=seed, sampling=self._sampling)
        noise = float(np.sqrt(np.nansum(H.variance) / len(theta)))
        step = clipped(newton_direction(H.value, g.value, noise=noise), self._trust * sigma)
        return Move(step, g.value, g.significance, gradients=2)
