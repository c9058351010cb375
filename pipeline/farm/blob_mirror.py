"""Frozen files of jobs whose store is not a directory: a copy on this machine, filled from the bucket and into it.

Mitsuba reads files by their paths. So who submits freezes scenes into a directory of its own and uploads what the
bucket lacks, and a worker downloads what a frame needs before it loads it. Blobs are named by their content: a copy
is never stale, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.device import cache_directory
from pipeline.errors import SceneError
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.store import BLOBS, Store
from pipeline.scene import blobs
from pipeline.scene.spec import EVERY_FRAME

__all__ = ["blobs_of_config", "blobs_of_frame", "directory", "fetch", "push"]


def directory(store: Store) -> Path:
    """Where this machine has a store's blobs: the store's own directory, or a copy in the user's cache."""
    own = store.path(BLOBS)
    if own is not None:
        return own
    return cache_directory() / "blobs" / hashlib.sha256(store.url.encode()).hexdigest()[:16]


def push(store: Store, names: Iterable[str]) -> int:
    """Uploads blobs that the store lacks; returns how many. Nothing to do where the store is a directory.

    Raises:
        StoreError: the store cannot be written.
        SceneError: a blob is not on this machine, or is damaged.
    """
    if store.path(BLOBS) is not None:
        return 0
    folder, pushed = directory(store), 0
    for name in sorted(set(names)):
        if not store.exists(f"{BLOBS}/{name}"):
            pushed += store.create(f"{BLOBS}/{name}", blobs.resolve(folder, name, {}).read_bytes())
    return pushed


def fetch(store: Store, names: Iterable[str]) -> Path:
    """The directory in which these blobs are, downloaded where they were not there; checked by content.

    Raises:
        StoreError: the store cannot be read.
        SceneError: a blob is missing from the store, or damaged in it.
    """
    folder = directory(store)
    if store.path(BLOBS) is None:
        for name in sorted(set(names)):
            if not (folder / name).exists():
                _download(store, folder, name)
    return folder


def blobs_of_frame(job: Job, frame: Frame) -> set[str]:
    """Blobs that a task of a frame may load: its scene and those beside it, which motion needs, and painted maps."""
    wanted = {EVERY_FRAME, *(str(near) for near in (frame - 1, frame, frame + 1))}
    return _blobs_of_scenes(scene for key, scene in job.scenes.items() if key in wanted) | blobs_of_config(job.config)


def blobs_of_config(config: Any) -> set[str]:
    """Blobs that a frozen config names: the importance mask, the λ map."""
    named = ((config.get("sampling") or {}).get("importance"), (config.get("denoise") or {}).get("lambda_map"))
    return {name for name in named if isinstance(name, str) and blobs.is_blob(name)}


def _blobs_of_scenes(scenes: Iterable[Any]) -> set[str]:
    found: set[str] = set()
    for scene in scenes:
        found.add(scene["xml"])
        found.update(name for name in scene.get("files", ()) if name not in scene.get("references", ()))
    return found


def _download(store: Store, folder: Path, name: str) -> None:
    if not blobs.is_blob(name):
        raise SceneError(f"{name[:80]!r} is not the name of a frozen file")
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
