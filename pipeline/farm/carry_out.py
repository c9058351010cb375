"""Carrying out errands: claimed as jobs are, made on the farm or here, and what they made fetched."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import ConfigError, PenumbraError
from pipeline.farm import attempts, blob_mirror, names
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.farm.errands import Errand, ErrandKind, numbered
from pipeline.farm.job import Frozen, Job
from pipeline.farm.products import Products
from pipeline.farm.store import Store
from pipeline.farm.submission import Claimed, Show, check_store, deliver, open_farm

__all__ = ["Asked", "Ended", "Failed", "claim", "files", "given_up", "name_of", "place", "run", "safe_name"]


@dataclass(frozen=True)
class Asked:
    """What is to be claimed.

    Attributes:
        kind: of errand.
        name: of what it is about: a folder, a shot.
        settings, items, chained: as in `Errand`; items without their numbers.
        environment: what the parts depend on beside them, with its `key`.
        scenes: frozen ones, as a job has them.
        farm: its terms, `pipeline.config.terms.Terms` as JSON values.
        priority: 0 (last) … 9 (first).
    """

    kind: ErrandKind
    name: str
    settings: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    environment: Mapping[str, Any]
    chained: bool = False
    scenes: Mapping[str, Any] | None = None
    farm: Mapping[str, Any] | None = None
    priority: int = 5


@dataclass(frozen=True)
class Failed:
    """A part that was given up.

    Attributes:
        part: its number.
        item: what it was about.
        reason: how its last attempt ended, one line.
    """

    part: int
    item: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Ended:
    """What became of an errand.

    Attributes:
        job: the job.
        state: `done`; `failed`: parts were given up; `cancelled`; or, when nobody waited, how far it is.
    """

    job: Job
    state: str


def name_of(kind: ErrandKind, name: str) -> str:
    """What an errand's jobs are called in the store, without their version."""
    return f"{kind}.{name}"


def place(settings: FarmConfig, *, wait: bool) -> Farm:
    """The farm that errands go to; the store alone where no broker is configured, and they are made here.

    Raises:
        ConfigError: nobody waits, and there is no farm that would go on.
        FarmError: the broker does not answer.
        StoreError: the store cannot be written.
    """
    farm = open_farm(settings, None, wait=wait)
    check_store(farm.store)
    return farm


def claim(farm: Farm, asked: Asked) -> Claimed:
    """Claims a version, or attaches to the one that is the same. Frozen files are in the directory of blobs by then.

    Raises:
        FarmError, StoreError: see `pipeline.farm.job.claim`.
    """
    store, name = farm.store, name_of(asked.kind, asked.name)
    items = numbered(asked.items, None if asked.chained else _newest(store, name))
    errand = Errand(kind=asked.kind, settings=dict(asked.settings), items=items, chained=asked.chained)
    frozen = Frozen(
        config={"farm": dict(asked.farm or {})},
        environment=asked.environment,
        scenes=dict(asked.scenes or {}),
        engine="errand",
        errand=errand,
    )
    named = blob_mirror.blobs_of(errand.model_dump(mode="json"), frozen.scenes.values())
    blob_mirror.push(store, named)
    job, attached = jobs.claim(
        store, name, frozen, frames=errand.parts, priority=asked.priority, owner=getpass.getuser()
    )
    blob_mirror.push(store, named)  # a clean-up between the two saw no job that needs them
    return Claimed(job, attached, errand.parts)


def run(claimed: Sequence[Claimed], farm: Farm, *, wait: bool, workers: int | None = None, show: Show) -> list[Ended]:
    """Sets claimed errands going on the farm, or makes them here where there is none.

    Args:
        claimed: the errands.
        farm: of `place`.
        wait: until they end.
        workers: local ones, where there is no farm.
        show: is told how far they are.

    Raises:
        FarmError: the broker is gone, or the local workers give up.
    """
    results = deliver(claimed, farm, wait=wait, workers=workers, show=show)
    return [Ended(each.job, str(result.state)) for each, result in zip(claimed, results, strict=True)]


def files(store: Store, job: Job, part: int) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    """The facts of a part, and its files by their relative paths.

    Raises:
        ProductError: it is not there, or is damaged and was moved aside to be made anew.
    """
    found = Products(store, job).read(names.part(part))
    return found.facts, {path: array.tobytes() for path, array in found.arrays.items()}


def given_up(store: Store, job: Job) -> list[Failed]:
    """The parts of an errand that could not be made, ascending."""
    assert job.errand is not None
    found, products = [], Products(store, job)
    for part in job.errand.parts:
        if not products.exists(names.absent(part)):
            continue
        task = str(products.recorded(names.absent(part)).get("task") or names.part(part))
        try:
            reason = attempts.failure(store, job.directory, task).reason
        except FileNotFoundError:
            reason = "somebody is having it tried again"
        found.append(Failed(part, job.errand.item(part), reason))
    return found


def _newest(store: Store, name: str) -> Errand | None:
    """The newest version of an errand, whose items keep their numbers."""
    for job_id in reversed(jobs.jobs(store, name)):
        try:
            if (found := jobs.load(store, job_id).errand) is not None:
                return found
        except PenumbraError:
            continue  # of another release, or damaged: it is left alone
    return None


def safe_name(path: Path) -> str:
    """A name for the errand of a folder or a file.

    Raises:
        ConfigError: nothing of its name can be used.
    """
    text = "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "_-" else "-" for letter in path.name)
    if not (name := text.strip("-")[:60]):
        raise ConfigError(f"{path}: no letter or digit of its name can be used for a job; rename it")
    return name
