"""Training of the error predictor on judged frames, and the fit of its corrections.

Source: Vogels et al. 2018, §5 (L1 loss; guiding metrics).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.denoise.error import Correction, save_error_bytes
from pipeline.denoise.network.error_predictor import METRICS, ErrorPredictor, error_preset
from pipeline.denoise.training import judged
from pipeline.errors import ConfigError

__all__ = ["calibration", "train_error"]

BATCH = 8
RATE = 1e-3
DECILES = 10


def train_error(
    learning: Sequence[Path],
    held_out: Sequence[Path],
    *,
    preset: str,
    denoiser: str,
    steps: int,
    out: Path,
    seed: int = 0,
    every: int = 500,
    say: Callable[[str], None] = print,
) -> Path:
    """Trains a predictor, fits its corrections on the held-out frames, and writes it with its card.

    Args:
        learning, held_out: files of judged frames.
        preset: of the denoiser.
        denoiser: fingerprint of the denoiser that made them.
        steps: of eight frames each.
        out: folder for `error-<preset>.safetensors` and its card.
        seed: of weights and draws.
        every: steps between two lines.
        say: told how far it is.

    Returns:
        the weights.

    Raises:
        ConfigError: there are no frames.
    """
    if not learning or not held_out:
        raise ConfigError("there are no judged frames to learn from, or none to validate on")
    began = time.monotonic()
    torch.manual_seed(seed)
    network = ErrorPredictor(error_preset(preset)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    scale = torch.tensor([_mean_errors(learning)], dtype=torch.float32).reshape(1, -1, 1, 1)
    bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    total, counted = 0.0, 0
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        inputs, errors = _batch(learning, seed, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            predicted = network(inputs)
        wanted = _cells(errors, network.preset.stride)
        loss = ((predicted - wanted).abs() / scale).mean()  # metrics of different sizes weigh alike
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        total, counted = total + float(loss.detach()), counted + 1
        if (step + 1) % every == 0 or step + 1 == steps:
            say(f"error {step + 1} of {steps}, {time.monotonic() - began:.0f} s  loss {total / counted:.4f}")
            total, counted = 0.0, 0
    network.eval()
    pairs = _pairs(network, held_out)
    corrections = {metric: Correction.fit(*pairs[metric]) for metric in METRICS}
    file = out / f"error-{preset}.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    _write(file, save_error_bytes(network, corrections, denoiser=denoiser))
    card = {
        "preset": preset,
        "denoiser": denoiser,
        "parameters": sum(p.numel() for p in network.parameters()),
        "frames": len(learning),
        "validation": len(held_out),
        "steps": steps,
        "seconds": round(time.monotonic() - began),
        "calibration": {metric: calibration(*pairs[metric], corrections[metric]) for metric in METRICS},
    }
    _write(file.with_suffix(".json"), json.dumps(card, indent=1).encode())
    return file


def calibration(
    predicted: NDArray[np.float32], true: NDArray[np.float32], correction: Correction
) -> dict[str, list[float]]:
    """Means per decile of the corrected prediction: what was predicted, and what was true."""
    corrected = correction(predicted)
    order = np.argsort(corrected, kind="stable")
    parts = np.array_split(order, DECILES)
    return {
        "predicted": [round(float(corrected[part].mean()), 6) for part in parts],
        "true": [round(float(true[part].mean()), 6) for part in parts],
    }


def _mean_errors(files: Sequence[Path]) -> list[float]:
    some = [judged.read(file).errors.astype(np.float32).mean(axis=(1, 2)) for file in files[:64]]
    return [max(float(value), 1e-6) for value in np.mean(some, axis=0)]


def _batch(files: Sequence[Path], seed: int, step: int) -> tuple[Tensor, Tensor]:
    """The frames of a step, each in a random orientation."""
    rng = np.random.default_rng((seed, step))
    inputs: list[NDArray[np.float32]] = []
    errors: list[NDArray[np.float32]] = []
    for k in rng.integers(len(files), size=BATCH):
        one = judged.read(files[k])
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        for into, planes in ((inputs, one.inputs), (errors, one.errors)):
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
    """What is predicted for every cell of the frames, uncorrected, and what is true."""
    predicted, true = [], []
    for file in files:
        one = judged.read(file)
        maps = network(torch.from_numpy(one.inputs.astype(np.float32))[None])[0]
        wanted = _cells(torch.from_numpy(one.errors.astype(np.float32))[None], network.preset.stride)[0]
        predicted.append(maps.flatten(1).numpy())
        true.append(wanted.flatten(1).numpy())
    stacked = [np.concatenate(each, axis=1) for each in (predicted, true)]
    return {metric: (stacked[0][k], stacked[1][k]) for k, metric in enumerate(METRICS)}


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(file.suffix + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, file)
