"""Frozen files of jobs whose store is not a directory: a copy on this machine, filled from the bucket and into it.

Mitsuba reads files by their paths. So who submits freezes scenes into a directory of its own and uploads what the
bucket lacks, and a worker downloads what a frame needs before it loads it. Blobs are named by their content: a copy
is never stale, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.device import cache_directory
from pipeline.errors import SceneError
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.store import BLOBS, Store
from pipeline.scene import blobs
from pipeline.scene.spec import EVERY_FRAME

__all__ = ["blobs_of", "blobs_of_frame", "directory", "fetch", "fetch_frame", "listed_in", "mentioned", "push"]


def directory(store: Store) -> Path:
    """Where this machine has a store's blobs: the store's own directory, or a copy in the user's cache."""
    own = store.path(BLOBS)
    if own is not None:
        return own
    return cache_directory() / "blobs" / hashlib.sha256(store.url.encode()).hexdigest()[:16]


def push(store: Store, names: Iterable[str]) -> int:
    """Uploads blobs that the store lacks, and those that they name; returns how many. None where it is a directory.

    A blob goes after those that it names: what is in the store is there with all that belongs to it, and need not be on
    this machine.

    Raises:
        StoreError: the store cannot be written.
        SceneError: a blob is neither there nor on this machine, or is damaged.
    """
    if store.path(BLOBS) is not None:
        return 0
    folder, pushed = directory(store), 0
    for name in sorted(set(names)):
        if store.exists(f"{BLOBS}/{name}"):
            continue
        path = blobs.resolve(folder, name, {})
        pushed += push(store, listed_in(name, path))
        pushed += store.create(f"{BLOBS}/{name}", path.read_bytes())
    return pushed


def fetch(store: Store, names: Iterable[str]) -> Path:
    """The directory in which these blobs are, with those that they name; downloaded, and checked by content.

    Raises:
        StoreError: the store cannot be read.
        SceneError: a blob is missing from the store, or damaged in it.
    """
    folder = directory(store)
    if store.path(BLOBS) is None:
        pending, seen = sorted(set(names)), set(names)
        while pending:
            name = pending.pop()
            more = listed_in(name, _downloaded(store, folder, name)) - seen
            seen |= more
            pending += sorted(more)
    return folder


def fetch_frame(store: Store, job: Job, frame: Frame | None) -> Path:
    """As `fetch`, of what a task of a frame may load. Nothing is asked where the store is a directory."""
    return directory(store) if store.path(BLOBS) is not None else fetch(store, blobs_of_frame(job, frame))


def blobs_of_frame(job: Job, frame: Frame | None) -> set[str]:
    """Blobs that a task of a frame may load: its scene and those beside it, which motion needs, and what the config or
    an errand names (painted maps, references, photographs). Of a task of no frame, the latter alone."""
    near = set() if frame is None else {EVERY_FRAME, *(str(number) for number in (frame - 1, frame, frame + 1))}
    scenes = [scene for key, scene in job.scenes.items() if key in near]
    about = {} if job.errand is None else {"settings": job.errand.settings, "item": job.errand.items.get(str(frame))}
    return blobs_of([job.config, about], scenes)


def blobs_of(config: Any, scenes: Iterable[Any]) -> set[str]:
    """Blobs that a frozen config and frozen scenes name, without files that were left where they are."""
    found = {name for name in mentioned(config) if "." in name}
    for scene in scenes:
        found |= {scene["xml"], *scene.get("files", ())} - set(scene.get("references", ()))
    return found


def mentioned(value: Any) -> set[str]:
    """Every word in a JSON value that may be a blob's name, wherever it stands."""
    if isinstance(value, str):
        return {value} if blobs.is_blob(value) else set()
    if isinstance(value, Mapping):
        return set().union(*(mentioned(key) | mentioned(inner) for key, inner in value.items()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(mentioned, value))
    return set()


def listed_in(name: str, path: Path) -> set[str]:
    """Blobs that a blob names: lists are JSON. (What frozen XML names is known from its scene.)"""
    if not name.endswith(".json"):
        return set()
    try:
        return mentioned(json.loads(path.read_bytes()))
    except ValueError:
        return set()


def _downloaded(store: Store, folder: Path, name: str) -> Path:
    if not blobs.is_blob(name):
        raise SceneError(f"{name[:80]!r} is not the name of a frozen file")
    if not (folder / name).exists():
        _download(store, folder, name)
    return folder / name


def _download(store: Store, folder: Path, name: str) -> None:
    try:
        data = store.read(f"{BLOBS}/{name}")
    except FileNotFoundError:
        raise SceneError(f"frozen file {name} is missing in {store.url}; submit the shot again") from None
    if hashlib.sha256(data).hexdigest() != name[:64]:
        raise SceneError(f"frozen file {name} is damaged in {store.url}; submit the shot again")
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, folder / name)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
