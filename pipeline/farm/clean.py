"""Clean-up: what a store can do without, found first, told, and only then removed.

Of a job that is done, under a size budget: the sums of rounds that no last round reads, then the pictures and error
maps of earlier rounds; slices whose sums are there go in any case. Of the store: frozen files that no job names, and
what was moved aside as damaged, both a day old at least, and what dead writers left.

Nothing is removed that is not ours: only names that this release makes, below directories of jobs that it can read.
Deliverables, reports, control records, and everything of a job that is not done stay, and so does what other versions
of the shot are based on. Whatever goes can be made anew.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.errors import PenumbraError, ProductError
from pipeline.farm import job as jobs
from pipeline.farm import names, plan
from pipeline.farm.blob_mirror import mentioned
from pipeline.farm.control import Control
from pipeline.farm.job import Job
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.store import BLOBS, Entry, Store
from pipeline.scene.blobs import is_blob

__all__ = ["Cleaning", "Removal", "Why", "apply", "find"]

log = logging.getLogger(__name__)

Why = Literal["slice", "superseded sum", "earlier round", "unused frozen file", "damaged"]

DAY: Final = 86400.0
DAMAGED: Final = "damaged"


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that can go.

    Attributes:
        name: in the store.
        size: bytes.
        why: it can.
        job: whose it is; empty for files of the store.
    """

    name: str
    size: int
    why: Why
    job: str = ""


