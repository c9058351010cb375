"""Submitting: from names of shots and edits to frames; all that is wrong is found before anything is claimed.

    sources ──resolve──▶ shots ──prepare──▶ frozen shots ──claim──▶ jobs ──▶ farm ──▶ results

Each step up to the claim is done for all shots before the next one begins: a missing texture in the last shot of an
edit leaves nothing enqueued of the first. What goes wrong until then ends the command with exit code 2, whatever kind
of error it is. Where no broker is configured, a private Redis and workers on this machine make the frames of all shots.
"""

from __future__ import annotations

import getpass
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.frames import FrameRange
from pipeline.config.load import load_shot
from pipeline.config.problems import nearest
from pipeline.config.shot import Shot
from pipeline.denoise.weights import fingerprint
from pipeline.errors import ConfigError, PenumbraError, SceneError, StoreError
from pipeline.farm import attempts, blob_mirror
from pipeline.farm.client import Farm
from pipeline.farm.environments import Weights, environment_for, environment_of, weights_of
from pipeline.farm.job import Frozen, Job, claim, deactivate
from pipeline.farm.limits import Limits
from pipeline.farm.progress import FrameSnapshot, JobSnapshot, JobState, Progress, snapshot
from pipeline.farm.store import BLOBS, Store, open_store
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import FrozenScene

__all__ = [
    "Claimed",
    "Prepared",
    "Result",
    "Show",
    "above_target",
    "check_store",
    "claim_all",
    "deliver",
    "follow",
    "open_farm",
    "prepare",
    "refusing",
    "remarks",
    "render",
    "resolve",
    "result_of",
    "submit",
]

Show = Callable[[Sequence[JobSnapshot], str], object]
"""Is told how far the jobs are, and in a few words what is going on beside that (empty when nothing is)."""

STARTING: Final = "waiting for workers to start"

LOOK_SECONDS: Final = 0.5
LOOK_SHARE: Final = 10
"""Progress is looked at twice a second, but at most a tenth of the time goes into looking: big jobs on slow disks."""

TRIAL_BYTES: Final = 1 << 20
"""Size of the file that shows whether the store has any room: more than a job's own records need."""


@dataclass(frozen=True)
class Prepared:
    """A shot that is ready to be claimed: checked, and its scenes frozen.

    Attributes:
        shot: as configured, with the options laid over it.
        frozen: all that its pixels depend on.
        warnings: what the user should know, one line each.
    """

    shot: Shot
    frozen: Frozen
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claimed:
    """A submitted job.

    Attributes:
        job: the version that makes the frames.
        attached: it was there already: it goes on, or is done.
        frames: that were asked for now, ascending.
        warnings: as in `Prepared`.
    """

    job: Job
    attached: bool
    frames: tuple[int, ...]
    warnings: tuple[str, ...] = ()


Choose = Callable[[list[Prepared], Store], Iterable[Prepared]]
"""Picks what is claimed among shots that were checked."""


@contextmanager
def refusing() -> Iterator[None]:
    """Within it nothing is enqueued yet, so that every expected error is bad input: exit code 2."""
    try:
        yield
    except PenumbraError as error:
        error.exit_code = ConfigError.exit_code
        raise


def resolve(sources: Sequence[str], overrides: Mapping[str, Any]) -> tuple[list[Shot], list[str]]:
    """The shots that some sources name, each once, and notes about the edits among them.

    Args:
        sources: names of shots, directories, `shot.yaml` files, or `.otio` edits, which stand for all of their shots.
        overrides: values by dotted key, as for `load_shot`. Of an edit, `frames` leaves those that it shows.

    Returns:
        The shots in the order in which they were named. A shot that is named several times has all frames that were
        asked for. And notes, one line each.

    Raises:
        ConfigError: a line per problem, of all sources.
    """
    shots: dict[str, Shot] = {}
    notes: list[str] = []
    problems: list[ConfigError] = []
    for source in sources:
        try:
            for shot in _shots_of(source, overrides, notes):
                known = shots.get(shot.shot)
                shots[shot.shot] = shot if known is None else _joined(known, shot, source)
        except ConfigError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    return list(shots.values()), notes


