"""Training of the denoiser, stage by stage; run again, it goes on where it was.

A folder is the unit of work: `config.json`, `log.csv`, `checkpoint.pt` (everything that is needed to go on),
`best.safetensors` and `card.json` (the best weights of the last stage, by validation). Every batch is a pure function
of the seed and the step's number.

Source: Vogels et al. 2018, §6.2.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import os
import platform
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import preset
from pipeline.denoise.network.weights_file import load, save_bytes
from pipeline.denoise.training import sequences
from pipeline.denoise.training.batches import Batch, batches
from pipeline.denoise.training.generate import VALIDATION
from pipeline.denoise.training.stages import STAGES, Stage, forward, losses, random_lambda, trainable
from pipeline.denoise.training.validate import Score, validate, validation_batches
from pipeline.errors import ConfigError, StoreError

__all__ = ["Plan", "files_of", "train"]

CHECKPOINT_SECONDS = 300.0
OTHERS = 4
WARM_UP = 200  # steps
EMA_DECAY = 0.999
LEAST_RATE = 0.02  # of the learning rate, at the end of a stage


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        preset: size of the network.
        source: kind of data, and name of the encoder.
        others: kinds that are trained beside it, each with an encoder of its own, on a share of the steps.
        stages: names of `STAGES`, in order, with the number of steps of each.
        batch, patch: samples of a step; pixels of their sides.
        rate: learning rate of the first stage; later ones take half of it.
        radius: frames on either side.
        seed: of weights and of draws.
        every: steps between validations.
        validation: validation sequences at most.
        start: weights to begin with (a `.safetensors`), or None.
    """

    preset: str = "fast"
    source: str = "penumbra"
    others: tuple[str, ...] = ()
    stages: Mapping[str, int] = field(default_factory=lambda: {"single": 30_000, "temporal": 10_000, "lambda": 5_000})
    batch: int = 4
    patch: int = 96
    rate: float = 1e-3
    radius: int = 1
    seed: int = 0
    every: int = 1000
    validation: int = 24
    start: str | None = None

    def source_of(self, step: int) -> str:
        """The kind of data that a step learns from: every `OTHERS`th has its turn of the others."""
        if not self.others or step % OTHERS:
            return self.source
        return self.others[step // OTHERS % len(self.others)]


@dataclass
class _State:
    """Everything that changes while training."""

    network: KernelPredictor
    average: KernelPredictor  # exponential moving average: what is validated and shipped
    optimiser: torch.optim.Optimizer
    stage: int
    step: int  # of the stage
    best: float
    seconds: float


def train(
    plan: Plan,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    say: Callable[[str], None] = print,
    minutes: float | None = None,
) -> Path:
    """Trains, or goes on training.

    Args:
        plan: what; must equal that of the folder, if there is one.
        data: folder of `sequence-v1` files.
        out: the training's own folder.
        device: `cpu` or `cuda`.
        say: told a line at every validation.
        minutes: stop after so long, with a checkpoint; None: when the plan is done.

    Returns:
        the best weights.

    Raises:
        ConfigError: the data are missing, or the folder holds a training of another plan.
        StoreError: the folder cannot be written.
    """
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    learning, held_out = files_of(data)
    held_out = held_out[: plan.validation]
    _open(out, plan)
    state = _resume(out, plan, device) or _begin(plan, device)
    checks = validation_batches(held_out, radius=plan.radius, source_name=plan.source)
    checks = [(spp, _moved(batch, device)) for spp, batch in checks]
    interrupted = _Interrupted()
    names = list(plan.stages)
    with interrupted:
        while state.stage < len(names):
            stage = STAGES[names[state.stage]]
            ended = _stage(plan, stage, state, learning, checks, out, until, interrupted, device, say)
            _checkpoint(out, state)
            if not ended:
                break
            if state.stage + 1 == len(names):
                state.stage += 1
                _checkpoint(out, state)
                break
            # The next stage begins from the best of this one.
            best = load(out / "best.safetensors")
            state.network.load_state_dict(best.state_dict())
            state = _next(plan, state, device)
    if not (out / "best.safetensors").exists():  # stopped before the first validation
        _write(out / "best.safetensors", save_bytes(state.average, half=False, stage=names[state.stage]))
    _write(out / "card.json", _card(plan, state, data, learning, held_out, checks, out))
    return out / "best.safetensors"


def _stage(
    plan: Plan,
    stage: Stage,
    state: _State,
    learning: list[Path],
    checks: list[tuple[int, Batch]],
    out: Path,
    until: float,
    interrupted: _Interrupted,
    device: str,
    say: Callable[[str], None],
) -> bool:
    """Runs a stage from where it is. Returns whether it came to its end."""
    steps = plan.stages[stage.name]
    began, saved = time.monotonic(), time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    for batch in batches(
        learning,
        seed=plan.seed + 1000 * state.stage,
        first=state.step,
        last=steps,
        count=plan.batch,
        size=plan.patch,
        radius=plan.radius if stage.temporal else 0,
        source_of=plan.source_of,
    ):
        found = _step(plan, stage, state, _moved(batch, device), steps)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + value
        counted += 1
        state.step += 1
        now = time.monotonic()
        if state.step % plan.every == 0 or state.step == steps:
            state.seconds += now - began
            began = now
            score = validate(state.average, checks, temporal=stage.temporal)
            line = {"stage": stage.name, "step": state.step, "seconds": round(state.seconds)}
            line |= {f"loss_{name}": value / counted for name, value in sums.items() if name != "albedo"}
            line |= {f"smape_{spp}": value for spp, value in score.smape.items()}
            _log(out / "log.csv", line)
            if score.value <= state.best:  # λ does not change the neutral picture: there the last weights are the best
                state.best = score.value
                _write(out / "best.safetensors", save_bytes(state.average, half=False, stage=stage.name))
            say(_told(line, score))
            sums, counted = {}, 0
        if now - saved > CHECKPOINT_SECONDS:
            _checkpoint(out, state)
            saved = now
        if now > until or interrupted.asked:
            state.seconds += time.monotonic() - began
            return False
    return True


def _step(plan: Plan, stage: Stage, state: _State, batch: Batch, steps: int) -> dict[str, float]:
    """One step of gradient descent; the losses."""
    for group in state.optimiser.param_groups:
        group["lr"] = plan.rate * (1.0 if state.stage == 0 else 0.5) * _schedule(state.step, steps)
    lambda_: Tensor | float = 1.0
    if stage.asymmetric:
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + state.step)
        lambda_ = random_lambda(batch, batch.colour.shape[0], generator).to(batch.colour.device)
    denoised = forward(state.network, batch, temporal=stage.temporal, lambda_=lambda_)
    found = losses(batch, denoised, lambda_)
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(found["total"])
    parameters = [p for group in state.optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    if torch.isfinite(norm):  # a step that overflowed teaches nothing
        state.optimiser.step()
    decay = min(EMA_DECAY, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, new in zip(state.average.parameters(), state.network.parameters(), strict=True):
            if new.requires_grad:
                mean.lerp_(new, 1 - decay)
    return {name: float(value.detach()) for name, value in found.items()}


def _schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine to `LEAST_RATE`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1))))


