"""The small recipe that every network of the ablations is trained by, each training in a folder named by its settings.

A folder holds `settings.json`, while it is trained `checkpoint.pt`, and in the end `trained.pt`: the weights that were
best on the sequences for checking, and the curve. Run again, a training goes on; every batch is a pure function of the
settings and the step's number. The sequences are those of the first run: data that grow meanwhile change nothing.

Source: Vogels et al. 2018, §6.2.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.ablation_networks import Design, build
from benchmarks.ablation_sources import LOOKS, seen
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.sources import IRRADIANCE, SPECULAR
from pipeline.denoise.training import sequences
from pipeline.denoise.training.batches import Batch, batch_of, training_samples
from pipeline.denoise.training.generate import VALIDATION
from pipeline.denoise.training.patches import Crop, Sample, assemble, rng_of
from pipeline.denoise.training.stages import Stage, forward, losses, trainable
from pipeline.errors import ConfigError

__all__ = ["Corpus", "Recipe", "Training", "pinned", "run", "trained", "whole_frame"]

CHECKPOINT_SECONDS = 180.0
WARM_UP = 200  # steps
EMA_DECAY = 0.995
LEAST_RATE = 0.02  # of the learning rate, at the end
AHEAD = 3  # batches

COMPONENTS = (IRRADIANCE, SPECULAR)
"""What is learnt and judged; the albedo, nearly clean, is left out."""

EVERYTHING = ("encoders.", "extractor.", "centre_heads.")
COMBINING = ("temporal.", "centre_heads.", "neighbour_heads.")
COMPOSING = ("compositing.",)
ENCODING = ("encoders.",)
NOTHING: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What all trainings have in common.

    Attributes:
        patch, batch: pixels of a sample's side; samples of a step.
        rate: learning rate at first; a cosine takes it down.
        every: steps between points of the curve.
        check_spp: samples per pixel at these points.
    """

    patch: int = 96
    batch: int = 2
    rate: float = 1e-3
    every: int = 250
    check_spp: int = 16