def _shots_of(source: str, overrides: Mapping[str, Any], notes: list[str]) -> list[Shot]:
    path = Path(source)
    if path.suffix.lower() == ".otio" or (path.is_file() and path.suffix.lower() not in (".yaml", ".yml")):
        from pipeline.editorial.timeline import load_edit_shots, read_edit  # brings OpenTimelineIO

        edit = read_edit(path)
        shots = load_edit_shots(edit, overrides)
        notes.extend(f"{path}: {note}" for note in edit.notes)
        return shots
    return [load_shot(source, overrides)]


def _joined(known: Shot, other: Shot, source: str) -> Shot:
    """One shot with the frames of both, which must be the same otherwise."""
    frames = FrameRange.of([*known.frames, *other.frames])
    joined = known.model_copy(update={"frames": frames})
    if joined != other.model_copy(update={"frames": frames}):
        raise ConfigError(
            f"shot {known.shot} is named twice, with different settings; submit it in two steps", path=source
        )
    return joined


def check_store(store: Store) -> None:
    """Creates a file in the store and removes it.

    Raises:
        StoreError: the store is read-only, full, or no place for products.
    """
    name = f"{BLOBS}/trial-{secrets.token_hex(8)}"
    store.create(name, bytes(TRIAL_BYTES))
    store.delete(name)


def prepare(
    shots: Iterable[Shot], store: Store, environment: Mapping[str, Any], *, weights: Weights = fingerprint
) -> list[Prepared]:
    """Checks and freezes the scenes of shots; nothing is claimed, and no other submit sees anything of it.

    Args:
        shots: to submit.
        store: whose directory of frozen files takes the scenes, by content.
        environment: of the workers that will render, with its `key`.
        weights: that they have, for shots that ask for a network.

    Raises:
        SceneError: everything that is wrong with all scenes, one line each.
        StoreError: the store cannot be written.
    """
    from pipeline.farm.masks import freeze_masks  # brings numpy

    blobs = blob_mirror.directory(store)
    prepared: list[Prepared] = []
    problems: list[PenumbraError] = []
    for shot in shots:
        try:
            scenes = freeze(shot, shot.frame_list, blobs)
            _check_lambda_by_shape(shot, scenes.values())
            config = shot.model_dump(mode="json", by_alias=True)
            freeze_masks(shot, config, blobs)
            whole = environment_of(config, environment, weights)
        except StoreError:
            raise
        except PenumbraError as error:
            problems.append(error)
            continue
        frozen = Frozen(config, whole, {frame: scene.to_json() for frame, scene in scenes.items()})
        warnings = dict.fromkeys(warning for scene in scenes.values() for warning in scene.warnings)
        prepared.append(Prepared(shot, frozen, (*warnings, *remarks(shot))))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise type(problems[0])("\n".join(str(problem) for problem in problems))
    return prepared


def remarks(shot: Shot) -> list[str]:
    """What the user should know about a shot's denoiser, and its shutter."""
    denoise, told = shot.denoise, []
    steered = denoise.lambda_ != 1.0 or denoise.lambda_map is not None or denoise.lambda_by_shape
    if denoise.backend != "kpcn" and steered:
        told.append(f"{shot.shot}: λ has no effect on the denoiser `{denoise.backend}`")
    if shot.shutter is not None and not shot.animate and shot.camera is None:
        told.append(f"{shot.shot}: the shutter has no effect, as neither camera nor shapes have keyframes")
    return told


def _check_lambda_by_shape(shot: Shot, scenes: Iterable[FrozenScene]) -> None:
    """Raises SceneError: no scene of the shot has a shape of that name, one line each."""
    shapes = {name for scene in scenes for name in scene.shapes}
    unknown = [name for name in shot.denoise.lambda_by_shape if name not in shapes]
    if unknown:
        hints = [f" ({near})" if (near := nearest(name, shapes)) else "" for name in unknown]
        lines = (
            f"{shot.shot}: denoise.lambda_by_shape.{name}: no shape of the scene has this id{hint}"
            for name, hint in zip(unknown, hints, strict=True)
        )
        raise SceneError("\n".join(lines))