# --- Beginnings ---------------------------------------------------------------------------------------------------


def files_of(data: Path) -> tuple[list[Path], list[Path]]:
    """Sequences to learn from, and to validate on.

    Raises:
        ConfigError: there are none of one of them.
    """
    files = sequences.listing(data)
    learning = [file for file in files if _seed(file) < VALIDATION]
    held_out = [file for file in files if _seed(file) >= VALIDATION]
    if not learning or not held_out:
        what = "sequences to learn from" if not learning else f"validation sequences (seed {VALIDATION} and above)"
        raise ConfigError(f"{data}: there are no {what}", suggestion="pipeline train data")
    return learning, held_out


def _seed(file: Path) -> int:
    return int("".join(c for c in file.stem if c.isdigit()))


def _open(out: Path, plan: Plan) -> None:
    """Makes the folder, or checks that it holds this plan."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out}: {error.strerror}") from error
    config = out / "config.json"
    wanted = json.loads(json.dumps(asdict(plan)))
    if config.exists():
        had = json.loads(config.read_text())
        changed = [key for key in wanted if had.get(key) != wanted[key]]
        if changed:
            raise ConfigError(
                f"{out} holds a training with another {', '.join(changed)}",
                suggestion="another --out, or the same settings",
            )
    else:
        _write(config, json.dumps(wanted, indent=1).encode())


def _begin(plan: Plan, device: str) -> _State:
    torch.manual_seed(plan.seed)
    sources = dict.fromkeys((plan.source, *plan.others))
    if plan.start is not None:
        given = load(Path(plan.start))
        if given.preset.name != plan.preset:
            raise ConfigError(f"{plan.start}: weights of the preset {given.preset.name}, not {plan.preset}")
        network = KernelPredictor(preset(plan.preset), {**dict.fromkeys(given.encoders), **sources})
        missing = network.load_state_dict(given.state_dict(), strict=False).missing_keys
        if any(not name.startswith("encoders.") for name in missing):
            raise ConfigError(f"{plan.start}: layers are missing")
    else:
        network = KernelPredictor(preset(plan.preset), sources)
    return _state(plan, network, 0, device)


def _state(plan: Plan, network: KernelPredictor, stage: int, device: str) -> _State:
    network = network.to(device).train()
    if device == "cpu":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    name = list(plan.stages)[min(stage, len(plan.stages) - 1)]
    parameters = trainable(network, STAGES[name], (plan.source, *plan.others))
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return _State(network, average, torch.optim.Adam(parameters, lr=plan.rate), stage, 0, math.inf, 0.0)


def _next(plan: Plan, state: _State, device: str) -> _State:
    new = _state(plan, state.network, state.stage + 1, device)
    new.seconds = state.seconds
    return new


# --- The folder ---------------------------------------------------------------------------------------------------


def _resume(out: Path, plan: Plan, device: str) -> _State | None:
    file = out / "checkpoint.pt"
    if not file.exists():
        return None
    kept = torch.load(file, map_location=device, weights_only=True)
    network = KernelPredictor(preset(plan.preset), kept["sources"])
    network.load_state_dict(kept["network"])
    state = _state(plan, network, kept["stage"], device)
    state.average.load_state_dict(kept["average"])
    state.optimiser.load_state_dict(kept["optimiser"])
    state.step, state.best, state.seconds = kept["step"], kept["best"], kept["seconds"]
    return state


def _checkpoint(out: Path, state: _State) -> None:
    temporary = out / "checkpoint.part"
    torch.save(
        {
            "sources": list(state.network.encoders),
            "network": state.network.state_dict(),
            "average": state.average.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "stage": state.stage,
            "step": state.step,
            "best": state.best,
            "seconds": state.seconds,
        },
        temporary,
    )
    os.replace(temporary, out / "checkpoint.pt")


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(file.suffix + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, file)


def _log(file: Path, line: Mapping[str, Any]) -> None:
    fresh = not file.exists()
    with file.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(line))
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.5f}" if isinstance(v, float) else v for k, v in line.items()})


def _told(line: Mapping[str, Any], score: Score) -> str:
    parts = [f"{spp} spp {score.smape[spp]:.4f} (noisy {score.noisy[spp]:.3f})" for spp in score.smape]
    return (
        f"{line['stage']} {line['step']} {line['seconds']} s  loss {line['loss_total']:.4f}  SMAPE {', '.join(parts)}"
    )


def _card(
    plan: Plan,
    state: _State,
    data: Path,
    learning: list[Path],
    held_out: list[Path],
    checks: list[tuple[int, Batch]],
    out: Path,
) -> bytes:
    """The model card: JSON."""
    best = load(out / "best.safetensors").to(next(state.network.parameters()).device)
    last = STAGES[list(plan.stages)[min(state.stage, len(plan.stages) - 1)]]
    score = validate(best, checks, temporal=last.temporal)
    return json.dumps(
        {
            "preset": plan.preset,
            "parameters": sum(p.numel() for p in best.parameters()),
            "sources": list(best.encoders),
            "data": {
                "fingerprint": sequences.fingerprint(data),
                "sequences": len(learning),
                "validation": len(held_out),
            },
            "plan": {**asdict(plan), "start": None if plan.start is None else _digest(Path(plan.start))},
            "reached": {"stage": last.name, "step": state.step, "complete": state.stage >= len(plan.stages)},
            "seconds": round(state.seconds),
            "machine": {"cores": os.cpu_count(), "system": platform.machine(), "torch": torch.__version__},
            "validation": {
                "smape": {str(spp): round(value, 5) for spp, value in score.smape.items()},
                "noisy": {str(spp): round(value, 5) for spp, value in score.noisy.items()},
            },
        },
        indent=1,
    ).encode()


def _digest(file: Path) -> str:
    """What tells a file's content from all others."""
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def _moved(batch: Batch, device: str) -> Batch:
    if device == "cpu":
        return batch

    def to(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        return [to(each) for each in value] if isinstance(value, list) else value

    return Batch(**{name: to(value) for name, value in vars(batch).items()})


class _Interrupted:
    """Ctrl-C and SIGTERM end the training after the step that is under way, with a checkpoint."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *error: object) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)

    def _ask(self, *args: object) -> None:
        self.asked = True