@dataclass(frozen=True)
class Training:
    """One training; a pure description.

    Attributes:
        design: of the network.
        seed: of weights and draws.
        steps: 0: the weights of `start`, as they are.
        trains: prefixes of the parameters that are trained, the others are locked.
        neighbours: distances of the frames beside the centre; not empty: of the long sequences.
        looks: of the data, in turns, each with the encoder that it goes through.
        sequences: how many are learnt from; None: all.
        start: the training whose weights are the first ones, as far as they fit.
    """

    design: Design
    recipe: Recipe
    seed: int
    steps: int
    trains: tuple[str, ...] = EVERYTHING
    neighbours: tuple[int, ...] = ()
    looks: tuple[tuple[str, str], ...] = (("penumbra", "penumbra"),)
    sequences: int | None = None
    start: Training | None = None

    @property
    def long(self) -> bool:
        """Whether it learns from the long sequences."""
        return bool(self.neighbours)

    @cached_property
    def key(self) -> str:
        """Of its folder: a hash of all settings, those of `start` included."""
        settings = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(settings.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Sequences of one length.

    Attributes:
        learning: seeds below `VALIDATION`.
        checking: a few held out, to draw curves and to choose the best weights.
        judged: the other ones held out.
    """

    learning: tuple[Path, ...]
    checking: tuple[Path, ...]
    judged: tuple[Path, ...]


def pinned(data: Path, out: Path, name: str, *, radius: int, checks: int = 4, judged: int = 24) -> Corpus:
    """The sequences of a folder as they were at the first run, remembered in `out`.

    Args:
        data: folder of `sequence-v1` files.
        out: of the ablations.
        name: under which they are remembered.
        radius: frames on either side that they must have.
        checks, judged: sequences held out, at most.

    Raises:
        ConfigError: there are too few, they are too short, or some of the first run are gone.
    """
    file = out / f"{name}.json"
    if file.exists():
        names: list[str] = json.loads(file.read_text())
        missing = [each for each in names if not (data / each).exists()]
        if missing:
            raise ConfigError(f"{data}: {missing[0]} is gone, which {out} was begun with", suggestion="another --out")
    else:
        names = [path.name for path in sequences.listing(data)]
    held_out = [each for each in names if _seed(each) >= VALIDATION]
    learning = [each for each in names if _seed(each) < VALIDATION]
    checking, rest = held_out[:checks], held_out[checks : checks + judged]
    if not learning or not rest:
        raise ConfigError(
            f"{data}: {len(learning)} sequences to learn from, {len(held_out)} held out; it takes 1 and {checks + 1}",
            suggestion="pipeline train data, with and without --validation",
        )
    if (found := sequences.read(data / names[0]).radius) < radius:
        raise ConfigError(f"{data}: {found} frames on either side, not {radius}")
    if not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        _write(file, json.dumps(names).encode())
    return Corpus(*(tuple(data / each for each in part) for part in (learning, checking, rest)))


def _seed(name: str) -> int:
    return int("".join(c for c in Path(name).stem if c.isdigit()))


# --- Batches ------------------------------------------------------------------------------------------------------


def stacked(samples: Sequence[Sample], look: str, encoder: str, neighbours: Sequence[int]) -> Batch:
    """Samples in a look, with the centre and the named neighbours, going through an encoder."""
    batch = batch_of([seen(sample, LOOKS[look]) for sample in samples], COMPONENTS)
    kept = [k for k, distance in enumerate(batch.distances) if distance in neighbours]
    frames = [0, *(k + 1 for k in kept)]
    return replace(
        batch,
        source=encoder,
        inputs=[batch.inputs[frame] for frame in frames],
        colour=batch.colour[:, frames],
        offsets=[batch.offsets[k] for k in kept],
        valid=[batch.valid[k] for k in kept],
        distances=[batch.distances[k] for k in kept],
    )


def whole_frame(
    path: Path, spp: int, *, look: str = "penumbra", encoder: str = "penumbra", neighbours: Sequence[int] = ()
) -> Batch:
    """The centre of a sequence, always with the same samples."""
    sequence = sequences.read(path)
    radius = max((abs(distance) for distance in neighbours), default=0)
    # One number of frames for all, so that the centre's samples do not depend on the window.
    crop = Crop(0, 0, min(sequence.shape))
    sample = assemble(sequence, rng_of(0, 0, _seed(path.name)), crop, spp=spp)
    window = {k: frame for k, frame in sample.window.items() if abs(k) <= radius}
    return stacked([replace(sample, window=window)], look, encoder, neighbours)


def _batch(training: Training, files: Sequence[Path], step: int) -> Batch:
    """Of one step."""
    recipe = training.recipe
    radius = max((abs(distance) for distance in training.neighbours), default=0)
    samples = training_samples(
        files, seed=training.seed, step=step, count=recipe.batch, size=recipe.patch, radius=radius
    )
    look, encoder = training.looks[step % len(training.looks)]
    return stacked(samples, look, encoder, training.neighbours)


def _batches(training: Training, files: Sequence[Path], first: int) -> Iterator[Batch]:
    """Those of all steps from `first` on, made ahead by a thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
        ahead: deque[Future[Batch]] = deque()
        try:
            for step in range(first, training.steps):
                ahead.append(maker.submit(_batch, training, files, step))
                if len(ahead) > AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


# --- Training -----------------------------------------------------------------------------------------------------


@dataclass
class _State:
    """Everything that changes while training."""

    network: KernelPredictor
    average: KernelPredictor  # exponential moving average: what is checked and judged
    optimiser: torch.optim.Optimizer | None
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # weights


def run(
    training: Training, corpus: Corpus, out: Path, *, until: float = math.inf, say: Callable[[str], None] = print
) -> bool:
    """Trains, or goes on training. The training that it starts from must have ended.

    Args:
        training: what.
        corpus: of the length that it needs.
        out: of the ablations.
        until: on the clock of `time.monotonic`: stop there, with a checkpoint.
        say: told a line at every point of the curve.

    Returns:
        whether it has come to its end.
    """
    folder = out / training.key
    if (folder / "trained.pt").exists():
        return True
    if time.monotonic() >= until:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "settings.json", json.dumps(asdict(training), indent=1).encode())
    state = _resume(training, out) or _begin(training, out)
    checks = [
        whole_frame(file, training.recipe.check_spp, look=look, encoder=encoder, neighbours=training.neighbours)
        for look, encoder in training.looks
        for file in corpus.checking
    ]
    began = saved = time.monotonic()
    for batch in _batches(training, corpus.learning[: training.sequences], state.step):
        _step(training, state, batch)
        now = time.monotonic()
        if state.step % training.recipe.every == 0 or state.step == training.steps:
            state.seconds, began = state.seconds + now - began, now
            _check(state, checks)
            say(f"{training.key} {state.step}/{training.steps} {state.seconds:.0f} s  SMAPE {state.curve[-1][1]:.4f}")
            began = time.monotonic()  # checking is no part of training
        if now - saved > CHECKPOINT_SECONDS or now >= until:
            state.seconds, began = state.seconds + now - began, now
            _checkpoint(folder, state)
            saved = now
        if now >= until and state.step < training.steps:
            return False
    if not state.curve:
        _check(state, checks)
    kept = {"network": state.best, "curve": state.curve, "seconds": state.seconds}
    _save(folder / "trained.pt", kept)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return True


