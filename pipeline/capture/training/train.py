"""Training of g_ω and h_θ, stage by stage; run again, it goes on where it was.

A folder is the unit of work: `config.json`, `log.csv`, `checkpoint.pt` (everything that is needed to go on),
`best.safetensors` and `card.json` (the best weights of the last stage, by validation). Every batch is a pure function
of the seed, the stage and the step's number.

Stages: `initialiser` trains g_ω alone; `joint` trains g_ω and T steps of h_θ together, on the loss of both estimates,
as the paper's code does (§3.3). The gradient that h_θ reads is detached; through R_t and the memories training sees all
T steps.

Source: Luo et al. 2024, §3.3.
"""

from __future__ import annotations

import copy
import csv
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

from pipeline.capture.flash import photograph
from pipeline.capture.loss import MAP_WEIGHT, map_loss, rendering_loss
from pipeline.capture.maps import Maps
from pipeline.capture.materials.generate import LEARNT
from pipeline.capture.network.model import STEPS, Capturer
from pipeline.capture.network.presets import preset
from pipeline.capture.network.weights_file import load, save_bytes
from pipeline.capture.training.crew import materials
from pipeline.capture.training.validate import Score, check, validate
from pipeline.errors import ConfigError, StoreError

__all__ = ["STAGES", "Plan", "train"]

STAGES = ("initialiser", "joint")

