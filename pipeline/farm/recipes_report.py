"""What ends a job: report.json, contact sheet, movie and review page, from products of all frames, read once more."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.config.film import rendered_size
from pipeline.config.frames import FrameRange
from pipeline.config.output import Output
from pipeline.errors import ProductError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.job import Job
from pipeline.farm.limits import Limits
from pipeline.farm.names import Name
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.progress import JobState
from pipeline.farm.publish import Published, publish
from pipeline.farm.recipes import Made
from pipeline.farm.recipes_frame import planned
from pipeline.images import contact_sheet, movie
from pipeline.images.burn_in import burnt_in, slate
from pipeline.images.viewing import png_bytes

__all__ = ["MOVIE", "PAGE", "REPORT_FILE", "SHEET", "check_files", "report"]

REPORT_FILE: Final = "report.json"
SHEET: Final = "review/contact_sheet.png"
MOVIE: Final = "review/{shot}.mp4"
PAGE: Final = "review/index.html"


def report(_: Name, job: Job, products: Products, context: Context) -> Made:
    """Writes the job's report, sheet, movie and page; the product says which frames they speak of."""
    wanted = planned(job, products)
    inputs = plan.inputs(wanted, names.REPORT, products)
    if inputs is None:
        raise ProductError("the report was started before all frames were accounted for")
    parsed = [names.parse(name) for name in inputs]
    made = sorted(name.frame for name in parsed if name.kind == "frames" and name.frame is not None)
    absent = sorted(name.frame for name in parsed if name.kind == "absent" and name.frame is not None)
    pages = {frame: dict(products.facts(names.frame_product(frame))) for frame in made}
    for number, (frame, facts) in enumerate(pages.items()):
        context.check()
        check_files(products, frame, facts)
        context.progress(number + 1, len(pages))
    marks = {frame: products.recorded(names.absent(frame)) for frame in absent}

    sampling = job.config["sampling"]
    cells = [_cell(products, frame, pages.get(frame), marks.get(frame)) for frame in sorted([*made, *absent])]
    width, height = _size(job)
    sheet = contact_sheet.compose(
        cells,
        title=f"{job.shot}  v{job.version:03d}",
        subtitle=f"{width}×{height}, target error {sampling['target_error']:g}, at most {sampling['max_spp']} spp, "
        f"{job.config['denoise']['backend']}",
        target_error=sampling["target_error"],
    )
    _replace(products, SHEET, png_bytes(np.asarray(sheet)))
    notes = _movie(job, products, pages) + _review(products, JobState.FAILED if marks else JobState.DONE, context)

    def write() -> None:
        text = json.dumps(_document(job, products, wanted, pages, marks, notes), indent=1, allow_nan=False)
        _replace(products, REPORT_FILE, text.encode())

    write()
    if context.farm.publish and (failed := publish(_published(job, products, pages, absent), context.farm.publish)):
        notes += failed
        write()
    return {"frames": made, "absent": absent, "notes": notes}, {}


def check_files(products: Products, frame: int, facts: Mapping[str, Any]) -> None:
    """Reads a frame's files once more: what a disk lost since they were written is found before the job ends.

    Raises:
        ProductError: one is gone, or other than it was written. It and the frame's manifest are moved aside, so that
            the frame is made anew.
    """
    for kind in ("exr", "png"):
        name = products.name(facts[kind])
        try:
            found = hashlib.blake2b(products.store.read(name), digest_size=32).hexdigest()
        except FileNotFoundError:
            found = None
        if found != facts[f"{kind}_blake2b"]:
            products.store.quarantine(name)
            products.store.quarantine(products.name(names.frame_product(frame)))
            raise ProductError(f"{facts[kind]} is {'gone' if found is None else 'damaged'}; the frame is made anew")


def _document(
    job: Job, products: Products, wanted: JobPlan, pages: dict[int, Any], marks: dict[int, Any], notes: list[str]
) -> dict[str, Any]:
    frames = {}
    for frame, facts in sorted(pages.items()):
        frames[str(frame)] = {**facts, "rounds": _rounds(products, frame, int(facts["round"]))}
    limits = Limits.of(job)
    unreached = [frame for frame, facts in sorted(pages.items()) if not limits.reached(facts["mean"], facts["p99"])]
    return {
        "job": job.id,
        "shot": job.shot,
        "version": job.version,
        "hash": job.hash,
        "environment": job.environment,
        "replays": None if job.replay is None else job.replay.job,
        "state": "failed" if marks else "done",
        "frames": frames,
        "absent": {str(frame): mark for frame, mark in sorted(marks.items())},
        "failures": products.failures(),
        "target_error": job.config["sampling"]["target_error"],
        "above_target": unreached,
        "samples": sum(round(entry["samples"]) for page in frames.values() for entry in page["rounds"]),
        "render_seconds": round(sum(page["seconds"] for page in frames.values()), 3),
        "denoise_seconds": round(sum(page["denoise_seconds"] for page in frames.values()), 3),
        "rounds_planned": wanted.rounds,
        "notes": notes,
    }


