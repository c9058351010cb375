"""What the theory says, measured: the density of Hessian-vector products, and condition numbers under a diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.optim_signals import Named
from benchmarks.optim_sizes import Course
from benchmarks.optim_trials import code
from pipeline.optim import hvp, probes
from pipeline.optim.choose import make
from pipeline.optim.fields.image import ImageSignal

__all__ = ["PROBED", "Condition", "conditions", "densities"]

PROBED = (0, 100, 1000)
"""Steps at which products are looked at."""

SAMPLES = 2048
"""Of the batch whose Hessian is probed."""

DIRECTIONS = 4
"""Random products of each density."""

SMALL = {"width": 10, "depth": 2}
"""Of the fields whose Hessian is computed: at most 300 parameters with every activation."""

CONDITIONED = (0, 200)
"""Steps at which condition numbers are taken."""

PATCH = 16
"""Pixels of a side of the picture that they learn."""


def densities(signal: Named, activation: str, rate: float, course: Course, seed: int, folder: Path) -> dict[int, float]:
    """Share of the entries of Hv that count, after so many steps of Adam, mean over random signs."""

    def made() -> Kept:
        learned = signal.signal
        field = learned.field(activation, width=course.width, depth=course.depth, seed=seed)
        optimizer = make(field.parameters(), activation, "adam", rate=rate)
        batches, params = learned.batches(course.batch, seed), list(field.parameters())
        generator = torch.Generator().manual_seed(seed)
        judged = next(learned.batches(SAMPLES, seed + 1))
        found = {}
        for step in range(max(PROBED) + 1):
            if step in PROBED:
                shares = [
                    probes.density(
                        hvp.double_backward(learned.loss(field, judged), params, hvp.rademacher(params, generator))
                    )
                    for _ in range(DIRECTIONS)
                ]
                found[str(step)] = sum(shares) / len(shares)
            optimizer.zero_grad(set_to_none=True)
            learned.loss(field, next(batches)).backward()
            optimizer.step()
        return Kept(found)

    file = folder / code() / f"density-{signal.name}-{activation}-{course.width}-{course.batch}-{rate:.4g}-s{seed}.npz"
    return {int(step): share for step, share in kept(file, made).figures.items()}


@dataclass(frozen=True)
class Condition:
    """Condition numbers of one Hessian: as it is, and in the coordinates of two diagonals."""

    plain: float
    equilibrated: float
    jacobi: float


def conditions(signal: Named, activation: str, rate: float, seed: int, folder: Path) -> dict[int, Condition]:
    """Condition numbers of a small field's exact Hessian, after so many steps of Adam on a patch of a picture."""

    def made() -> Kept:
        whole = signal.signal
        assert isinstance(whole, ImageSignal)
        pixels = whole.values.reshape(whole.shape)
        stride = max(min(pixels.shape[:2]) // PATCH, 1)
        learned = ImageSignal(pixels[::stride, ::stride][:PATCH, :PATCH, :1].numpy())
        field = learned.field(activation, seed=seed, **SMALL)
        optimizer = make(field.parameters(), activation, "adam", rate=rate)
        batch = learned.coordinates, learned.values
        found = {}
        for step in range(max(CONDITIONED) + 1):
            if step in CONDITIONED:
                exact = hvp.hessian(learned.loss(field, batch), list(field.parameters()))
                found[str(step)] = [
                    probes.condition_number(exact),
                    probes.condition_number(probes.preconditioned(exact, probes.equilibrated_diagonal(exact))),
                    probes.condition_number(probes.preconditioned(exact, probes.jacobi_diagonal(exact))),
                ]
            optimizer.zero_grad(set_to_none=True)
            learned.loss(field, batch).backward()
            optimizer.step()
        return Kept(found)

    file = folder / code() / f"condition-{signal.name}-{activation}-{rate:.4g}-s{seed}.npz"
    return {int(step): Condition(*numbers) for step, numbers in kept(file, made).figures.items()}
