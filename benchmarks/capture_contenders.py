"""Ways to maps: the method, its ablations, and its rivals. Each takes photographs and gives unknowns."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.capture.descent import PLAIN_STEPS, descend
from pipeline.capture.likelihood import Photographs, reconstruction_loss
from pipeline.capture.maps import CHANNELS
from pipeline.capture.network.initialiser import first_guess
from pipeline.capture.network.model import STEPS, Capturer

__all__ = ["Contender", "begun", "constant", "fine_tuned", "network", "plain", "rates"]

TUNING_STEPS, TUNING_RATE = 60, 3e-5
"""Of test-time fine-tuning (equation 6)."""

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Of plain descent, that were tried."""


@dataclass(frozen=True)
class Contender:
    """A way to maps.

    Attributes:
        name: for tables.
        key: another one when anything about it changes.
        make: photographs of one material → 1×9×H×W.
    """

    name: str
    key: str
    make: Callable[[Photographs], Tensor]


def network(name: str, model: Capturer, *, steps: int = STEPS) -> Contender:
    """g_ω and so many steps of h_θ."""

    @torch.no_grad()
    def make(photographs: Photographs) -> Tensor:
        found: Tensor = model(photographs, steps=steps)[1]
        return found

    return Contender(name, f"network-{_digest(model)}-{steps}", make)


def begun(name: str, model: Capturer) -> Contender:
    """R_0 of g_ω."""
    return network(name, model, steps=0)


def constant() -> Contender:
    """The photograph's median as an even, flat, half rough dielectric."""

    def make(photographs: Photographs) -> Tensor:
        guess = first_guess(photographs)
        return guess.flatten(2).median(-1).values.reshape(1, CHANNELS, 1, 1).expand_as(guess).clone()

    return Contender("constant maps", "constant", make)


def plain(*, steps: int = PLAIN_STEPS, rate: float = 0.05) -> Contender:
    """Gradient descent on the maps (equation 3), by Adam, without a prior."""

    def make(photographs: Photographs) -> Tensor:
        return descend(first_guess(photographs), photographs, steps=steps, rate=rate)

    return Contender("plain descent", f"plain-{steps}-{rate:g}", make)


def rates(steps: int) -> dict[float, Contender]:
    """Plain descent at every rate that was tried."""
    return {rate: plain(steps=steps, rate=rate) for rate in RATES}


def fine_tuned(model: Capturer, *, steps: int = TUNING_STEPS, rate: float = TUNING_RATE) -> Contender:
    """g_ω whose weights descend on the photograph at hand (equation 6)."""

    def make(photographs: Photographs) -> Tensor:
        tuned = copy.deepcopy(model)
        tuned.initialiser.requires_grad_(True)
        optimiser = torch.optim.Adam(tuned.initialiser.parameters(), lr=rate)
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            loss = reconstruction_loss(tuned.begin(photographs), photographs).mean()
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            return tuned.begin(photographs)

    return Contender("g_ω, fine-tuned", f"tuned-{_digest(model)}-{steps}-{rate:g}", make)


def _digest(model: Capturer) -> str:
    """Of its parameters."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
