"""A training as a file, from which it goes on with the same weights, on any machine.

A checkpoint holds the cache, its running mean, the optimiser, the guide, how far the training is, and for which scene
and plan it was made. It is read without running any code of it.
"""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import ProductError, StoreError
from pipeline.radiosity.identity import Identity
from pipeline.radiosity.train import Check, Plan, Progress, Trainer

__all__ = ["FORMAT", "Checkpoint", "read", "restore", "start_from", "write"]

FORMAT = 1
"""Version of the format; another one is refused."""

KIND = "penumbra radiance cache"

REACH = 0.1
"""Shapes may stick out of the box that a cache was trained in by this share of it, before the cache is of no use."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        identity: of the scene.
        plan: what `plan_key` says of the plan.
        state: of the training, for `restore` and `start_from`.
        source: where it came from, for messages.
    """

    identity: Identity
    plan: dict[str, Any]
    state: dict[str, Any]
    source: str

    @property
    def step(self) -> int:
        """Steps made."""
        return int(self.state["progress"]["step"])


def plan_key(plan: Plan) -> dict[str, Any]:
    """What of a plan makes weights that fit no other: plain values."""
    size = plan.preset
    return {
        "preset": size.name,
        "schedule": repr((size.steps, size.stages, size.rate, size.decay, size.decay_every, size.average, size.block)),
        "field": repr(plan.preset.field),
        "guide": repr(plan.preset.guide) if plan.guiding else None,
        "method": plan.method,
        "measure": plan.measure,
        "weight": plan.weight,
        "optimiser": plan.optimiser,
        "seed": plan.seed,
    }


def write(path: Path, trainer: Trainer, identity: Identity) -> None:
    """Writes a training to `path`, in one step.

    Raises:
        StoreError: the file cannot be written.
    """
    document = {
        "kind": KIND,
        "format": FORMAT,
        "identity": asdict(identity),
        "plan": plan_key(trainer.plan),
        "state": _state(trainer),
    }
    stream = io.BytesIO()
    torch.save(document, stream)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(stream.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise StoreError(f"{path}: the cache cannot be written: {error.strerror or error}") from error
    finally:
        if temporary:
            os.unlink(temporary)


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        StoreError: the file cannot be read.
        ProductError: it is damaged, no checkpoint, or of another version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the cache cannot be read: {error.strerror or error}") from error
    try:
        document = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its readers meet in damaged bytes
        raise ProductError(f"{path}: is damaged, or no radiance cache") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ProductError(f"{path}: is no radiance cache")
    if document.get("format") != FORMAT:
        raise ProductError(f"{path}: is a radiance cache of version {document.get('format')}; {FORMAT} is expected")
    try:
        return Checkpoint(Identity(**document["identity"]), document["plan"], document["state"], str(path))
    except (KeyError, TypeError) as error:
        raise ProductError(f"{path}: is damaged: {error}") from error


def restore(trainer: Trainer, kept: Checkpoint) -> None:
    """Sets a new trainer of the same scene and plan to where the checkpoint was.

    Raises:
        ProductError: it was made by another plan.
    """
    _require_plan(trainer.plan, kept)
    state = kept.state
    trainer.field.load_state_dict(state["field"])
    trainer.shown.load_state_dict(state["shown"])
    trainer.optimiser.load_state_dict(state["optimiser"])
    if trainer.guide is not None:
        trainer.guide.load_state_dict(state["guide"]["weights"])
        trainer.guide.optimiser.load_state_dict(state["guide"]["optimiser"])
        drawn = state["guide"]["mixtures"]
        trainer.mixtures = None if drawn is None else (drawn[0], drawn[1].to(trainer.device))
    progress = dict(state["progress"])
    checks = [Check(**check) for check in progress.pop("checks")]
    trainer.progress = Progress(**progress, checks=checks)
    trainer.forget_rays()


def start_from(trainer: Trainer, kept: Checkpoint) -> bool:
    """Gives a new trainer the weights of a scene that is nearly its own: other lights or materials, or shapes that have
    moved. The training begins near the end of its schedule; what counts as 1 stays the new scene's own.

    Returns:
        False, and nothing is done, where shapes now lie outside of the space that the weights are for.

    Raises:
        ProductError: the checkpoint was made by another plan.
    """
    _require_plan(trainer.plan, kept)
    weights = kept.state["shown"]
    lower, extent = weights["lower"], weights["extent"]
    own_lower, own_extent = trainer.field.lower.cpu(), trainer.field.extent.cpu()
    below = lower - own_lower
    above = own_lower + own_extent - lower - extent
    if bool((torch.maximum(below, above) > REACH * extent).any()):
        return False
    unit = trainer.field.unit.clone()
    for network in (trainer.field, trainer.shown):
        network.load_state_dict(weights)
        network.unit.copy_(unit)
    if trainer.guide is not None:
        trainer.guide.load_state_dict(kept.state["guide"]["weights"])
    trainer.begin_late()
    return True


def _require_plan(plan: Plan, kept: Checkpoint) -> None:
    wanted = plan_key(plan)
    differing = [key for key, value in wanted.items() if kept.plan.get(key) != value]
    if differing:
        raise ProductError(f"{kept.source}: was trained with another {', '.join(differing)}")


def _state(trainer: Trainer) -> dict[str, Any]:
    progress = trainer.progress
    guide = None
    if trainer.guide is not None:
        guide = {
            "weights": trainer.guide.state_dict(),
            "optimiser": trainer.guide.optimiser.state_dict(),
            "mixtures": trainer.mixtures,
        }
    return {
        "field": trainer.field.state_dict(),
        "shown": trainer.shown.state_dict(),
        "optimiser": trainer.optimiser.state_dict(),
        "guide": guide,
        "progress": asdict(progress),
    }
