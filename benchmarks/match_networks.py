"""Tasks CNN and CNN5 of the matching benchmark: a network that looks at a picture of the mug and says how it stands.

It is trained by pictures alone: what it says is rendered, and the picture compared with the one that it was shown. The
networks are as large as the paper's, with 267,745 and 268,773 weights. Needs torch, and Mitsuba with a variant set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.match_methods import TUNING, Contender
from benchmarks.match_scenes import MUG, Size, Subject, renders_of
from pipeline.match.descent import aggregate_gradient, by_fr22
from pipeline.match.grey_box import BlackBoxes, GreyBox, Weights, newton_cg_step
from pipeline.match.minimise import Bounds, Record
from pipeline.match.renders import Renders
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Linear

__all__ = ["NETWORKS", "Learned", "Predictor", "learned"]

Array = NDArray[np.float64]

LEARN = Size(width=32, height=24, spp=8, plate_spp=256, judge_spp=32)
EXAMPLES = 8

DESCENT_STEP = 0.1
"""Of the predictions, in σ: what the first step of descent at the middle rate moves them by."""

ADAM_STEP = 0.01
"""Rate of Adam on weights for a rate of 1 on parameters: weights of a layer of 1,024 inputs are about 0.03."""


class Predictor(torch.nn.Module):
    """B×3×24×32 pictures → B×n values, in scales about the middle of what they may be."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.look = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d((4, 8)),
            torch.nn.Flatten(),
        )
        self.say = torch.nn.Sequential(torch.nn.Linear(1024, 256), torch.nn.ReLU(), torch.nn.Linear(256, n))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Predictions."""
        said: torch.Tensor = self.say(self.look(pictures))
        return said


NETWORKS: dict[str, tuple[Subject, Array]] = {
    "CNN": (
        Subject(
            "CNN",
            f"a network of 267,745 weights that tells a mug's turn from a picture, {EXAMPLES} of them, n = 1",
            MUG,
            ("mug.rotate:y",),
            np.array([0.0]),
            lambda rng: rng.uniform(-1.5, 1.5, 1),
            np.array([30.0]),
            (0.5, 0.03),
            16_000,
        ),
        np.zeros(1),
    ),
    "CNN5": (
        Subject(
            "CNN5",
            f"a network of 268,773 weights that tells turn, place and colour from a picture, {EXAMPLES} of them, n = 5",
            MUG,
            ("mug.rotate:y", "mug.translate:x", "clay.reflectance"),
            np.array([0.0, 0.0, 0.5, 0.5, 0.5]),
            lambda rng: rng.uniform(-1.5, 1.5, 5),
            np.array([30.0, 0.2, 0.2, 0.2, 0.2]),
            (0.5, 0.03),
            32_000,
        ),
        np.array([0.0, 0.0, 0.5, 0.5, 0.5]),
    ),
}
"""Subjects, whose `start` draws what a picture shows, in scales about the truth; and that middle, in search units."""


@dataclass(frozen=True)
class Learned:
    """Training as a task of the benchmark: its parameters are all predictions, B·n of them, in scales.

    Attributes: as `Task` has them; and
        inputs: B×3×H×W, what the network sees.
        boxes: losses of what it says.
        outputs: n.
    """

    key: str
    truth: Array
    sigma: tuple[float, float]
    evaluations: int
    error: Callable[[Array], float]
    inputs: torch.Tensor
    boxes: BlackBoxes
    outputs: int
    about: str
    size: str
    autodiff: None = None

    @property
    def n(self) -> int:
        """Predictions."""
        return len(self.truth)

    @property
    def bounds(self) -> Bounds:
        """None."""
        return Bounds.free(self.n)

    def network(self, seed: int) -> Predictor:
        """Untrained."""
        torch.manual_seed(seed)
        return Predictor(self.outputs)

    def start(self, seed: int) -> Array:
        """What an untrained network says."""
        return self._said(self.network(seed))

    def distance(self, theta: Array) -> float:
        """Length of what is left."""
        return float(np.linalg.norm(theta - self.truth))

    def takes(self, method: Contender) -> bool:
        """Those that give gradients, or products with Hessians, of few parameters."""
        return method.key in ("FR22", "FR22+Adam", "G", "HVP", "HVPA")

    def solve(self, method: Contender, number: float, seed: int, note: Callable[[Record], bool]) -> str:
        """Trains a network; `note` is told of each step, and calls it off. Why it ended."""
        pairs = int(number) if method.key in ("HVP", "HVPA") else 2
        gradient = {
            "FR22": by_fr22(pairs),
            "FR22+Adam": by_fr22(pairs),
            "G": aggregate_gradient(pairs, Sampling.ELEMENT),
            "HVP": aggregate_gradient(pairs, Sampling.ELEMENT),
            "HVPA": aggregate_gradient(pairs),
        }[method.key]
        counted = _Counted(self.boxes)
        box = GreyBox(self.network(seed), gradient)
        second = method.key in ("HVP", "HVPA")
        step = self._conjugate(box, counted) if second else self._first(method.key, number, box, counted)
        schedule = Linear(*self.sigma)  # of the budget: among so many weights a short step tells no arrival
        rng, sigma, before, gradients = np.random.default_rng(seed), self.sigma[0], self.start(seed), 0
        began = time.perf_counter()
        while counted.evaluations < self.evaluations:
            gradients += step(sigma, rng, int(rng.integers(2**31)))
            said = self._said(box.network)
            moved = float(np.sqrt(np.mean((said - before) ** 2) * self.outputs))
            before = said
            seconds = time.perf_counter() - began
            idle = seconds - counted.seconds
            if note(Record(said, sigma, moved, float("nan"), counted.evaluations, gradients, seconds, idle)):
                return "called off"
            progress = counted.evaluations / self.evaluations
            sigma = schedule.after(sigma, progress=progress, moved=moved)
        return "budget"

    def _said(self, network: torch.nn.Module) -> Array:
        with torch.no_grad():
            return np.asarray(network(self.inputs).double().numpy().ravel())

    def _conjugate(self, box: GreyBox, boxes: BlackBoxes) -> Callable[[float, np.random.Generator, int], int]:
        direction: Weights | None = None

        def step(sigma: float, rng: np.random.Generator, seed: int) -> int:
            nonlocal direction
            first = direction is None
            direction, _ = newton_cg_step(box, self.inputs, boxes, sigma, direction, rng=rng, seed=seed)
            return 2 if first else 1

        return step

    def _first(
        self, key: str, number: float, box: GreyBox, boxes: BlackBoxes
    ) -> Callable[[float, np.random.Generator, int], int]:
        weights = list(box.network.parameters())
        if key == "FR22+Adam":
            optimiser: torch.optim.Optimizer = torch.optim.Adam(weights, lr=number * ADAM_STEP)
        else:
            optimiser = torch.optim.SGD(weights, lr=number * self._rate(box, boxes))

        def step(sigma: float, rng: np.random.Generator, seed: int) -> int:
            gradient = box.look(self.inputs, boxes, sigma, rng=rng, seed=seed).gradient
            for name, weight in box.network.named_parameters():
                weight.grad = gradient[name]
            optimiser.step()
            return 1

        return step

    def _rate(self, box: GreyBox, boxes: BlackBoxes) -> float:
        """The rate at which a first step moves what is said by a tenth of σ."""
        sigma = self.sigma[0]
        look = box.look(self.inputs, boxes, sigma, rng=np.random.default_rng(TUNING), seed=TUNING)
        down = {name: -value for name, value in look.gradient.items()}
        probe = 1e-3 / max(float(torch.sqrt(sum((v**2).sum() for v in down.values()))), 1e-12)
        before = self._said(box.network)
        box.move(down, probe)
        moved = float(np.sqrt(np.mean((self._said(box.network) - before) ** 2)))
        box.move(down, -probe)
        return DESCENT_STEP * sigma * probe / max(moved, 1e-12)


class _Counted:
    """Black boxes that count what they are asked, and how long it takes."""

    def __init__(self, boxes: BlackBoxes) -> None:
        self._boxes = boxes
        self.evaluations, self.seconds = 0, 0.0

    def __call__(self, points: Array, examples: NDArray[np.int64], seed: int) -> Array:
        began = time.perf_counter()
        losses = self._boxes(points, examples, seed)
        self.seconds += time.perf_counter() - began
        self.evaluations += len(points)
        return losses


def learned(key: str, folder: Path, size: Size = LEARN) -> Learned:
    """CNN or CNN5. `folder` holds the scene and blobs."""
    subject, middle = NETWORKS[key]
    renders = renders_of(subject, size, folder)
    rng = np.random.default_rng([len(middle), 5])
    truths = np.array([subject.start(rng) for _ in range(EXAMPLES)])  # B×n, scales
    values = middle + truths * subject.scale
    shown = renders.images(values, spp=size.plate_spp // 2, seed=9_000_003).mean(axis=1)[..., :3].astype(np.float64)
    n = len(middle)

    def error(theta: Array) -> float:
        said = theta.reshape(EXAMPLES, n)
        losses = _losses(renders, subject, middle, shown, said, np.arange(EXAMPLES), size.judge_spp, 9_000_004)
        return float(losses.mean())

    def boxes(points: Array, examples: NDArray[np.int64], seed: int) -> Array:
        return _losses(renders, subject, middle, shown, points, examples, size.spp, seed)

    return Learned(
        key,
        truths.ravel(),
        subject.sigma,
        subject.evaluations,
        error,
        torch.as_tensor(np.log1p(4.0 * shown).transpose(0, 3, 1, 2).astype(np.float32)),
        boxes,
        n,
        subject.about,
        size.name,
    )


def _losses(
    renders: Renders,
    subject: Subject,
    middle: Array,
    shown: Array,
    points: Array,
    examples: NDArray[np.int64],
    spp: int,
    seed: int,
) -> Array:
    """Squared errors of what was said against what was shown, over the latter's energy; halves as in `Loss`."""
    images = renders.images(middle + points * subject.scale, spp=spp // 2, seed=seed)[..., :3].astype(np.float64)
    error = images - shown[examples][:, None]
    return np.asarray((error[:, 0] * error[:, 1]).mean(axis=(1, 2, 3)) / (shown[examples] ** 2).mean(axis=(1, 2, 3)))
