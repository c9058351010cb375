"""The networks of the capture's ablations, all by one recipe, and their training.

`full` is the method; the others differ from it in one thing each. Steps are the same in all: `initialiser` spends those
of the joint stage on g_ω too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.capture import weights
from pipeline.capture.network.model import Capturer
from pipeline.capture.network.weights_file import load
from pipeline.capture.training.train import Plan, train

__all__ = ["MODELS", "STEPS", "TIMES", "Recipe", "shipped", "train_all", "trained"]

STEPS = {"initialiser": 3000, "joint": 2500}
TIMES = (2, 4, 8, 10)
"""T of the models of Figure 3 beside 6."""


@dataclass(frozen=True)
class Recipe:
    """Sizes of every training.

    Attributes:
        preset: of the networks.
        steps: of the stages.
        size: texels of a material's side.
    """

    preset: str = "small"
    steps: Mapping[str, int] | None = None
    size: int = 128

    def plan(self, name: str) -> Plan:
        """What is trained under a name of `MODELS`."""
        steps = dict(self.steps or STEPS)
        changes = MODELS[name]
        if name == "initialiser":
            steps = {"initialiser": sum(steps.values())}
        return Plan(preset=self.preset, stages=steps, size=self.size, **changes)  # type: ignore[arg-type]


MODELS: dict[str, dict[str, object]] = {
    "full": {},
    "initialiser": {},
    "no-gradient": {"gradients": False},
    "five": {"photographs": 5},
    **{f"T{count}": {"iterations": count} for count in TIMES},
}
"""Name → what differs from the method, in the order in which they are trained."""


def train_all(recipe: Recipe, out: Path, *, minutes: float | None, device: str, say: Callable[[str], None]) -> None:
    """Trains one after the other, until the time is up; run again, it goes on."""
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    for name in MODELS:
        if trained(name, out) is not None:
            continue
        left = (until - time.monotonic()) / 60
        if left <= 0:
            return
        say(f"training {name}")
        train(recipe.plan(name), out / name, device=device, say=say, minutes=None if math.isinf(left) else left)


def trained(name: str, out: Path) -> Capturer | None:
    """A network whose training has ended."""
    card = out / name / "card.json"
    if not card.exists() or not json.loads(card.read_text())["reached"]["complete"]:
        return None
    return load(out / name / "best.safetensors")


def shipped(preset: str, photographs: int = 1) -> Capturer | None:
    """The network that `pipeline capture` uses, if there is one."""
    name = weights.name_of(preset, photographs)
    return load(weights.path(name)) if name in weights.shipped() else None
