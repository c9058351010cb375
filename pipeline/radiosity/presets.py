"""Sizes of the cache and of its training: `fast` for two cores, `smooth` the same without a grid, `paper` for a GPU.

Source: the paper's §3.3 and §3.4 for `paper`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.radiosity.hash_grid import GridShape

__all__ = ["ACTIVATIONS", "PRESETS", "FieldShape", "GuideShape", "Preset", "Stage", "preset"]

ACTIVATIONS = ("relu", "sine", "gaussian", "wavelet")


@dataclass(frozen=True)
class FieldShape:
    """The network that holds S(x, ω).

    Attributes:
        grid: hash encoding of the position; None: position alone, as networks with smooth activations want it.
        hidden: hidden layers.
        width: of each.
        activation: one of `ACTIVATIONS`.
        scale: ω of sine and wavelet, σ of Gaussian; None takes the literature's.
        sides: how far apart the two sides of a surface are looked up in the grid, of the scene's box: a shade may be
            thousands of times brighter inside than outside, and the grid knows positions alone. 0: at one place.
        demodulate: the network's output is multiplied by the surface's albedo, so that textures need not be learnt.
        mixed_precision: the hidden layers run in bfloat16 where the device is quicker with it.
    """

    grid: GridShape | None
    hidden: int
    width: int
    activation: str = "relu"
    scale: float | None = None
    sides: float = 0.0
    demodulate: bool = False
    mixed_precision: bool = False


@dataclass(frozen=True)
class GuideShape:
    """The network of the guide (§3.3): four linear layers of 256 in the paper.

    Attributes:
        begin, end: steps in which it is trained; it is used from `begin` on.
    """

    grid: GridShape
    hidden: int
    width: int
    lobes: int = 8
    begin: int = 1000
    end: int = 5000


@dataclass(frozen=True)
class Stage:
    """A part of the schedule.

    Attributes:
        begin: first step.
        points: N, a step.
        incident: M, of each point; a multiple of 4.
    """

    begin: int
    points: int
    incident: int


@dataclass(frozen=True)
class Preset:
    """All that a training is, but for the scene and the seed.

    Attributes:
        steps: of a full training.
        warm_steps: of one that starts from the weights of a scene that is nearly the same.
        stages: batches that grow, ascending.
        rate: learning rate of Adam at the start.
        curvature_rate: the same of optimisers that go by curvature: a share of a step to the bottom of each parameter's
            own parabola.
        decay: factor of the learning rate …
        decay_every: … after so many steps.
        average: decay of the running mean of the weights that pictures are made with; 0: the weights themselves.
        by_channel: each channel's residual is normalised by itself (see `losses.normaliser`).
        block: steps whose rays are traced in one launch.
        check_every: steps between two looks at the held-out residual.
        patience: looks without an improvement of a hundredth that end the training.
    """

    name: str
    field: FieldShape
    guide: GuideShape
    steps: int
    warm_steps: int
    stages: tuple[Stage, ...]
    rate: float
    decay: float
    decay_every: int
    average: float
    block: int
    check_every: int
    patience: int
    curvature_rate: float = 1.0
    by_channel: bool = False

    def stage(self, step: int) -> Stage:
        """What a step is made with."""
        return next(stage for stage in reversed(self.stages) if stage.begin <= step)

    def decay_at(self, step: int) -> float:
        """Factor of the learning rate at a step."""
        return self.decay ** (step // self.decay_every)

    def over(self, steps: int) -> Preset:
        """The same schedule in another number of steps."""
        share = steps / self.steps
        stages = tuple(replace(stage, begin=round(stage.begin * share)) for stage in self.stages)
        every = max(round(self.decay_every * share), 1)
        return replace(self, steps=steps, stages=stages, decay_every=every)


_FAST = Preset(
    name="fast",
    field=FieldShape(
        GridShape(levels=5, features=4, log2_entries=15, base=4, growth=2.8),
        hidden=4,
        width=64,
        sides=0.02,
        demodulate=True,
    ),
    guide=GuideShape(GridShape(levels=6, log2_entries=14, base=2), hidden=2, width=64, begin=200, end=1000),
    steps=3000,
    warm_steps=1200,
    # Many points with few directions each: the network averages over points, and its noise falls with their number.
    stages=(Stage(0, 4096, 4), Stage(1000, 4096, 8)),
    rate=5e-3,
    decay=0.7,
    decay_every=300,
    average=0.99,
    block=8,
    check_every=100,
    patience=8,
    by_channel=True,
)

PRESETS = {
    "fast": _FAST,
    "smooth": replace(
        _FAST,
        name="smooth",
        field=FieldShape(grid=None, hidden=4, width=128, activation="sine", scale=10.0, demodulate=True),
        rate=1e-3,
    ),
    "paper": Preset(
        name="paper",
        field=FieldShape(GridShape(), hidden=6, width=512, mixed_precision=True),
        guide=GuideShape(GridShape(), hidden=3, width=256),
        steps=36_000,
        warm_steps=4_000,
        stages=(Stage(0, 2**14, 32),),
        rate=5e-4,
        decay=1 / 3,
        decay_every=12_000,
        average=0.0,
        block=1,
        check_every=500,
        patience=20,
    ),
}


def preset(name: str) -> Preset:
    """A preset by name."""
    return PRESETS[name]