CHECKPOINT_SECONDS = 300.0
WARM_UP = 200  # steps
EMA_DECAY = 0.999
LEAST_RATE = 0.02  # of the learning rate, at the end of a stage
LATER_RATE = 0.5  # of the learning rate, in stages after the first


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        preset: size of the networks.
        photographs: N that they take.
        gradients: whether h_θ sees the gradient of the likelihood.
        iterations: T.
        stages: names of `STAGES`, in order, with the number of steps of each.
        batch: materials of a step.
        size: texels of their sides.
        rate: learning rate of the first stage (Adam).
        seed: of weights and of draws; below 2³⁰.
        every: steps between validations.
        validation: materials that validate.
        start: weights to begin with (a `.safetensors`), or None.
    """

    preset: str = "small"
    photographs: int = 1
    gradients: bool = True
    iterations: int = STEPS
    stages: Mapping[str, int] = field(default_factory=lambda: {"initialiser": 8_000, "joint": 6_000})
    batch: int = 4
    size: int = 128
    rate: float = 1e-3
    seed: int = 0
    every: int = 250
    validation: int = 16
    start: str | None = None


@dataclass
class _State:
    """Everything that changes while training."""

    network: Capturer
    average: Capturer  # exponential moving average: what is validated and shipped
    optimiser: torch.optim.Optimizer
    stage: int
    step: int  # of the stage
    best: float
    seconds: float


@dataclass(frozen=True)
class _Run:
    """What stays the same: the plan, its folder, the checks, and when to stop."""

    plan: Plan
    out: Path
    checks: tuple[Any, ...]
    device: str
    processes: int
    say: Callable[[str], None]
    stopped: Callable[[], bool]


def train(
    plan: Plan,
    out: Path,
    *,
    device: str = "cpu",
    processes: int = 1,
    say: Callable[[str], None] = print,
    minutes: float | None = None,
) -> Path:
    """Trains, or goes on training.

    Args:
        plan: what; must equal that of the folder, if there is one.
        out: the training's own folder.
        device: `cpu` or `cuda`.
        processes: that make materials, beside this one; 0 makes them here.
        say: told a line at every validation.
        minutes: stop after so long, with a checkpoint; None: when the plan is done.

    Returns:
        the best weights.

    Raises:
        ConfigError: the folder holds a training of another plan, or the start is of another network.
        StoreError: the folder cannot be written.
    """
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    _open(out, plan)
    state = _resume(out, plan, device) or _begin(plan, device)
    names = list(plan.stages)
    with _Interrupted() as interrupted:
        run = _Run(
            plan=plan,
            out=out,
            checks=tuple(each.to(device) for each in check(plan.validation, plan.size, plan.photographs)),
            device=device,
            processes=processes,
            say=say,
            stopped=lambda: interrupted.asked or time.monotonic() > until,
        )
        while state.stage < len(names):
            ended = _stage(run, state)
            if ended and state.stage + 1 < len(names):
                state = _next(run, state)
            elif ended:
                state.stage += 1
            _checkpoint(out, state)
            if not ended:
                break
    if not (out / "best.safetensors").exists():  # stopped before the first validation
        _write(out / "best.safetensors", save_bytes(state.average))
    _write(out / "card.json", _card(run, state))
    return out / "best.safetensors"


def _stage(run: _Run, state: _State) -> bool:
    """Runs a stage from where it is. Returns whether it came to its end."""
    plan, name = run.plan, list(run.plan.stages)[state.stage]
    steps = plan.stages[name]
    began = saved = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    made = materials(
        plan.seed * len(STAGES) + STAGES.index(name),
        first=state.step,
        last=steps,
        count=plan.batch,
        size=plan.size,
        processes=run.processes,
    )
    try:
        for truth in made:
            for key, value in _step(run, state, truth.to(run.device), name, steps).items():
                sums[key] = sums.get(key, 0.0) + value
            counted += 1
            state.step += 1
            now = time.monotonic()
            if state.step % plan.every == 0 or state.step == steps:
                state.seconds += now - began
                began = now
                _validate(run, state, name, {key: value / counted for key, value in sums.items()})
                sums, counted = {}, 0
            if now - saved > CHECKPOINT_SECONDS:
                _checkpoint(run.out, state)
                saved = now
            if run.stopped():
                state.seconds += time.monotonic() - began
                return state.step == steps
    finally:
        made.close()  # type: ignore[attr-defined]
    return True


def _step(run: _Run, state: _State, truth: Maps, name: str, steps: int) -> dict[str, float]:
    """One step of gradient descent; the losses."""
    plan = run.plan
    share = (1.0 if state.stage == 0 else LATER_RATE) * _schedule(state.step, steps)
    for group in state.optimiser.param_groups:
        group["lr"] = plan.rate * share
    generator = torch.Generator().manual_seed((plan.seed * len(STAGES) + STAGES.index(name)) << 30 | state.step)
    photographs = photograph(truth, generator, count=plan.photographs)
    first = state.network.begin(photographs)
    found = {"first": rendering_loss(first, truth, generator), "maps": map_loss(first, truth)}
    if name == "joint":
        last = state.network.refine(first, photographs, steps=plan.iterations)
        found["last"] = rendering_loss(last, truth, generator)
        found["maps"] = found["maps"] + map_loss(last, truth)
    total: Tensor = found["first"] + found.get("last", torch.zeros(())) + MAP_WEIGHT * found["maps"]
    state.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    if torch.isfinite(norm):  # a step that overflowed teaches nothing
        state.optimiser.step()
    decay = min(EMA_DECAY, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for mean, new in zip(state.average.parameters(), state.network.parameters(), strict=True):
            mean.lerp_(new, 1 - decay)
    return {key: float(value.detach()) for key, value in found.items()}


def _schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine to `LEAST_RATE`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1))))


def _score(run: _Run, network: Capturer, name: str) -> Score:
    return validate(network, *run.checks, steps=run.plan.iterations if name == "joint" else 0)


def _validate(run: _Run, state: _State, name: str, losses: Mapping[str, float]) -> None:
    """Scores the averaged weights, logs and tells, and keeps them if they are the best of this stage."""
    score = _score(run, state.average, name)
    line: dict[str, Any] = {"stage": name, "step": state.step, "seconds": round(state.seconds)}
    line |= {f"loss_{key}": losses.get(key, math.nan) for key in ("first", "last", "maps")}
    line |= {"rmse_first": score.first, "rmse_last": score.last}
    _log(run.out / "log.csv", line)
    if score.last <= state.best:
        state.best = score.last
        _write(run.out / "best.safetensors", save_bytes(state.average, stage=name))
    run.say(
        f"{name} {state.step} {line['seconds']} s  loss {losses['first']:.4f} → {losses.get('last', math.nan):.4f}"
        f"  re-render RMSE {score.first:.4f} → {score.last:.4f}"
    )


# --- Beginnings ---------------------------------------------------------------------------------------------------


def _open(out: Path, plan: Plan) -> None:
    """Makes the folder, or checks that it holds this plan."""
    unknown = [name for name in plan.stages if name not in STAGES]
    if unknown or not plan.stages:
        raise ConfigError(f"unknown stage {', '.join(unknown)}", suggestion=f"of {', '.join(STAGES)}")
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
    network = Capturer(preset(plan.preset), photographs=plan.photographs, gradients=plan.gradients)
    if plan.start is not None:
        given = load(Path(plan.start))
        same = given.photographs == plan.photographs and given.preset.name == plan.preset
        if not same or given.gradients != plan.gradients:
            raise ConfigError(f"{plan.start}: weights of another network", suggestion=f"the preset {given.preset.name}")
        network.load_state_dict(given.state_dict())
    return _state(plan, network, 0, device)


def _state(plan: Plan, network: Capturer, stage: int, device: str) -> _State:
    network = network.to(device).train().requires_grad_(True)
    if device == "cpu":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return _State(network, average, torch.optim.Adam(network.parameters(), lr=plan.rate), stage, 0, math.inf, 0.0)


def _next(run: _Run, state: _State) -> _State:
    """The next stage begins from the best of this one."""
    best = load(run.out / "best.safetensors")
    new = _state(run.plan, best, state.stage + 1, run.device)
    new.seconds = state.seconds
    return new


# --- The folder ---------------------------------------------------------------------------------------------------


def _resume(out: Path, plan: Plan, device: str) -> _State | None:
    file = out / "checkpoint.pt"
    if not file.exists():
        return None
    kept = torch.load(file, map_location=device, weights_only=True)
    network = Capturer(preset(plan.preset), photographs=plan.photographs, gradients=plan.gradients)
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


def _card(run: _Run, state: _State) -> bytes:
    """The model card: JSON."""
    plan = run.plan
    best = load(run.out / "best.safetensors").to(run.device)
    names = list(plan.stages)
    name = names[min(state.stage, len(names) - 1)]
    score = _score(run, best, name)
    return json.dumps(
        {
            "preset": plan.preset,
            "photographs": plan.photographs,
            "parameters": {
                part: sum(p.numel() for p in getattr(best, part).parameters()) for part in ("initialiser", "refiner")
            },
            "data": {"materials": "procedural, made while training", "families": list(LEARNT)},
            "plan": {**asdict(plan), "start": None if plan.start is None else Path(plan.start).name},
            "reached": {"stage": name, "step": state.step, "complete": state.stage >= len(names)},
            "seconds": round(state.seconds),
            "machine": {"cores": os.cpu_count(), "system": platform.machine(), "torch": torch.__version__},
            "validation": {"rmse_first": round(score.first, 5), "rmse_last": round(score.last, 5)},
        },
        indent=1,
    ).encode()


class _Interrupted:
    """Ctrl-C and SIGTERM end the training after the step that is under way, with a checkpoint."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Interrupted:
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)

    def _ask(self, *args: object) -> None:
        self.asked = True
