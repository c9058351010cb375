"""What a new version of a shot may take over from earlier ones: every product whose recipe is the same.

A recipe is the hash of all that a kind of product depends on. λ, for example, is not in the recipe of `buffers` when
the variance guides the samples, so that another λ re-denoises stored buffers; it is when the predicted error of the
denoised picture guides them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline.config.colour import Colour
from pipeline.config.film import Film
from pipeline.config.layers import Layers
from pipeline.farm.names import Frame, Kind

if TYPE_CHECKING:
    from pipeline.farm.job import Base, Job, Rehearsal

__all__ = [
    "DENOISED_GUIDES",
    "REPLAYED",
    "digest",
    "draft_radius",
    "has_budget",
    "pixel_config",
    "recipes",
    "replayed",
    "reusable",
    "scene_identity",
    "temporal_radius",
]

DENOISED_GUIDES: Final = frozenset({"error", "oracle"})
"""Guides that look at the denoised picture, so that every round is denoised."""

_RENDERED: Final[tuple[Kind, ...]] = ("samples", "passes", "buffers", "error", "stop")
REPLAYED: Final[tuple[Kind, ...]] = ("samples", "buffers", "stop")
"""What a version that is denoised anew takes from the one that was rendered, and never makes itself. What the slices
held is in the sums."""
_NOT_PIXELS: Final = frozenset({"priority", "frames", "farm", "show", "sequence", "preview", "scene"})
"""Keys of a shot's config that change no pixel of a frame. (What `scene` names is in the frozen scenes.)"""
_NAMES: Final = frozenset({"fps", "show", "sequence", "output"})
"""Keys that only say how frames are called and played: another version, with the same pictures in it."""
_NOT_RENDERED: Final = _NAMES | {"denoise"}
"""Keys that no sample depends on."""
_LIMITS: Final = frozenset({"max_spp", "target_error", "budget_spp"})
"""Keys of `sampling` that end the rounds, and change no round that both versions have."""
_ROUNDS: Final[tuple[Kind, ...]] = ("buffers", "error", "denoised", "draft")
"""Kinds that are the same in versions of other limits. Not `samples`, which decide; nor `passes`, cut by their plan."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form: keys sorted, no blanks, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def pixel_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a shot's config that pixels depend on. What asks for nothing is as if it were not there, so that a
    release with another key does not make pictures anew."""
    sections = {"film": Film(), "layers": Layers(), "colour": Colour()}
    neutral = {"shutter": None, **{name: each.model_dump(mode="json") for name, each in sections.items()}}
    return {
        key: value
        for key, value in config.items()
        if key not in _NOT_PIXELS and not (key in neutral and value == neutral[key])
    }


def scene_identity(scenes: Mapping[str, Any]) -> dict[str, str]:
    """What identifies frozen scenes: the blobs of their XML, which name all other files by content."""
    return {frame: str(scene["xml"]) for frame, scene in scenes.items()}


def has_budget(config: Mapping[str, Any], rehearsal: Rehearsal | None) -> bool:
    """Whether the frames of a job share their samples, so that each depends on all."""
    if rehearsal is not None:
        return rehearsal.budget_spp is not None
    return (config.get("sampling") or {}).get("budget_spp") is not None


def temporal_radius(config: Mapping[str, Any]) -> int:
    """Frames on either side that the denoiser of a shot's config reads: 0 for denoisers of single frames."""
    denoise = config.get("denoise") or {}
    if denoise.get("backend", "none") != "kpcn":
        return 0
    radius = denoise.get("temporal_radius")
    if radius is None:
        from pipeline.config.denoise import TEMPORAL_RADIUS

        radius = TEMPORAL_RADIUS[denoise.get("preset", "fast")]
    return int(radius)


def draft_radius(job: Job) -> int | None:
    """Frames on either side that a picture for the guide alone is denoised from; None where that is no other picture
    than the last round's: it reads as many, or nothing is rendered."""
    if not job.denoises_every_round or job.replay is not None:
        return None
    radius = _radius(job)
    if job.rehearsal is not None:
        wanted = job.rehearsal.draft_radius
    else:
        from pipeline.config.denoise import Denoise

        wanted = Denoise.model_validate(job.config.get("denoise") or {}).draft_radius
    return wanted if wanted is not None and wanted < radius else None