@dataclass
class Cleaning:
    """What was found.

    Attributes:
        removals: in the order in which they go.
        over: bytes by which jobs stay above the budget, by job.
        notes: what was left alone, and why; one line each.
    """

    removals: list[Removal] = field(default_factory=list)
    over: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all that goes."""
        return sum(removal.size for removal in self.removals)


def find(
    store: Store, wanted: Sequence[Job] | None = None, *, budget: int | None = None, now: float | None = None
) -> Cleaning:
    """What can go. Nothing is removed.

    Args:
        store: to look at.
        wanted: jobs; None looks at all, and at the store's own files too.
        budget: bytes that each job may keep; None leaves all but slices.
        now: seconds since the epoch.

    Raises:
        StoreError: the store cannot be read.
    """
    found = Cleaning()
    known, unreadable = _all_jobs(store, found)
    active = set(jobs.active(store))
    for job in known if wanted is None else wanted:
        others = [other for other in known if other.shot == job.shot and other.id != job.id]
        _find_in_job(store, job, others, active, budget, found)
    if wanted is None:
        oldest = (time.time() if now is None else now) - DAY
        _find_damaged(store, known, oldest, found)
        if unreadable:
            found.notes.append(f"frozen files stay: {', '.join(unreadable)} cannot be read, and may need them")
        else:
            _find_blobs(store, known, oldest, found)
    return found


def apply(store: Store, cleaning: Cleaning) -> int:
    """Removes what was found, except frozen files that a job has come to name meanwhile; returns the bytes.

    Raises:
        StoreError: the store cannot be written. What was removed by then stays removed.
    """
    known, unreadable = _all_jobs(store, Cleaning())
    kept, removed = _named_blobs(store, known), 0
    for removal in cleaning.removals:
        if removal.why == "unused frozen file" and (unreadable or removal.name.removeprefix(f"{BLOBS}/") in kept):
            continue
        store.delete(removal.name)
        removed += removal.size
    return removed


# --- jobs ---------------------------------------------------------------------------------------------------------


def _all_jobs(store: Store, found: Cleaning) -> tuple[list[Job], list[str]]:
    """Every job of the store, and the ids of those that cannot be read."""
    known, unreadable = [], []
    for job_id in jobs.jobs(store):
        try:
            known.append(jobs.load(store, job_id))
        except PenumbraError as error:
            unreadable.append(job_id)
            found.notes.append(f"{job_id} is left alone: {error}")
    return known, unreadable


def _find_in_job(
    store: Store, job: Job, others: Sequence[Job], active: set[str], budget: int | None, found: Cleaning
) -> None:
    based = [other for other in others if any(base.directory == job.directory for base in other.bases)]
    if busy := sorted(other.id for other in based if other.id in active):
        found.notes.append(f"{job.id} is left alone: {', '.join(busy)} goes on from it")
        return
    products = Products(store, job)
    wanted = JobPlan.of(job, Control(store, job.directory).look())
    if job.id in active or not plan.is_done(wanted, products):
        found.notes.append(f"{job.id} is left alone: it is not done")
        return
    entries = list(store.entries(job.directory))
    size = sum(entry.size for entry in entries)
    needed = set().union(*(_last_rounds(store, each) for each in (job, *based)))
    skip = len(job.directory) + 1
    for why, group in _by_reason(job, products, entries, needed):
        if why != "slice" and (budget is None or size <= budget):
            break
        for entry in group:
            if why != "slice" and budget is not None and size <= budget:
                break
            found.removals.append(Removal(entry.name, entry.size, why, job.id))
            size -= entry.size
            log.debug("%s of %s: %s", entry.name[skip:], job.id, why)
    if budget is not None and size > budget:
        found.over[job.id] = size - budget


def _last_rounds(store: Store, job: Job) -> set[str]:
    """What the last rounds of a job's frames read and are: sums, pictures, error maps; names in a job's directory."""
    products = Products(store, job)
    wanted = JobPlan.of(job, Control(store, job.directory).look())
    needed: set[str] = set()
    for frame in wanted.frames:
        try:
            last = int(products.facts(names.stop(frame))["round"])
            read = plan.window(wanted, frame, last, products) or {}
        except ProductError:
            continue  # absent, or given up
        needed |= {*read.values(), names.buffers(frame, last), names.denoised(frame, last), names.error(frame, last)}
    return needed


def _by_reason(
    job: Job, products: Products, entries: Iterable[Entry], needed: set[str]
) -> Iterator[tuple[Why, list[Entry]]]:
    """Files of a job that is done, by the reason for which they can go, what is missed least in front."""
    slices: list[Entry] = []
    sums: list[Entry] = []
    rounds: list[Entry] = []
    for entry in entries:
        name = entry.name[len(job.directory) + 1 :]
        try:
            parsed = names.parse(name)
        except ProductError:
            continue  # a deliverable's file, a note, or somebody else's
        if parsed.frame is None or parsed.round is None or parsed.task is not None or name in needed:
            continue
        if parsed.kind == "passes":
            if products.exists(names.buffers(parsed.frame, parsed.round)):
                slices.append(entry)
        elif parsed.kind == "buffers":
            sums.append(entry)
        elif name.startswith("rounds/"):
            rounds.append(entry)
    yield "slice", slices
    yield "superseded sum", sorted(sums, key=lambda entry: entry.name.rpartition("/")[2])
    yield "earlier round", sorted(rounds, key=lambda entry: entry.name.split("/")[-2:])


# --- the store's own files ------------------------------------------------------------------------------------------


def _find_damaged(store: Store, known: Sequence[Job], oldest: float, found: Cleaning) -> None:
    """What was moved aside: `damaged/<job directory>/<name of a product or of a deliverable>.<n>`."""
    directories = tuple(f"{DAMAGED}/{job.directory}/" for job in known)
    for entry in store.entries(DAMAGED):
        if entry.name.startswith(directories) and entry.modified <= oldest:
            found.removals.append(Removal(entry.name, entry.size, "damaged"))


def _find_blobs(store: Store, known: Sequence[Job], oldest: float, found: Cleaning) -> None:
    kept = _named_blobs(store, known)
    for entry in store.entries(BLOBS):
        name = entry.name.removeprefix(f"{BLOBS}/")
        if is_blob(name) and name not in kept and entry.modified <= oldest:
            found.removals.append(Removal(entry.name, entry.size, "unused frozen file"))


def _named_blobs(store: Store, known: Iterable[Job]) -> set[str]:
    """Every blob that a job names, directly or in a list. Whatever looks like one counts: it is better kept in vain."""
    kept: set[str] = set()
    for job in known:
        kept |= mentioned(job.model_dump(mode="json"))
    for name in sorted(kept):
        if name.endswith(".json") and store.exists(f"{BLOBS}/{name}"):
            try:
                kept |= mentioned(json.loads(store.read(f"{BLOBS}/{name}")))
            except ValueError:
                continue  # damaged: who reads it says so
    return kept