def claim_all(prepared: Iterable[Prepared], store: Store, *, owner: str | None = None) -> list[Claimed]:
    """Claims a version for each shot, or attaches to the one that is the same.

    What a bucket lacks of their frozen files is uploaded before, so that workers find it; and once more after, since a
    clean-up between the two saw no job that needs it.

    Args:
        prepared: the shots.
        store: where they go.
        owner: who submits; by default the user of this process.

    Raises:
        FarmError, StoreError: see `pipeline.farm.job.claim`.
    """
    claimed, who = [], owner or getpass.getuser()
    for each in prepared:
        frames, frozen = each.shot.frame_list, each.frozen
        files = blob_mirror.blobs_of(frozen.config, frozen.scenes.values())
        blob_mirror.push(store, files)
        job, attached = claim(store, each.shot.shot, frozen, frames=frames, priority=each.shot.priority, owner=who)
        blob_mirror.push(store, files)
        claimed.append(Claimed(job, attached, tuple(frames), each.warnings))
    return claimed


# --- the farm -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What became of a submitted shot: the document of `pipeline submit --json`.

    Attributes:
        job: its id.
        shot, version: what the id says.
        state: `done`; `failed`, `cancelled`; or, when nobody waited, how far it is.
        directory: of the job.
        frames: path of the deliverable by frame, of the frames that were asked for and are there.
        warnings: one line each.
    """

    job: str
    shot: str
    version: int
    state: JobState
    directory: str
    frames: dict[str, str]
    warnings: list[str]


def submit(
    sources: Sequence[str],
    overrides: Mapping[str, Any],
    *,
    settings: FarmConfig,
    out: str | None = None,
    wait: bool | None = None,
    workers: int | None = None,
    show: Show = lambda jobs, note: None,
    owner: str | None = None,
    choose: Choose = lambda prepared, store: prepared,
) -> list[Result]:
    """Submits shots to the farm, or renders them here where no broker is configured.

    Args:
        sources, overrides: see `resolve`.
        settings: of the farm; without `broker_url` a private Redis and local workers are started, and ended again.
        out: store, in place of the farm's.
        wait: until the frames are there. By default only where they are made here, which needs it.
        workers: local ones; by default one for each GPU, or one for the CPU.
        show: is told how far the jobs are.
        owner: who submits; by default the user of this process.
        choose: which of the checked shots are claimed, and at which of their frames.

    Returns:
        One result for each shot that is claimed, in the order of the sources.

    Raises:
        PenumbraError: with the exit code 2 when nothing was claimed.
    """
    with refusing():
        shots, notes = resolve(sources, overrides)
        farm = open_farm(settings, out, wait=wait)
        check_store(farm.store)
        show([], "checking scenes")
        rendering = environment_for(farm)
        prepared = prepare(shots, farm.store, rendering, weights=weights_of(farm, rendering))
        claimed = claim_all(choose(prepared, farm.store), farm.store, owner=owner)
    results = deliver(claimed, farm, wait=wait, workers=workers, show=show)
    for result in results:
        result.warnings[:0] = notes
    return results


def open_farm(settings: FarmConfig, out: str | None, *, wait: bool | None) -> Farm:
    """The farm that jobs go to; the store alone where no broker is configured.

    Args:
        settings: of the farm.
        out: store, in place of the farm's.
        wait: whether somebody is going to wait for the frames.

    Raises:
        ConfigError: nobody waits, and there is no farm that would go on.
        FarmError: the broker does not answer.
        StoreError: there can be no store at this place.
    """
    if settings.broker_url is not None:
        return Farm.connect(open_store(out or settings.store), settings)
    if wait is False:
        raise ConfigError(
            "no farm is configured, so that nobody would go on with the work", suggestion="leave out --detach"
        )
    return Farm.offline(open_store(out or settings.store), settings)


def deliver(
    claimed: Sequence[Claimed], farm: Farm, *, wait: bool | None, workers: int | None, show: Show
) -> list[Result]:
    """Sets claimed jobs going on the farm, or makes their frames here where there is none.

    Args:
        claimed: the jobs.
        farm: from `open_farm`.
        wait: until the frames are there; None waits only where they are made here.
        workers: local ones, where there is no farm.
        show: is told how far the jobs are.

    Raises:
        FarmError: the broker is gone, or the local workers give up.
    """
    if farm.config.broker_url is None:
        return render(claimed, farm.store, farm.config, workers=workers, show=show)
    said = {each.job.id: farm.submit(each.job) for each in claimed}
    if wait:
        follow(farm, [each.job for each in claimed], show)
    return [result_of(farm.store, each, said[each.job.id]) for each in claimed]


def render(
    claimed: Sequence[Claimed],
    store: Store,
    settings: FarmConfig,
    *,
    workers: int | None = None,
    show: Show = lambda jobs, note: None,
    engine: str = "mitsuba",
) -> list[Result]:
    """Makes the frames of claimed jobs on this machine, with a private Redis and workers that end with this call.

    Args:
        claimed: jobs, whose farm is shared.
        store: a local one, where they live.
        settings: of the farm.
        workers: how many; by default one for each GPU, or one for the CPU.
        show: is told how far the jobs are.
        engine: as `Farm.embedded` takes it.

    Raises:
        FarmError: Redis does not start, or the workers give up.
        KeyboardInterrupt: Ctrl-C; the jobs are paused, and go on when they are submitted again.
    """
    ready = Farm.offline(store, settings)
    todo = [each for each in claimed if ready.state(each.job) != "done"]
    for each in claimed:
        if each not in todo:
            deactivate(store, each.job)  # nobody needs to look at it again
    if todo:
        show([], STARTING)
        try:
            with Farm.embedded(store, settings, workers=workers, engine=engine, events=False) as farm:
                for each in todo:
                    farm.submit(each.job)
                follow(farm, [each.job for each in todo], show)
        except KeyboardInterrupt:
            # Else the next submit, of whatever shot, would go on with these as well. Submitting them again resumes.
            for each in todo:
                if ready.state(each.job) == "active":
                    ready.pause(each.job)
            raise
    return [result_of(store, each) for each in claimed]


def follow(farm: Farm, jobs: Sequence[Job], show: Show) -> None:
    """Waits until jobs are done, failed or cancelled, and tells how far they are.

    Raises:
        FarmError: the workers of an embedded farm give up.
    """
    watched = [Progress(farm.store, job, cost_per_hour=farm.config.cost_per_hour) for job in jobs]
    due = 0.0
    manned = farm.config.broker_url is None

    def look(*, last: bool = False) -> None:
        nonlocal due, manned
        start = time.monotonic()
        if start < due and not last:
            return
        manned = manned or bool(farm.workers())
        full = farm.on_hold()
        note = f"waiting for room: {full}" if full else "" if manned else STARTING
        slots = farm.slots()
        show([progress.snapshot(slots=slots) for progress in watched], note)
        due = time.monotonic() + max(LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - start))

    for job in jobs:
        farm.wait(job, look, every=LOOK_SECONDS / 2)
    look(last=True)


def result_of(store: Store, claimed: Claimed, warnings: Iterable[str] = ()) -> Result:
    """What became of a submitted job so far."""
    job = claimed.job
    found = snapshot(store, job)
    wanted = set(claimed.frames)
    frames = [frame for frame in found.frames if frame.frame in wanted]
    told = [*claimed.warnings, *warnings]
    told += above_target(Limits.of(job), found.frames)
    told += [f"frame {frame.frame} could not be made" for frame in frames if frame.state == "absent"]
    told += [
        f"frame {frame.frame} was made without a neighbour that could not be" for frame in frames if frame.degraded
    ]
    for task in found.failures:
        why = attempts.failure(store, job.directory, task)
        told.append(f"{task} failed ({why.kind}, {why.attempts} attempts): {why.reason}")
    return Result(
        job=job.id,
        shot=job.shot,
        version=job.version,
        state=found.state,
        directory=_place(store, job.directory),
        frames={
            str(frame.frame): _place(store, f"{job.directory}/{frame.path}")
            for frame in frames
            if frame.path is not None
        },
        warnings=told,
    )


def above_target(limits: Limits, frames: Sequence[FrameSnapshot]) -> list[str]:
    """Frames that stopped above their target: a line for each reason, with their numbers."""
    if limits.target_error <= 0.0:
        return []
    done = [frame for frame in frames if frame.state == "done"]
    above = [frame for frame in done if not limits.reached(frame.error or 0.0, frame.error_p99 or 0.0)]
    told = []
    for reason, words in (("max_spp", "max_spp"), ("budget", "the end of budget_spp")):
        numbers = [frame.frame for frame in above if frame.reason == reason]
        if numbers:
            count = f"{len(numbers)} of {len(frames)} frames"
            told.append(f"{count} stopped at {words} above target_error: {FrameRange.of(numbers)}")
    return told


def _place(store: Store, name: str) -> str:
    """Where a name of the store is, for people and programs outside."""
    path = store.path(name)
    return f"{store.url}/{name}" if path is None else str(path)
