"""Previews trained on the farm: an errand for each frame that gets a cache, with a part for each stretch of training.

What comes back is the shot's own cache, in the folder in which `pipeline preview` looks: a picture, a movie or the
viewer then go on from it on this machine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.shot import Shot
from pipeline.errors import ConfigError, FarmError, ProductError, StoreError
from pipeline.farm import blob_mirror, carry_out
from pipeline.farm.carry_out import Asked
from pipeline.farm.client import Farm
from pipeline.farm.environments import environment_for
from pipeline.farm.job import Job
from pipeline.farm.submission import Claimed, Show, refusing
from pipeline.radiosity import checkpoint, stretch
from pipeline.radiosity.caches import place_of
from pipeline.radiosity.identity import identity_of
from pipeline.radiosity.key_frames import key_frames
from pipeline.radiosity.presets import preset
from pipeline.radiosity.train import Plan
from pipeline.scene import spec
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import EVERY_FRAME, FrozenScene

__all__ = ["Training", "frames_of", "train"]


@dataclass(frozen=True)
class Training:
    """What is asked for.

    Attributes:
        shot: its config.
        frames: that get a cache.
        steps: of each; None: the preset's, fewer where the held-out residual improves no more.
        guiding, optimizer, seed: of the training.
    """

    shot: Shot
    frames: tuple[int, ...]
    steps: int | None = None
    guiding: bool = False
    optimizer: str = "auto"
    seed: int = 0

    def settings(self, frame: int) -> dict[str, Any]:
        """Of a frame's training, as the farm gets them."""
        return stretch.settings_of(
            self.shot,
            frame,
            guiding=self.guiding,
            optimizer=self.optimizer,
            seed=self.seed,
            early_stop=self.steps is None,
        )


def train(
    wanted: Training,
    folder: Path,
    farm: Farm,
    *,
    wait: bool = True,
    workers: int | None = None,
    show: Show,
    say: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Trains what `folder` lacks, and puts it there.

    Args:
        wanted: what is asked for.
        folder: of the shot's caches.
        farm: of `carry_out.place`.
        wait: until it is trained. Else it is fetched by the next call that is the same.
        workers: local ones, where there is no farm.
        show: is told how far it is.
        say: told what people ought to know, one line each.

    Returns:
        ids of the jobs.

    Raises:
        SceneError: the scene cannot be frozen.
        FarmError: the farm is gone, or the training has failed on it.
    """
    with refusing():
        known = wanted.shot.frame_list
        if other := [frame for frame in wanted.frames if frame not in known]:
            raise ConfigError(f"{wanted.shot.shot} has no frame {other[0]}; it has {wanted.shot.frames}")
        scenes = freeze(wanted.shot, wanted.frames, blob_mirror.directory(farm.store))
        environment = environment_for(farm)
        claimed = [
            _claim(wanted, frame, scenes, environment, farm)
            for frame in wanted.frames
            if not _is_trained(wanted, frame, scenes, folder, farm)
        ]
    for each in claimed:
        say(f"trained on the farm: {each.job.id}")
    ended = carry_out.run(claimed, farm, wait=wait, workers=workers, show=show)
    for end in ended:
        if end.state == "done":
            _keep(farm, end.job, folder)
        elif end.state in ("failed", "cancelled"):
            failed = carry_out.given_up(farm.store, end.job)
            reason = f": part {failed[0].part}: {failed[0].reason}" if failed else ""
            raise FarmError(f"{end.job.id} is {end.state}{reason}")
    return [each.job.id for each in claimed]


def _claim(
    wanted: Training, frame: int, scenes: dict[str, FrozenScene], environment: dict[str, Any], farm: Farm
) -> Claimed:
    shot = wanted.shot
    items = [{"until": step} for step in stretch.ends(shot.preview.preset, wanted.steps)]
    return carry_out.claim(
        farm,
        Asked(
            "preview",
            shot.shot,
            wanted.settings(frame),
            items,
            environment,
            chained=True,
            scenes={EVERY_FRAME: _scene(scenes, frame).to_json()},
            farm=shot.farm.model_dump(mode="json"),
            priority=shot.priority,
        ),
    )


def _scene(scenes: dict[str, FrozenScene], frame: int) -> FrozenScene:
    return scenes[EVERY_FRAME] if EVERY_FRAME in scenes else scenes[str(frame)]


def _is_trained(wanted: Training, frame: int, scenes: dict[str, FrozenScene], folder: Path, farm: Farm) -> bool:
    """The folder of caches has one of this scene that is as far, or has ended."""
    settings, own = wanted.settings(frame), {EVERY_FRAME: _scene(scenes, frame)}
    identity = identity_of(spec.of(settings["config"], own, frame), frame, blob_mirror.directory(farm.store))
    plan = Plan(
        preset(wanted.shot.preview.preset), guiding=wanted.guiding, optimiser=wanted.optimizer, seed=wanted.seed
    )
    try:
        kept = checkpoint.read(place_of(folder, identity, plan))
    except (StoreError, ProductError):
        return False
    progress = kept.state["progress"]
    if wanted.steps is None:
        return bool(progress["stopped"]) or kept.step >= plan.preset.steps
    return kept.step - int(progress["begun"]) >= wanted.steps


def _keep(farm: Farm, job: Job, folder: Path) -> None:
    """Puts the last checkpoint of a training into the folder of caches."""
    assert job.errand is not None
    facts, files = carry_out.files(farm.store, job, job.errand.parts[-1])
    target = folder / Path(str(facts["cache"])).name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{target.name}-")
        with os.fdopen(handle, "wb") as file:
            file.write(files["cache"])
        os.replace(temporary, target)
    except OSError as error:
        raise StoreError(f"{target}: the cache cannot be written: {error.strerror or error}") from error


def frames_of(shot: Shot, frame: int | None, *, along: bool) -> tuple[int, ...]:
    """The frames that get a cache: the one that is shown, or all key frames of a movie along the shot."""
    if along:
        return tuple(key_frames(shot))
    return (shot.frame_list[0] if frame is None else frame,)