def recipes(job: Job, *, frames: Iterable[Frame] | None = None, limits: bool = True) -> dict[Kind, str]:
    """The recipe of each kind of product that versions of a shot may share. Frozen scenes are left out: see `reusable`.

    Args:
        job: the version.
        frames: that are made together, so that they are each other's neighbours, or share a budget; by default the
            job's own.
        limits: whether what ends the rounds is a part of the recipes. Without it, only single rounds can be compared.
    """
    config = pixel_config(job.config)
    if not limits and "sampling" in config:
        config["sampling"] = {key: value for key, value in config["sampling"].items() if key not in _LIMITS}
    common = {
        "shot": job.shot,
        "environment": job.rendering_key,
        "replay": None if job.replay is None else job.replay.hash,
        "engine": job.engine,
        "rehearsal": None if job.rehearsal is None else job.rehearsal.model_dump(mode="json"),
    }
    together = sorted(job.frames if frames is None else frames)
    shared = limits and has_budget(job.config, job.rehearsal)
    rendered = common | {
        "config": {key: value for key, value in config.items() if key not in _NOT_RENDERED},
        "frames": together if shared else None,
    }
    denoised = common | {
        "config": {key: value for key, value in config.items() if key not in _NAMES},
        "frames": together if shared or _radius(job) else None,
        "weights": job.weights,
    }
    guided = digest(denoised if job.denoises_every_round else rendered)
    drafts = draft_radius(job) is not None
    kinds: tuple[Kind, ...] = (*_RENDERED, *(("budget",) if shared else ()), *(("draft",) if drafts else ()))
    return {**dict.fromkeys(kinds, guided), "denoised": digest(denoised)}


def reusable(job: Job, earlier: Job, *, frames: Iterable[Frame], earlier_frames: Iterable[Frame]) -> Base | None:
    """What `job` may take over from an earlier version of the shot; None if nothing.

    Where only the target error, the cap on samples or the budget differ, the rounds of equal totals are the same
    pictures: the new version decides anew after each round whether it is the last, and renders the rounds that the
    earlier one lacks.

    Args:
        job: the new version.
        earlier: a version before it.
        frames: of the new version.
        earlier_frames: that the earlier version has made or is making; without those that it skipped or could not make.
    """
    from pipeline.farm.job import Base

    ours, theirs = recipes(job, frames=frames), recipes(earlier, frames=earlier_frames)
    kinds = [kind for kind, recipe in ours.items() if theirs.get(kind) == recipe]
    rounds = None
    same = _same_frames(scene_identity(job.scenes), scene_identity(earlier.scenes), frames)
    if same is not None and "budget" in kinds:  # another scene of one frame is another share for all of them
        kinds, rounds = [kind for kind in kinds if kind in _ROUNDS], 1
    if "buffers" not in kinds:
        ours = recipes(job, frames=frames, limits=False)
        theirs = recipes(earlier, frames=earlier_frames, limits=False)
        kinds = [kind for kind in _ROUNDS if kind in ours and ours[kind] == theirs.get(kind)]
        rounds = _shared_rounds(job, earlier)
        if _radius(job):  # a denoiser's window reads neighbours up to where they stopped, which the limits decide
            if job.denoises_every_round:
                rounds = min(rounds, 1)
            elif "denoised" in kinds:
                kinds.remove("denoised")
    if same is not None and _radius(job):
        kinds = [] if job.denoises_every_round else [kind for kind in kinds if kind != "denoised"]
    if not kinds or same == () or rounds == 0:
        return None
    return Base(directory=earlier.directory, hash=earlier.hash, kinds=tuple(kinds), frames=same, rounds=rounds)


def replayed(job: Job, base: Job) -> tuple[Base, ...]:
    """The versions that serve `job`, which denoises `base` anew: it, and what it took over itself.

    Sample maps and stops are taken as they are, also where the guide looked at a denoised picture. The error maps are
    shared where they are those of the noisy picture.
    """
    from pipeline.farm.job import Base

    kinds: tuple[Kind, ...] = REPLAYED if job.denoises_every_round else (*REPLAYED, "error")
    own = Base(directory=base.directory, hash=base.hash, kinds=kinds)
    shared = [
        other.model_copy(update={"kinds": tuple(kind for kind in other.kinds if kind in kinds)}) for other in base.bases
    ]
    return (own, *(other for other in shared if other.kinds))


def _same_frames(
    ours: Mapping[str, str], theirs: Mapping[str, str], frames: Iterable[Frame]
) -> tuple[Frame, ...] | None:
    """Frames whose scenes are the same, as are those beside them, which their motion depends on; None for all."""
    if ours == theirs:
        return None
    return tuple(
        frame
        for frame in sorted(set(frames))
        if str(frame) in ours
        and all(ours.get(str(near)) == theirs.get(str(near)) for near in (frame - 1, frame, frame + 1))
    )


def _shared_rounds(job: Job, earlier: Job) -> int:
    """How many rounds have the same totals of samples, from the first on. A budget decides on all but the first."""
    first, most = _first_and_most(job)
    other_first, other_most = _first_and_most(earlier)
    if first == 0 or first != other_first:
        return 0
    total, rounds = first, 0
    while min(total, most) == min(total, other_most):
        rounds += 1
        if total >= max(most, other_most):
            break
        total *= 2
    return min(rounds, 1) if any(has_budget(each.config, each.rehearsal) for each in (job, earlier)) else rounds


def _first_and_most(job: Job) -> tuple[int, int]:
    sampling = job.config.get("sampling") or {}
    return int(sampling.get("first_spp", 0)), int(sampling.get("max_spp", 0))


def _radius(job: Job) -> int:
    return job.rehearsal.radius if job.rehearsal is not None else temporal_radius(job.config)