def _rounds(products: Products, frame: int, last: int) -> list[dict[str, Any]]:
    """Samples, time and predicted error after each round; nulls where a version that is denoised anew did not judge."""
    rounds = []
    for r in range(last + 1):
        taken = products.facts(names.samples(frame, r))
        judged = products.facts(names.error(frame, r)) if products.exists(names.error(frame, r)) else {}
        rounds.append(
            {
                "samples": taken["samples"],
                "slices": taken["slices"],
                "spp": judged.get("spp"),
                "seconds": judged.get("seconds"),
                "error": judged.get("mean"),
                "error_p99": judged.get("p99"),
            }
        )
    return rounds


def _cell(products: Products, frame: int, facts: Any, mark: Any) -> contact_sheet.Cell:
    if facts is None:
        return contact_sheet.Cell(frame, None, state="absent", note=str((mark or {}).get("reason", "")))
    image = products.store.read(products.name(facts["png"]))
    return contact_sheet.Cell(
        frame, image, spp=facts["spp"], error=facts["mean"], state="degraded" if facts["degraded"] else "done"
    )


def _movie(job: Job, products: Products, pages: dict[int, Any]) -> list[str]:
    """Writes the movie if there are two frames or more; notes about what could not be done."""
    if len(pages) < 2:
        return []
    first, last = min(pages), max(pages)
    with tempfile.TemporaryDirectory() as scratch:
        pictures: list[Path | None] = []
        for frame in range(first, last + 1):
            if frame not in pages:
                pictures.append(None)
                continue
            picture = Path(scratch) / f"{frame - first:06d}.png"
            picture.write_bytes(products.store.read(products.name(pages[frame]["png"])))
            pictures.append(picture)
        target = Path(scratch) / "movie.mp4"
        told = Output.model_validate(job.config.get("output") or {})
        name = f"{job.shot} v{job.version:03d}"
        made = movie.write(
            target,
            pictures,
            fps=Fraction(job.config["fps"]),
            slate=partial(slate, title=name, lines=_facts(job, pages)) if told.slate else None,
            label=(lambda place, pixels: burnt_in(pixels, name, f"{first + place}")) if told.burn_in else None,
        )
        if made.path is not None:
            _replace(products, MOVIE.format(shot=job.shot), target.read_bytes())
    notes = [made.note] if made.note else []
    if made.held:
        notes.append(f"the movie holds a picture over {made.held} missing frames")
    return notes


def _review(products: Products, state: JobState, context: Context) -> list[str]:
    """Writes the review page, which opens without a server and shows the proxies; notes about what it lacks."""
    from pipeline.review.desk import Desk
    from pipeline.review.export import files

    seen = Desk(products.store, products.job).document()  # of which this task is the last one
    ended = seen.model_copy(update={"state": state, "fraction": 1.0, "seconds_left": None})
    notes: list[str] = []
    folder = PAGE.rpartition("/")[0]
    for name, data in files(products, ended, layers=(), tell=notes.append):
        context.check()
        _replace(products, f"{folder}/{name}", data)
    return [f"the review page lacks {note}" for note in notes]


def _replace(products: Products, file: str, data: bytes) -> None:
    """These files speak of the frames that exist now, and are written anew when frames are added."""
    full = products.name(file)
    products.store.delete(full)
    products.store.create(full, data)


def _published(job: Job, products: Products, pages: Mapping[int, Any], absent: Sequence[int]) -> Published:
    store = products.store

    def place(name: str) -> str:
        path = store.path(name)
        return f"{store.url}/{name}" if path is None else str(path)

    def own(file: str) -> str | None:
        name = products.name(file)
        return place(name) if store.exists(name) else None

    return Published(
        id=job.id,
        show=job.show,
        sequence=str(job.config.get("sequence") or ""),
        shot=job.shot,
        version=job.version,
        owner=job.owner,
        fps=str(Fraction(job.config["fps"])),
        frames={frame: place(page.get("exr_delivered") or products.name(page["exr"])) for frame, page in pages.items()},
        absent=tuple(absent),
        movie=own(MOVIE.format(shot=job.shot)),
        sheet=own(SHEET),
        report=own(REPORT_FILE),
        hash=job.hash,
    )


def _facts(job: Job, pages: Mapping[int, Any]) -> list[tuple[str, str]]:
    """What a slate tells."""
    width, height = _size(job)
    denoise, sampling = job.config["denoise"], job.config["sampling"]
    spp = sum(page["spp"] for page in pages.values()) / len(pages)
    facts = [
        ("show", " / ".join(part for part in (job.show, str(job.config.get("sequence") or "")) if part)),
        ("frames", f"{FrameRange.of(sorted(pages))}, {job.config['fps']} fps"),
        ("size", f"{width} x {height}" if width else ""),
        ("samples", f"{spp:.0f} per pixel, target {sampling['target_error']:g}"),
        ("denoiser", f"{denoise['backend']}, lambda {denoise['lambda']:g}"),
        ("artist", job.owner),
        ("submitted", job.created),
    ]
    return [(what, value) for what, value in facts if value]


def _size(job: Job) -> tuple[int, int]:
    return rendered_size(job.config) or (0, 0)
