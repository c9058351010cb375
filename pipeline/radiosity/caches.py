"""Which cache a scene begins with: its own, one of a scene that is nearly the same, or none.

Caches of a shot lie in a folder, each under a name that tells the scene's light and the plan. An unchanged scene finds
its own; one whose lights, materials or poses were changed begins with the latest that has the same shapes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import ProductError
from pipeline.radiosity import checkpoint
from pipeline.radiosity.checkpoint import Checkpoint, plan_key
from pipeline.radiosity.identity import Identity
from pipeline.radiosity.train import Plan, Trainer

__all__ = ["ENDING", "Begun", "begin", "place_of"]

ENDING = ".cache"

Origin = Literal["new", "resumed", "warm"]


@dataclass(frozen=True)
class Begun:
    """A training that may go on.

    Attributes:
        trainer: the training.
        origin: `resumed`: with the scene's own cache; `warm`: with the weights of one that is nearly the same.
        file: where its checkpoints go.
        source: the file that it began with; None for `new`.
    """

    trainer: Trainer
    origin: Origin
    file: Path
    source: Path | None


def place_of(folder: Path, identity: Identity, plan: Plan) -> Path:
    """The file of a scene's cache."""
    digest = hashlib.sha256(json.dumps(plan_key(plan), sort_keys=True).encode()).hexdigest()
    return folder / f"{identity.light[:16]}-{plan.preset.name}-{digest[:8]}{ENDING}"


def begin(
    trainer: Trainer, identity: Identity, folder: Path, *, file: Path | None = None, say: Callable[[str], None]
) -> Begun:
    """Sets a new trainer to the best that is known of its scene.

    Args:
        trainer: of the scene, untrained.
        identity: of the scene.
        folder: of the shot's caches.
        file: a checkpoint that is to be used, whatever the folder holds; it need not be there yet.
        say: told which caches of the folder cannot be read.

    Raises:
        ProductError: `file` is damaged, or of another scene, plan or version.
        StoreError: `file` cannot be read.
    """
    place = file or place_of(folder, identity, trainer.plan)
    if file is not None and file.exists():
        kept = checkpoint.read(file)
        if not (kept.identity.fits(identity) or kept.identity.resembles(identity)):
            raise ProductError(f"{file}: was trained for another scene")
        return _begun(trainer, identity, kept, place)
    own = _readable(place, say) if place.exists() else None
    if own is not None:
        return _begun(trainer, identity, own, place)
    wanted = place_of(folder, identity, trainer.plan).name.partition("-")[2]
    others = sorted(folder.glob(f"*-{wanted}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for other in others if file is None else []:
        near = _readable(other, say)
        if near is not None and near.identity.resembles(identity) and checkpoint.start_from(trainer, near):
            return Begun(trainer, "warm", place, other)
    return Begun(trainer, "new", place, None)


def _begun(trainer: Trainer, identity: Identity, kept: Checkpoint, place: Path) -> Begun:
    source = Path(kept.source)
    if kept.identity.fits(identity):
        checkpoint.restore(trainer, kept)
        return Begun(trainer, "resumed", place, source)
    warm = checkpoint.start_from(trainer, kept)
    return Begun(trainer, "warm", place, source) if warm else Begun(trainer, "new", place, None)


def _readable(path: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """A cache of the folder; one that cannot be read is told of and left alone: a preview can be trained anew."""
    try:
        return checkpoint.read(path)
    except ProductError as error:
        say(f"{error}; it is not used")
        return None