def trained(training: Training, out: Path) -> tuple[KernelPredictor, list[tuple[int, float]], float] | None:
    """The network for inference, its curve as (step, SMAPE), and the seconds that it took; None before its end."""
    file = out / training.key / "trained.pt"
    if not file.exists():
        return None
    kept = torch.load(file, weights_only=True)
    network = build(training.design)
    network.load_state_dict(kept["network"])
    curve = [(int(step), float(value)) for step, value in kept["curve"]]
    return network.eval().requires_grad_(False), curve, float(kept["seconds"])


def _begin(training: Training, out: Path) -> _State:
    torch.manual_seed(training.seed)
    network = build(training.design)
    if training.start is not None:
        before = trained(training.start, out)
        if before is None:
            raise ValueError(f"{training.key} starts from {training.start.key}, which has not ended")
        own = network.state_dict()
        fitting = {name: value for name, value in before[0].state_dict().items() if name in own}
        network.load_state_dict(fitting, strict=False)
    return _state(training, network)


def _state(training: Training, network: KernelPredictor) -> _State:
    network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stage = Stage("ablation", training.trains, bool(training.neighbours), False)
    parameters = trainable(network, stage, [encoder for _, encoder in training.looks])
    optimiser = torch.optim.Adam(parameters, lr=training.recipe.rate) if parameters else None
    return _State(network, copy.deepcopy(network).eval().requires_grad_(False), optimiser)


def _step(training: Training, state: _State, batch: Batch) -> None:
    """One step of gradient descent."""
    optimiser = state.optimiser
    assert optimiser is not None
    for group in optimiser.param_groups:
        group["lr"] = training.recipe.rate * _schedule(state.step, training.steps)
    denoised = forward(state.network, batch, temporal=bool(training.neighbours), lambda_=1.0)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(losses(batch, denoised, 1.0)["total"])
    norm = nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 1.0)
    if torch.isfinite(norm):  # a step that overflowed teaches nothing
        optimiser.step()
    state.step += 1
    decay = min(EMA_DECAY, state.step / (9 + state.step))
    with torch.no_grad():
        for mean, new in zip(state.average.parameters(), state.network.parameters(), strict=True):
            if new.requires_grad:
                mean.lerp_(new, 1 - decay)


def _schedule(step: int, steps: int) -> float:
    """Warm-up, then a cosine to `LEAST_RATE`."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1))))


@torch.no_grad()
def _check(state: _State, checks: Sequence[Batch]) -> None:
    """A point of the curve: geometric mean of the beauty's SMAPE. Keeps the best weights."""
    logs = []
    for batch in checks:
        denoised = forward(state.average, batch, temporal=len(batch.inputs) > 1, lambda_=1.0)
        logs.append(math.log(float(losses(batch, denoised, 1.0)["beauty"])))
    value = math.exp(sum(logs) / len(logs))
    if not state.best or value < min(before for _, before in state.curve):
        state.best = copy.deepcopy(state.average.state_dict())
    state.curve.append((state.step, value))


# --- The folder ---------------------------------------------------------------------------------------------------


def _resume(training: Training, out: Path) -> _State | None:
    file = out / training.key / "checkpoint.pt"
    if not file.exists():
        return None
    kept = torch.load(file, weights_only=True)
    network = build(training.design)
    network.load_state_dict(kept["network"])
    state = _state(training, network)
    state.average.load_state_dict(kept["average"])
    if state.optimiser is not None:
        state.optimiser.load_state_dict(kept["optimiser"])
    state.step, state.seconds, state.best = kept["step"], kept["seconds"], kept["best"]
    state.curve = [(step, value) for step, value in kept["curve"]]
    return state


def _checkpoint(folder: Path, state: _State) -> None:
    kept = {name: getattr(state, name) for name in ("step", "seconds", "curve", "best")}
    kept |= {"network": state.network.state_dict(), "average": state.average.state_dict()}
    if state.optimiser is not None:
        kept["optimiser"] = state.optimiser.state_dict()
    _save(folder / "checkpoint.pt", kept)


def _save(file: Path, kept: dict[str, Any]) -> None:
    temporary = file.with_suffix(".part")
    torch.save(kept, temporary)
    os.replace(temporary, file)


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_suffix(file.suffix + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, file)
