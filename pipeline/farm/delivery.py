"""Finished frames under the names that a shot's `output` templates give them, beside the version's own files.

On a local store the second name is a link: it takes no room, and stays when the version is cleaned away.
"""

from __future__ import annotations

import os
from typing import Final

from pipeline.config.output import Output
from pipeline.config.template import expand
from pipeline.errors import StoreError
from pipeline.farm.job import Job
from pipeline.farm.names import Frame
from pipeline.farm.store import Store

__all__ = ["KINDS", "deliver", "target"]

KINDS: Final = {"exr": "frames", "png": "review"}
"""The key of `output` by the kind of file."""


def target(job: Job, kind: str, frame: Frame) -> str | None:
    """Name in the store of one frame's file; None where the shot asks for none."""
    template = getattr(Output.model_validate(job.config.get("output") or {}), KINDS[kind])
    if template is None:
        return None
    names = {key: str(job.config.get(key) or "") for key in ("show", "sequence")}
    return expand(template, **names, shot=job.shot, version=job.version, frame=frame)


def deliver(store: Store, job: Job, kind: str, frame: Frame, made: str, data: bytes) -> str | None:
    """Puts a frame's file under its second name. One of other content, from before a retry, is moved aside.

    Args:
        store: where jobs live.
        job: whose frame it is.
        kind: `exr` or `png`.
        frame: its number.
        made: name of the file in the store.
        data: its content.

    Returns:
        The second name; None where the shot asks for none.

    Raises:
        StoreError: it cannot be written.
    """
    name = target(job, kind, frame)
    if name is None or name == made:
        return None
    if not _placed(store, made, name, data) and store.read(name) != data:
        store.quarantine(name)
        _placed(store, made, name, data)
    return name


def _placed(store: Store, made: str, name: str, data: bytes) -> bool:
    """Create-if-absent."""
    origin, place = store.path(made), store.path(name)
    if origin is None or place is None:
        return store.create(name, data)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(origin, place)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {error.strerror or error}") from error
    return True
