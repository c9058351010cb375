"""A job: one version of a shot, frozen in `<shot>/v001/job.json`.

A version is claimed by creating its `job.json`. Whoever submits the same again attaches to the version that is there.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.terms import Terms
from pipeline.errors import FarmError
from pipeline.farm import control, names
from pipeline.farm.control import Control, ControlState
from pipeline.farm.errands import Errand, same_parts
from pipeline.farm.names import Frame, Kind
from pipeline.farm.reuse import (
    DENOISED_GUIDES,
    digest,
    has_budget,
    pixel_config,
    replayed,
    reusable,
    scene_identity,
)
from pipeline.farm.store import BLOBS, Store

__all__ = [
    "ACTIVE",
    "FORMAT",
    "Base",
    "Frozen",
    "Job",
    "Rehearsal",
    "Replay",
    "activate",
    "active",
    "claim",
    "content_hash",
    "deactivate",
    "directory_of",
    "jobs",
    "load",
    "wanted_frames",
]

log = logging.getLogger(__name__)

FORMAT: Final = 1
ACTIVE: Final = "active"
"""Directory of the store with one mark for each job that is not finished: where a sweep starts."""

Engine = Literal["mitsuba", "rehearsal", "errand"]

_RESERVED: Final = frozenset({ACTIVE, BLOBS, "damaged", "farm"})
_VERSION: Final = re.compile(r"v([0-9]{3}|[1-9][0-9]{3,})")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rehearsal(_Model):
    """Synthetic work in place of rendering: tasks sleep and write small deterministic arrays."""

    task_seconds: float = Field(default=0.0, ge=0, description="Seconds that a render task takes.")
    light_seconds: float = Field(default=0.0, ge=0, description="Seconds that any other task takes.")
    slices: int = Field(default=1, ge=1, description="Slices of each round.")
    rounds: int = Field(default=1, ge=1, description="Rounds of each frame, at most.")
    size: int = Field(default=64, ge=1, description="Numbers in each product.")
    radius: int = Field(default=0, ge=0, description="Frames on either side that a denoise task reads.")
    every_round: bool = Field(default=False, description="Every round is denoised, as the guide `error` needs it.")
    draft_radius: int | None = Field(default=None, ge=0, description="As `radius`, of rounds that are not the last.")
    budget_spp: int | None = Field(
        default=None, ge=1, description="Mean samples of each number over all frames: rounds then follow the errors."
    )
    target_error: float = Field(default=0.0, ge=0, description="Of synthetic errors, where there is a budget; 0: none.")
    stops: dict[str, int] = Field(default_factory=dict, description="Last round of single frames, by frame number.")
    poison: tuple[str, ...] = Field(default=(), description="Tasks that always fail.")
    seed: int = Field(default=0, ge=0, description="Of the numbers.")


class Base(_Model):
    """An earlier version that serves products.

    Attributes:
        directory: of the version in the store.
        hash: of its job, which its products carry.
        kinds: of products whose recipe is the same.
        frames: for which that holds; None for all.
        rounds: how many rounds, from the first on, that holds for; None for all.
    """

    directory: str
    hash: str
    kinds: tuple[Kind, ...]
    frames: tuple[Frame, ...] | None = None
    rounds: int | None = None


class Replay(_Model):
    """A version whose samples, sums and decisions this one takes as they are, to denoise them anew.

    Attributes:
        job: its id.
        hash: its hash.
        frames: that it had when this one was submitted; those that are not wanted here serve as neighbours.
    """

    job: str
    hash: str
    frames: tuple[Frame, ...]


class Job(_Model):
    """A frozen job: `job.json`.

    Attributes:
        format: of this document.
        id: `shot_010.v001`.
        shot, version: what the id says.
        hash: of all that pixels depend on; priority, frames (but where they share a budget), `created` and `owner` are
            left out. Products carry it.
        config: the resolved shot as JSON values.
        frames: as submitted, in the order in which they are wanted. Later ones are in the control records.
        scenes: `{"*": frozen scene}`, or one per frame; JSON values of `pipeline.scene.spec.FrozenScene`.
        environment: what pixels depend on beside the job, and its `key`, as queues carry it.
        engine: `mitsuba`, or `rehearsal`; `errand` where no frames are rendered.
        rehearsal: what to rehearse, for the engine `rehearsal`.
        errand: what is to be done in parts, in place of frames; of a rehearsal, in synthetic ones.
        bases: earlier versions that serve products, the newest first.
        replay: the version that this one denoises anew; None for a job that renders.
        created: ISO 8601, UTC.
        owner: who submitted it.
        priority: 0 (last) … 9 (first), as submitted.
    """

    format: Literal[1] = FORMAT
    id: str
    shot: str
    version: int = Field(ge=1)
    hash: str
    config: dict[str, Any]
    frames: tuple[Frame, ...] = Field(min_length=1)
    scenes: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    engine: Engine = "mitsuba"
    rehearsal: Rehearsal | None = None
    errand: Errand | None = None
    bases: tuple[Base, ...] = ()
    replay: Replay | None = None
    created: str
    owner: str = ""
    priority: int = Field(default=5, ge=0, le=9)

    @property
    def directory(self) -> str:
        """The job's directory in the store: `shot_010/v001`."""
        return f"{self.shot}/{_version_text(self.version)}"

    @property
    def environment_key(self) -> str:
        """Workers of another key refuse the job's tasks."""
        return str(self.environment["key"])

    @property
    def rendering_key(self) -> str:
        """The environment key without the networks' weights, which no sample depends on."""
        return str(self.environment.get("rendering", self.environment_key))

    @property
    def weights(self) -> dict[str, str]:
        """Fingerprints, by preset, of the networks that the job's pixels depend on."""
        return dict(self.environment.get("weights") or {})

    @property
    def show(self) -> str:
        """The show that the shot belongs to: shows share the farm. Empty: none has a name."""
        return str(self.config.get("show") or "")

    def terms(self, state: ControlState | None = None) -> Terms:
        """What the job asks of the farm: as submitted, with what was changed since.

        Raises:
            FarmError: the job says something that this release does not know.
        """
        given = {**(self.config.get("farm") or {}), **({} if state is None else state.terms)}
        try:
            return Terms.model_validate(given)
        except ValidationError as error:
            raise FarmError(f"{self.id}: its terms cannot be used: {error.errors()[0]['msg']}") from error

    @property
    def queue_kinds(self) -> tuple[names.Queue, ...]:
        """Kinds of queues that its tasks go to."""
        return ("light", "denoise", "render") if self.errand is None else ("light", "train")

    @property
    def denoises_every_round(self) -> bool:
        """The guide looks at the denoised picture, so that not the last round alone is denoised."""
        if self.rehearsal is not None:
            return self.rehearsal.every_round
        return (self.config.get("sampling") or {}).get("guide") in DENOISED_GUIDES


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is submitted: all that pixels depend on. See `Job` for the fields."""

    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    scenes: Mapping[str, Any] = field(default_factory=dict)
    engine: Engine = "mitsuba"
    rehearsal: Rehearsal | None = None
    errand: Errand | None = None
    replay: Replay | None = None


def content_hash(shot: str, frozen: Frozen, *, frames: Iterable[Frame], scenes: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of all that a job's pixels depend on.

    Args:
        shot: the shot's name.
        frozen: what is submitted.
        frames: that are wanted. They count where a budget is shared among them, and nowhere else.
        scenes: in place of the frozen ones.
    """
    shared = frozen.replay is None and has_budget(frozen.config, frozen.rehearsal)
    return digest(
        {
            **({"frames": sorted(set(frames))} if shared else {}),
            "format": FORMAT,
            "shot": shot,
            "config": pixel_config(frozen.config),
            "scenes": scene_identity(frozen.scenes if scenes is None else scenes),
            "environment": frozen.environment["key"],
            "engine": frozen.engine,
            "rehearsal": None if frozen.rehearsal is None else frozen.rehearsal.model_dump(mode="json"),
            "replay": None if frozen.replay is None else frozen.replay.hash,
            **({} if frozen.errand is None else {"errand": frozen.errand.model_dump(mode="json")}),
        }
    )


