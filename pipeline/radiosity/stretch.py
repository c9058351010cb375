"""A stretch of a training as a task of the farm makes it: from one checkpoint to the next, on whatever worker.

A training is a function of the scene, the plan and the step, so that stretches, one after the other, end with the
weights that one run in one process has. What a stretch gives is the checkpoint as a file; put into the folder of the
shot's caches under the name that it tells, it is what `pipeline preview` goes on with.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.shot import Shot
from pipeline.radiosity import checkpoint
from pipeline.radiosity.caches import place_of
from pipeline.radiosity.identity import Identity, identity_of
from pipeline.radiosity.presets import preset
from pipeline.radiosity.sources import Sources, sources_of
from pipeline.radiosity.train import Plan, Trainer
from pipeline.scene import spec
from pipeline.scene.load import load

__all__ = ["STRETCHES", "Ground", "ends", "ground", "settings_of", "train"]

STRETCHES = 10
"""Into which a whole training of a preset is cut: a lost worker costs one of them."""


@dataclass(frozen=True)
class Ground:
    """What is trained on.

    Attributes:
        sources: the scene as the cache sees it.
        identity: of the scene.
    """

    sources: Sources
    identity: Identity


def settings_of(
    shot: Shot, frame: int, *, guiding: bool = False, optimizer: str = "auto", seed: int = 0, early_stop: bool = True
) -> dict[str, Any]:
    """What all stretches of a training share, as JSON values; the scene is frozen beside it.

    Args:
        shot: its config.
        frame: whose scene is trained on.
        guiding, optimizer, seed: of the training.
        early_stop: ends where the held-out residual improves no more.
    """
    config = shot.model_dump(mode="json", by_alias=True)
    kept = {key: config[key] for key in ("resolution", "camera", "animate", "overrides", "colour")}
    plan = {"preset": shot.preview.preset, "guiding": guiding, "optimizer": optimizer, "seed": seed}
    return {"config": kept, "frame": frame, "plan": plan, "early_stop": early_stop}


def ends(preset_name: str, steps: int | None) -> list[int]:
    """The steps at which stretches end, ascending; the last one is the training's.

    >>> ends("fast", 700)
    [300, 600, 700]
    """
    size = preset(preset_name)
    last = size.steps if steps is None else steps
    length = math.ceil(size.steps / STRETCHES)
    return [*range(length, last, length), last]


def ground(settings: Mapping[str, Any], scenes: Mapping[str, Any], blobs: Path) -> Ground:
    """Loads the scene.

    Args:
        settings: of `settings_of`.
        scenes: as `pipeline.scene.spec.of` takes them.
        blobs: directory of frozen files.

    Raises:
        SceneError: it cannot be loaded, or has nothing that a preview could show.
    """
    frame = int(settings["frame"])
    wanted = replace(spec.of(settings["config"], scenes, frame), shutter=None)
    return Ground(sources_of(load(wanted, frame, blobs).scene), identity_of(wanted, frame, blobs))


def train(
    settings: Mapping[str, Any],
    on: Ground,
    until: int,
    before: bytes | None,
    *,
    on_steps: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[dict[str, Any], bytes]:
    """Trains up to a step.

    Args:
        settings: of `settings_of`.
        on: the scene.
        until: the step to end with.
        before: the checkpoint to go on from; None for the first stretch.
        on_steps: told every few steps how many of this stretch are made, and of how many. What it raises ends the work.

    Returns:
        what there is to tell of it (`cache` is the file's name in the folder of caches), and the checkpoint.

    Raises:
        ProductError: the checkpoint is damaged, or of another plan.
        DeviceError: the device's memory does not suffice.
    """
    asked = settings["plan"]
    plan = Plan(
        preset(asked["preset"]), guiding=asked["guiding"], optimiser=asked["optimizer"], seed=int(asked["seed"])
    )
    trainer = Trainer(on.sources, plan)
    with tempfile.TemporaryDirectory(prefix="penumbra-preview-") as name:
        if before is not None:
            kept = Path(name) / "before"
            kept.write_bytes(before)
            checkpoint.restore(trainer, checkpoint.read(kept))
        first, early = trainer.progress.step, bool(settings["early_stop"])
        while trainer.progress.step < until and not (early and trainer.progress.stopped):
            trainer.advance(min(trainer.progress.step + plan.preset.block, until), early_stop=early)
            on_steps(trainer.progress.step - first, until - first)
        file = place_of(Path(name), on.identity, plan)
        checkpoint.write(file, trainer, on.identity)
        return _told(trainer, on.sources.left_out, file.name), file.read_bytes()


def _told(trainer: Trainer, left_out: Sequence[str], cache: str) -> dict[str, Any]:
    progress = trainer.progress
    return {
        "step": progress.step,
        "residual": progress.checks[-1].residual if progress.checks else None,
        "stopped": progress.stopped,
        "trained_seconds": round(progress.seconds, 3),
        "left_out": list(left_out),
        "cache": cache,
    }
