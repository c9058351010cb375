"""What curvature costs: a step's time, a product's time over a gradient's, and memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.machine import ROOT
from benchmarks.optim_trials import optimizer
from benchmarks.referee import Interval, median_ratio, timed_pairs
from pipeline.optim import hvp
from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.fields.fit import PART
from pipeline.optim.optimizers import ESGD, EVERY, WARMUP

__all__ = ["STEPS", "memory", "products", "step_cost"]

STEPS = 10_000
"""Of the training over which a step's cost is spread, warm-up included."""

DEPTH = 4
IDLE = 1e-6
"""A rate so low that fields stay what they are."""
MEMORY_STEPS = 4
MEMORY_BATCH = 1 << 14


class _Task:
    """A field that learns noise: times do not depend on what is learned."""

    def __init__(self, activation: str, batch: int, width: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.rand(batch, 2, generator=generator) * 2 - 1
        self.y = torch.rand(batch, 3, generator=generator)
        self.field = CoordinateField(2, 3, activation=activation, width=width, depth=DEPTH)
        self.params = list(self.field.parameters())

    def loss(self, count: int | None = None) -> torch.Tensor:
        return (self.field(self.x[:count]) - self.y[:count]).square().mean()

    def steps(self, optimizer: Any, **settings: Any) -> Callable[[int], None]:
        """Makes so many steps; `settings` are passed on to each."""

        def made(count: int) -> None:
            for _ in range(count):
                optimizer.zero_grad(set_to_none=True)
                self.loss().backward()
                optimizer.step(**settings)

        return made

    def part(self) -> torch.Tensor:
        """The loss that curvature is taken from."""
        return self.loss(max(len(self.x) // PART, 1))


def step_cost(batch: int, width: int, *, pairs: int, activation: str = "gaussian") -> tuple[float, Interval]:
    """Time of ESGD's step over that of torch's Adam, over `STEPS` steps: D at each of the first `WARMUP`, then once in
    `EVERY`. Blocks of either kind are timed in turn with as many of Adam's.

    Returns:
        the mean cost, and the interval of the later blocks alone.
    """
    task, peer = _Task(activation, batch, width), _Task(activation, batch, width)
    adam = peer.steps(torch.optim.Adam(peer.params, IDLE))
    warm = task.steps(ESGD(task.params, IDLE, warmup=10**9), curvature=task.part)
    later = task.steps(ESGD(task.params, IDLE, warmup=0), curvature=task.part)
    warming = median_ratio(timed_pairs(lambda: warm(WARMUP), lambda: adam(WARMUP), pairs=pairs))
    steady = median_ratio(timed_pairs(lambda: later(EVERY), lambda: adam(EVERY), pairs=pairs))
    return (WARMUP * warming.value + (STEPS - WARMUP) * steady.value) / STEPS, steady


def products(activation: str, batch: int, width: int, *, pairs: int) -> tuple[float, float]:
    """Time of a Hessian-vector product over that of a gradient of the same batch: by double backward, and by
    forward-over-reverse."""
    task = _Task(activation, batch, width)
    signs = hvp.rademacher(task.params, torch.Generator().manual_seed(0))
    named = {name: value.detach() for name, value in task.field.named_parameters()}
    directions = dict(zip(named, signs, strict=True))

    def functional(given: Any) -> torch.Tensor:
        return (torch.func.functional_call(task.field, given, (task.x,)) - task.y).square().mean()

    def gradient() -> None:
        torch.autograd.grad(task.loss(), task.params)

    def double() -> None:
        hvp.double_backward(task.loss(), task.params, signs, trusted=True)

    def forward() -> None:
        hvp.forward_over_reverse(functional, named, directions)

    few = 5  # of each in a timing

    def repeated(run: Callable[[], None]) -> Callable[[], None]:
        return lambda: [run() for _ in range(few)] and None

    timings = [timed_pairs(repeated(run), repeated(gradient), pairs=pairs) for run in (double, forward)]
    return median_ratio(timings[0]).value, median_ratio(timings[1]).value


def memory(names: tuple[str, ...], *, width: int, repeats: int) -> dict[str, float]:
    """Growth of a process's peak memory by a few steps of each optimiser, MiB, median over processes; freed blocks go
    back to the system, so that peaks are those of what is in use."""
    return {name: statistics.median(_grown(name, width) for _ in range(repeats)) for name in names}


def _grown(name: str, width: int) -> float:
    command = [sys.executable, "-m", "benchmarks.optim_cost", name, str(width)]
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _grow(name: str, width: int) -> float:
    """What a few steps add to this process's peak, MiB; `NAME:whole` takes curvature from the whole batch."""
    from benchmarks.render_memory import peak_gib

    name, _, whole = name.partition(":")
    task = _Task("gaussian", MEMORY_BATCH, width)
    task.loss(64).backward()  # libraries are loaded
    before = peak_gib()
    made = optimizer(name, task.params, "gaussian", IDLE, 0)
    task.steps(made, curvature=task.loss if whole else task.part)(MEMORY_STEPS)
    return (peak_gib() - before) * 1024


if __name__ == "__main__":
    print(json.dumps(_grow(sys.argv[1], int(sys.argv[2]))))
