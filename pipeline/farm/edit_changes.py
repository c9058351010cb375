"""Submitting an edit: only what changed since another one, and the edit back with its rendered frames.

A shot whose content is that of its newest version is rendered at the frames which the new edit shows and the old one
did not; any other is rendered as a whole, since every frame of it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.frames import FrameRange
from pipeline.editorial.conform import Rendered, write_conformed
from pipeline.editorial.diff import compare
from pipeline.editorial.timeline import read_edit
from pipeline.errors import ConfigError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.control import Control
from pipeline.farm.job import Job, wanted_frames
from pipeline.farm.products import Products
from pipeline.farm.store import Store
from pipeline.farm.submission import Prepared, Result, Show, refusing, submit

__all__ = ["conformed_path", "rendered_frames", "submit_changes", "to_render", "write_back"]


def submit_changes(
    edit: Path,
    since: Path,
    overrides: Mapping[str, Any],
    *,
    settings: FarmConfig,
    out: str | None = None,
    wait: bool | None = None,
    workers: int | None = None,
    show: Show = lambda jobs, note: None,
) -> list[Result]:
    """Submits the frames of an edit that changed since another one.

    Args:
        edit: that is to be rendered.
        since: the one that was rendered before.
        overrides, settings, out, wait, workers, show: see `submission.submit`.

    Returns:
        One result for each shot with frames to render.

    Raises:
        PenumbraError: with the exit code 2 when nothing was claimed.
    """
    with refusing():
        added = {each.shot: each.added for each in compare(read_edit(since), read_edit(edit)).shots}
    return submit(
        [str(edit)],
        overrides,
        settings=settings,
        out=out,
        wait=wait,
        workers=workers,
        show=show,
        choose=lambda prepared, store: to_render(prepared, added, store),
    )


def to_render(prepared: Iterable[Prepared], added: Mapping[str, FrameRange | None], store: Store) -> Iterable[Prepared]:
    """What is left to render of every shot; shots without a frame to render are left out."""
    for each in prepared:
        shot = each.shot
        versions = [name for name in jobs.jobs(store) if name.rpartition(".")[0] == shot.shot]
        latest = jobs.load(store, versions[-1]) if versions else None
        same = latest is not None and latest.hash == jobs.content_hash(shot.shot, each.frozen, frames=shot.frame_list)
        if not same:
            yield each
            continue
        new = added.get(shot.shot)
        wanted = [] if new is None else [frame for frame in shot.frame_list if frame in new]
        if wanted:
            frames = FrameRange.of(wanted)
            yield replace(each, shot=shot.model_copy(update={"frames": frames}))


def write_back(edits: Sequence[Path], store: Store, results: Iterable[Result]) -> list[Path]:
    """Writes edits whose clips point at the frames that jobs have made.

    Args:
        edits: that were submitted.
        store: where the jobs live.
        results: of the submission.

    Returns:
        The files that were written: beside the versions of their shots, in the store's directory. None where the store
        is no local one, or no frame is there yet.
    """
    found = {}
    for result in results:
        rendered = rendered_frames(store, jobs.load(store, result.job))
        if rendered is not None:
            found[result.shot] = rendered
    written = []
    for edit in edits:
        target = conformed_path(store, edit)
        if target is not None and found and write_conformed(edit, target, found):
            written.append(target)
    return written


def conformed_path(store: Store, edit: Path) -> Path | None:
    """Where the edit with its frames goes: `<out>/<edit>.rendered.otio`; None where the store is no local one."""
    probe = store.path(f"{jobs.ACTIVE}/edit")
    return None if probe is None else probe.parent.parent / f"{edit.stem}.rendered.otio"


def rendered_frames(store: Store, job: Job) -> Rendered | None:
    """The frames of a job that are there; None while there are none, or the store has no local paths."""
    products = Products(store, job)
    wanted = wanted_frames(job, Control(store, job.directory).look())
    there = [frame for frame in wanted if products.exists(names.frame_product(frame))]
    if not there:
        return None
    file = products.facts(names.frame_product(there[0]))["exr"]
    path = store.path(products.name(file))
    if path is None:
        return None
    number = names.frame_text(there[0])
    prefix, _, suffix = path.name.rpartition(number)
    if not suffix:
        raise ConfigError(f"{path.name} has no frame number")
    return Rendered(
        path.parent.absolute().as_uri(),
        prefix,
        suffix,
        len(number),
        FrameRange.of(there),
        float(Fraction(job.config["fps"])),
    )
