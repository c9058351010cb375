"""Training of the error predictor on judged frames, and the fit of its corrections; run again, it goes on.

A folder is the unit of work: `frames/` (judged frames, by denoiser), and for each predictor `<name>.config.json`,
`<name>.checkpoint.pt` (everything that is needed to go on), and at the end `<name>.safetensors` with its card
`<name>.json`. Every batch is a pure function of the seed and the step's number.

Source: Vogels et al. 2018, §5 (L1 loss; guiding metrics).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.config.sampling import METRICS
from pipeline.denoise import weights
from pipeline.denoise.calibration import Correction, deciles
from pipeline.denoise.error import save_error_bytes
from pipeline.denoise.network.error_predictor import ErrorPredictor, error_preset
from pipeline.denoise.training import judged
from pipeline.errors import ConfigError

__all__ = ["ErrorPlan", "train_error"]

LEAST_RATE = 0.02  # of the learning rate, at the end
CHECKPOINT_SECONDS = 120.0
SCALED_BY = 64  # frames whose mean errors say how much a metric weighs
LARGEST = 30.0
"""Errors above so many times their metric's mean are learnt as that: one firefly's MrSE would rule a step."""


@dataclass(frozen=True)
class ErrorPlan:
    """What is trained.

    Attributes:
        preset: of the denoiser.
        denoiser: fingerprint of the weights that made the frames.
        metrics: that are predicted: all by one trunk, or one.
        steps: of descent.
        batch: frames of a step.
        rate: learning rate of the first step.
        seed: of weights and draws.
    """

    preset: str
    denoiser: str
    metrics: tuple[str, ...] = METRICS
    steps: int = 6000
    batch: int = 8
    rate: float = 1e-3
    seed: int = 0

    @property
    def name(self) -> str:
        """Of the weights."""
        return weights.predictor(self.preset, self.metrics[0] if len(self.metrics) == 1 else None)


@dataclass
class _State:
    """Everything that changes while training."""

    network: ErrorPredictor
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # since the last line


def train_error(
    plan: ErrorPlan,
    learning: Sequence[Path],
    held_out: Sequence[Path],
    out: Path,
    *,
    every: int = 500,
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> Path | None:
    """Trains a predictor, or goes on; then fits its corrections on the held-out frames, and writes it with its card.

    Args:
        plan: what; must equal that of the folder, if there is one.
        learning, held_out: files of judged frames.
        out: folder for the predictor.
        every: steps between two lines.
        minutes: stop after so long, with a checkpoint.
        say: told how far it is.

    Returns:
        the weights; None where the time was up before.

    Raises:
        ConfigError: there are no frames, or the folder holds a training of another plan.
    """
    if not learning or not held_out:
        raise ConfigError("there are no judged frames to learn from, or none to validate on")
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    _open(plan, learning, out)
    state = _resumed(plan, out) or _begun(plan)
    scale = torch.tensor([_mean_errors(learning, plan.metrics)], dtype=torch.float32).reshape(1, -1, 1, 1)
    began = saved = time.monotonic()
    while state.step < plan.steps:
        state.losses.append(_step(plan, state, learning, scale))
        state.step += 1
        now = time.monotonic()
        if state.step % every == 0 or state.step == plan.steps:
            pace = (state.seconds + now - began) / state.step
            loss = sum(state.losses) / len(state.losses)
            say(f"{plan.name} {state.step} of {plan.steps}, {1000 * pace:.0f} ms a step  loss {loss:.4f}")
            state.losses.clear()
        if now - saved > CHECKPOINT_SECONDS or now > until or state.step == plan.steps:
            state.seconds += now - began
            began = saved = now
            _checkpoint(plan, state, out)
        if now > until and state.step < plan.steps:
            say(f"{plan.name} {state.step} of {plan.steps}: the time is up; run again to go on")
            return None
    return _finish(plan, state, learning, held_out, out)


def _step(plan: ErrorPlan, state: _State, learning: Sequence[Path], scale: Tensor) -> float:
    """One step of gradient descent; the loss."""
    share = 0.5 * (1 + math.cos(math.pi * state.step / plan.steps))
    state.optimiser.param_groups[0]["lr"] = plan.rate * (LEAST_RATE + (1 - LEAST_RATE) * share)
    inputs, errors = _batch(plan, learning, state.step)
    with torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())):
        predicted = state.network(inputs)
    wanted = torch.minimum(_cells(errors, state.network.preset.stride), LARGEST * scale)
    loss = ((predicted - wanted).abs() / scale).mean()  # metrics of different sizes weigh alike
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    if torch.isfinite(norm):
        state.optimiser.step()
    return float(loss.detach())


def _finish(plan: ErrorPlan, state: _State, learning: Sequence[Path], held_out: Sequence[Path], out: Path) -> Path:
    network = state.network.eval()
    pairs = _pairs(network, held_out)
    corrections = {metric: Correction.fit(*pairs[metric]) for metric in plan.metrics}
    corrected = {metric: (corrections[metric](predicted), true) for metric, (predicted, true) in pairs.items()}
    file = out / f"{plan.name}.safetensors"
    _write(file, save_error_bytes(network, corrections, denoiser=plan.denoiser))
    card = {
        **asdict(plan),
        "parameters": sum(p.numel() for p in network.parameters()),
        "frames": len(learning),
        "validation": len(held_out),
        "seconds": round(state.seconds),
        "seconds_per_step": round(state.seconds / max(plan.steps, 1), 4),
        "torch": torch.__version__,
        # Mean |predicted − true| over the mean error, of cells.
        "l1": {m: round(float(np.abs(p - t).mean() / max(t.mean(), 1e-9)), 5) for m, (p, t) in corrected.items()},
        "calibration": {m: asdict(deciles(p, t)) for m, (p, t) in corrected.items()},
    }
    _write(file.with_suffix(".json"), json.dumps(card, indent=1).encode())
    return file


# --- The folder -------------------------------------------------------------------------------------------------------


def _open(plan: ErrorPlan, learning: Sequence[Path], out: Path) -> None:
    """Makes the folder, or checks that it holds this plan."""
    out.mkdir(parents=True, exist_ok=True)
    names = hashlib.blake2b("\n".join(file.name for file in learning).encode(), digest_size=8).hexdigest()
    wanted = json.loads(json.dumps({**asdict(plan), "frames": names}))
    config = out / f"{plan.name}.config.json"
    if not config.exists():
        _write(config, json.dumps(wanted, indent=1).encode())
        return
    had = json.loads(config.read_text())
    changed = [key for key in wanted if had.get(key) != wanted[key]]
    if changed:
        raise ConfigError(
            f"{out} holds a training of {plan.name} with another {', '.join(changed)}",
            suggestion="another --out, or the same settings",
        )


def _begun(plan: ErrorPlan) -> _State:
    torch.manual_seed(plan.seed)
    network = ErrorPredictor(error_preset(plan.preset), plan.metrics)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _State(network, torch.optim.Adam(network.parameters(), lr=plan.rate))


def _resumed(plan: ErrorPlan, out: Path) -> _State | None:
    file = out / f"{plan.name}.checkpoint.pt"
    if not file.exists():
        return None
    kept: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    state = _begun(plan)
    state.network.load_state_dict(kept["network"])
    state.optimiser.load_state_dict(kept["optimiser"])
    state.step, state.seconds, state.losses = kept["step"], kept["seconds"], list(kept["losses"])
    return state


def _checkpoint(plan: ErrorPlan, state: _State, out: Path) -> None:
    temporary = out / f"{plan.name}.checkpoint.part"
    torch.save(
        {
            "network": state.network.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "step": state.step,
            "seconds": state.seconds,
            "losses": state.losses,
        },
        temporary,
    )
    os.replace(temporary, out / f"{plan.name}.checkpoint.pt")


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(file.suffix + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, file)


# --- Frames -----------------------------------------------------------------------------------------------------------


def _mean_errors(files: Sequence[Path], metrics: Sequence[str]) -> list[float]:
    some = [judged.read(file).errors.astype(np.float32).mean(axis=(1, 2)) for file in files[:SCALED_BY]]
    # The median over frames: a frame of fireflies says nothing about the others.
    means = np.median(some, axis=0)
    return [max(float(means[METRICS.index(metric)]), 1e-6) for metric in metrics]


def _batch(plan: ErrorPlan, files: Sequence[Path], step: int) -> tuple[Tensor, Tensor]:
    """The frames of a step, each in a random orientation."""
    rng = np.random.default_rng((plan.seed, step))
    chosen = [METRICS.index(metric) for metric in plan.metrics]
    inputs: list[NDArray[np.float32]] = []
    errors: list[NDArray[np.float32]] = []
    for k in rng.integers(len(files), size=plan.batch):
        one = judged.read(files[k])
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        for into, planes in ((inputs, one.inputs), (errors, one.errors[chosen])):
            turned = np.rot90(planes, turns, axes=(1, 2))
            into.append((turned[..., ::-1] if mirrored else turned).astype(np.float32))
    return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(errors))


def _cells(errors: Tensor, stride: int) -> Tensor:
    """Means over each cell's pixels."""
    return F.avg_pool2d(errors, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else errors


@torch.inference_mode()
def _pairs(
    network: ErrorPredictor, files: Sequence[Path]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """By metric: what is predicted for every cell of the frames, uncorrected, and what is true."""
    predicted, true = [], []
    chosen = [METRICS.index(metric) for metric in network.metrics]
    for file in files:
        one = judged.read(file)
        maps = network(torch.from_numpy(one.inputs.astype(np.float32))[None])[0]
        wanted = _cells(torch.from_numpy(one.errors[chosen].astype(np.float32))[None], network.preset.stride)[0]
        predicted.append(maps.flatten(1).numpy())
        true.append(wanted.flatten(1).numpy())
    stacked = [np.concatenate(each, axis=1) for each in (predicted, true)]
    return {metric: (stacked[0][k], stacked[1][k]) for k, metric in enumerate(network.metrics)}