def claim(
    store: Store,
    shot: str,
    frozen: Frozen,
    *,
    frames: Iterable[Frame],
    priority: int = 5,
    owner: str = "",
) -> tuple[Job, bool]:
    """Submit a job: attach to the newest version that is the same, or claim the next number.

    Attaching adds frames that the version lacks, resumes it if it was paused or cancelled, and sets the priority, by
    control records. Many may submit at once: those who submit the same get the same version. The mark `active/<job id>`
    is written last.

    Args:
        store: where the job is to live.
        shot: the shot's name.
        frozen: what pixels depend on.
        frames: that are wanted, in that order.
        priority: 0 (last) … 9 (first).
        owner: who submits.

    Returns:
        The job, and whether it was there already.

    Raises:
        FarmError: no frames, a name that the store keeps for itself, or a version to replay that is gone.
        StoreError: the store cannot be read or written; nothing was claimed.
    """
    wanted = tuple(dict.fromkeys(frames))
    if not wanted:
        raise FarmError(f"shot {shot}: there are no frames to render")
    if shot in _RESERVED:
        raise FarmError(f"a shot cannot be called {shot!r}: the store keeps that name for itself")
    while True:
        versions = _versions(store, shot)
        known = [job for number in reversed(versions) if (job := _try_load(store, shot, number)) is not None]
        same = next((job for job in known if _is_same(job, shot, frozen, wanted)), None)
        if same is not None:
            _attach(store, same, wanted, priority, frozen.config.get("farm") or {})
            return same, True
        version = (versions[-1] if versions else 0) + 1
        job = _new(store, shot, version, frozen, wanted, priority, owner, known)
        text = json.dumps(job.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        if store.create(f"{job.directory}/{names.JOB}", text.encode()):
            activate(store, job)
            return job, False


def load(store: Store, job_id: str) -> Job:
    """The job of an id, `shot_010.v001`.

    Raises:
        FarmError: there is none, or its `job.json` is damaged or of another release.
    """
    directory = directory_of(job_id)
    try:
        data = store.read(f"{directory}/{names.JOB}")
    except FileNotFoundError:
        raise FarmError(f"there is no job {job_id} in {store.url}") from None
    try:
        return Job.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FarmError(
            f"{store.url}/{directory}/{names.JOB} cannot be used: {place} {first['msg']}".strip()
        ) from error


def directory_of(job_id: str) -> str:
    """The directory of a job's id.

    >>> directory_of("shot_010.v001")
    'shot_010/v001'

    Raises:
        FarmError: this is not an id.
    """
    shot, separator, version = job_id.rpartition(".")
    if not separator or not shot or _VERSION.fullmatch(version) is None:
        raise FarmError(f"{job_id!r} is not the id of a job (which looks like shot_010.v001)")
    return f"{shot}/{version}"


def jobs(store: Store, shot: str | None = None) -> list[str]:
    """Ids of all jobs of a shot, or of the whole store, oldest version first."""
    shots = [name for name in store.children("") if name not in _RESERVED] if shot is None else [shot]
    return [f"{name}.{_version_text(version)}" for name in shots for version in _versions(store, name)]


def active(store: Store) -> list[str]:
    """Ids of the jobs that are not finished."""
    return store.children(ACTIVE)


def activate(store: Store, job: Job) -> None:
    """Mark a job as not finished, so that sweeps find it."""
    store.create(f"{ACTIVE}/{job.id}", json.dumps({"job": job.id}).encode())


def deactivate(store: Store, job: Job) -> None:
    """Remove the mark: the job is finished, or cancelled."""
    store.delete(f"{ACTIVE}/{job.id}")


def wanted_frames(job: Job, state: ControlState) -> tuple[Frame, ...]:
    """The job's frames in the order in which they are wanted, with those added later and without skipped ones."""
    added = sorted(state.frames - set(job.frames))
    return tuple(frame for frame in (*job.frames, *added) if frame not in state.skipped)


def _new(
    store: Store,
    shot: str,
    version: int,
    frozen: Frozen,
    frames: tuple[Frame, ...],
    priority: int,
    owner: str,
    earlier: list[Job],
) -> Job:
    job = Job(
        id=f"{shot}.{_version_text(version)}",
        shot=shot,
        version=version,
        hash=content_hash(shot, frozen, frames=frames),
        config=dict(frozen.config),
        frames=frames,
        scenes=dict(frozen.scenes),
        environment=dict(frozen.environment),
        engine=frozen.engine,
        rehearsal=frozen.rehearsal,
        errand=frozen.errand,
        replay=frozen.replay,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        owner=owner,
        priority=priority,
    )
    if job.replay is not None:
        bases = list(replayed(job, _replayed_version(earlier, job.replay)))
    elif job.errand is not None:
        bases = list(_parts_made(job, earlier))
    else:
        bases = [
            base
            for other in earlier
            if (base := reusable(job, other, frames=frames, earlier_frames=_made(store, other)))
        ]
    return job.model_copy(update={"bases": tuple(bases)})


def _parts_made(job: Job, earlier: list[Job]) -> Iterator[Base]:
    """The earlier versions of an errand that serve parts of it."""
    assert job.errand is not None
    for other in earlier:
        alike = (
            job.engine == other.engine
            and job.rehearsal == other.rehearsal
            and job.environment_key == other.environment_key
            and scene_identity(job.scenes) == scene_identity(other.scenes)
        )
        if alike and other.errand is not None and (same := same_parts(job.errand, other.errand)):
            yield Base(directory=other.directory, hash=other.hash, kinds=("parts",), frames=same)


def _replayed_version(earlier: list[Job], replay: Replay) -> Job:
    """Raises FarmError: it is gone, or another one has its number."""
    found = next((job for job in earlier if job.id == replay.job and job.hash == replay.hash), None)
    if found is None:
        raise FarmError(f"{replay.job} is not there any more, and so nothing to denoise")
    return found


def _made(store: Store, job: Job) -> tuple[Frame, ...]:
    """Frames that a version makes, without those that it could not make."""
    missing = {names.parse(f"absent/{name}").frame for name in store.children(f"{job.directory}/absent")}
    return tuple(f for f in wanted_frames(job, Control(store, job.directory).look()) if f not in missing)


def _is_same(job: Job, shot: str, frozen: Frozen, frames: tuple[Frame, ...]) -> bool:
    """Whether what is submitted is this job; it may have scenes of fewer frames than the job has frozen."""
    ours, theirs = scene_identity(frozen.scenes), scene_identity(job.scenes)
    return (
        all(theirs.get(frame) == xml for frame, xml in ours.items())
        and content_hash(shot, frozen, frames=frames, scenes=job.scenes) == job.hash
    )


def _attach(store: Store, job: Job, frames: tuple[Frame, ...], priority: int, terms: Mapping[str, Any]) -> None:
    state = Control(store, job.directory).look()
    before = job.config.get("farm") or {}
    if changed := {key: value for key, value in terms.items() if before.get(key) != value}:
        control.write(store, job.directory, "terms", changed)
    have = set(wanted_frames(job, state))
    added = [frame for frame in frames if frame not in have]
    if added:
        control.write(store, job.directory, "frames", added)
        store.delete(f"{job.directory}/{names.REPORT}")
    if state.held:
        control.write(store, job.directory, "resume")
    if priority != (job.priority if state.priority is None else state.priority):
        control.write(store, job.directory, "priority", priority)
    activate(store, job)


def _versions(store: Store, shot: str) -> list[int]:
    """Numbers of the versions that are claimed. A directory without `job.json` is somebody's who is just submitting."""
    found = [match for name in store.children(shot) if (match := _VERSION.fullmatch(name)) is not None]
    return sorted(int(match[1]) for match in found if store.exists(f"{shot}/{match[0]}/{names.JOB}"))


def _try_load(store: Store, shot: str, version: int) -> Job | None:
    job_id = f"{shot}.{_version_text(version)}"
    try:
        return load(store, job_id)
    except FarmError as error:
        log.warning("%s; it is left alone", error)
        return None


def _version_text(version: int) -> str:
    return f"v{version:03d}"
