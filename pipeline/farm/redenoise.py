"""Another λ, or another denoiser, for a version that is rendered: a new version from its buffers, without a sample.

The new version replays the one that was rendered: it takes its sample maps, sums and stops as they are, frame by frame,
and makes denoised frames and deliverables anew. So it does where the guide looked at denoised pictures, and another λ
would have led to other samples: to see what a λ does, the samples must stay. Neighbours come from the whole rendered
version, also when a part of its frames is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.frames import FrameRange
from pipeline.config.load import overlaid
from pipeline.denoise.weights import fingerprint
from pipeline.errors import ConfigError
from pipeline.farm import blob_mirror, names, plan
from pipeline.farm import job as jobs
from pipeline.farm.control import Control
from pipeline.farm.environments import Weights, environment_for, environment_of, weights_of
from pipeline.farm.job import Frozen, Job, Replay, wanted_frames
from pipeline.farm.lookup import find_job
from pipeline.farm.names import Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.reuse import REPLAYED
from pipeline.farm.store import Store
from pipeline.farm.submission import (
    Prepared,
    Result,
    Show,
    check_store,
    claim_all,
    deliver,
    open_farm,
    refusing,
    remarks,
)

__all__ = ["prepare", "redenoise"]

MAP = "denoise.lambda_map"


def redenoise(
    source: str,
    overrides: Mapping[str, Any],
    *,
    settings: FarmConfig,
    out: str | None = None,
    wait: bool | None = None,
    workers: int | None = None,
    show: Show = lambda jobs, note: None,
) -> Result:
    """Denoises a version anew, on the farm, or here where no broker is configured.

    Args:
        source: a job's id, or a shot, whose newest version is meant.
        overrides: see `prepare`.
        settings, out, wait, workers, show: see `submission.submit`.

    Raises:
        PenumbraError: with the exit code 2 when nothing was claimed.
    """
    with refusing():
        farm = open_farm(settings, out, wait=wait)
        base = find_job(farm.store, source)
        check_store(farm.store)
        rendering = environment_for(farm)
        prepared = prepare(base, farm.store, overrides, rendering, weights=weights_of(farm, rendering))
        claimed = claim_all([prepared], farm.store)
    (result,) = deliver(claimed, farm, wait=wait, workers=workers, show=show)
    return result


def prepare(
    version: Job,
    store: Store,
    overrides: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    weights: Weights = fingerprint,
) -> Prepared:
    """Checks that a version can be denoised anew, and freezes what the new one is; nothing is claimed.

    Args:
        version: whose settings hold where `overrides` says nothing.
        store: where it lives.
        overrides: values by dotted key, of `denoise` and `frames`; a λ map by its path from the current directory.
        environment: of the workers, with its `key`.
        weights: that they have.

    Raises:
        ConfigError: a wrong value, or frames whose buffers are not there.
        FarmError: the rendered version is gone.
    """
    if version.engine != "mitsuba":
        raise ConfigError(f"{version.id} is a rehearsal, which has nothing to denoise")
    rendered = version if version.replay is None else jobs.load(store, version.replay.job)
    had = _frames(version, store)
    config = {**version.config, "frames": str(FrameRange.of(had))}
    shot = overlaid(config, {key: value for key, value in overrides.items() if key != MAP})
    known = sorted({*rendered.frames, *Control(store, rendered.directory).look().frames})
    config = shot.model_dump(mode="json", by_alias=True)
    _require_buffers(rendered, store, config, shot.frame_list, known)
    warnings = []
    if MAP in overrides:
        config["denoise"]["lambda_map"] = _freeze_map(overrides[MAP], rendered, store, shot.frame_list[0])
        shot = overlaid(config, {})
    elif "denoise.lambda" in overrides and shot.denoise.lambda_map is not None:
        warnings.append(
            f"{shot.shot}: the λ map of {version.id} stands in place of --lambda; --lambda-map none leaves it out"
        )
    frozen = Frozen(
        config,
        environment_of(config, environment, weights),
        version.scenes,
        replay=Replay(job=rendered.id, hash=rendered.hash, frames=tuple(known)),
    )
    return Prepared(shot, frozen, (*warnings, *remarks(shot)))


def _frames(version: Job, store: Store) -> tuple[Frame, ...]:
    return wanted_frames(version, Control(store, version.directory).look())


def _freeze_map(path: str | None, rendered: Job, store: Store, frame: Frame) -> str | None:
    """The blob of a λ map, which must have the size of the rendered frames; None leaves maps out.

    Raises:
        ConfigError: it is not there, not an EXR or PNG, or of another size.
    """
    from pipeline.farm.masks import freeze_lambda_map  # brings numpy

    if path is None:
        return None
    if not Path(path).is_file():
        raise ConfigError(f"λ map {path} does not exist", path="--lambda-map", key=MAP)
    height, width = Products(store, rendered).read(names.samples(frame, 0)).arrays["map"].shape
    return freeze_lambda_map(Path(path), (height, width), blob_mirror.directory(store))


def _require_buffers(
    rendered: Job, store: Store, config: Mapping[str, Any], wanted: Collection[Frame], known: Collection[Frame]
) -> None:
    """Makes sure that nothing is left to render for the frames that are wanted, and for their neighbours.

    Raises:
        ConfigError: the rendered version lacks frames, or their buffers.
    """
    products = Products(store, rendered)
    state = Control(store, rendered.directory).look()
    absent = {frame for frame in known if products.exists(names.absent(frame))}
    if unknown := set(wanted).difference(known):
        raise ConfigError(
            f"{rendered.id} has no {_told(unknown)}", key="frames", suggestion=f"it has {FrameRange.of(known)}"
        )
    if missing := absent.intersection(wanted):
        raise ConfigError(
            f"{rendered.id} could not make {_told(missing)}", key="frames", suggestion="leave them out with --frames"
        )
    left_out = absent | (state.skipped - set(wanted))
    job = JobPlan.of(rendered.model_copy(update={"config": dict(config)}))  # whose window may be another
    job = replace(job, frames=tuple(f for f in known if f not in left_out), skipped=frozenset(left_out))
    view = _Rendered(products)
    unfinished: set[Frame] = set()
    gone: set[Frame] = set()
    for frame in wanted:
        if not view.exists(names.stop(frame)):
            unfinished.add(frame)
            continue
        window = plan.window(job, frame, int(view.facts(names.stop(frame))["round"]), view)
        if window is None:
            near = set(job.neighbours(frame)) - left_out
            unfinished |= {each for each in near if not view.exists(names.stop(each))}
        else:
            gone |= {each for each, name in window.items() if not view.exists(name)}
    if unfinished:
        raise ConfigError(
            f"{rendered.id} has not rendered {_told(unfinished)} to the end",
            suggestion="wait for it, or name other frames with --frames",
        )
    if gone:
        raise ConfigError(
            f"{rendered.id} has no buffers of {_told(gone)} any more", suggestion="pipeline submit renders them again"
        )


class _Rendered:
    """What of a version's products one that replays it finds: no denoised frames, no deliverables, no marks."""

    def __init__(self, products: Products) -> None:
        self._products = products

    def exists(self, name: str) -> bool:
        """Whether it is there, and taken over."""
        return names.parse(name).kind in REPLAYED and self._products.exists(name)

    def facts(self, name: str) -> Mapping[str, Any]:
        """Facts of a product. Raises ProductError if it is gone, or damaged."""
        return self._products.facts(name)


def _told(frames: Iterable[Frame]) -> str:
    """`frame 1003`, `frames 1003-1005`, or the beginning of a long list."""
    found = FrameRange.of(frames)
    text = str(found)
    return f"frame{'s' * (len(found.frames) != 1)} {text if len(text) <= 60 else text[:59] + '…'}"
