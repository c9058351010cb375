"""Finding the job that somebody means: `shot_010` is its newest version, `shot_010.v002` that one."""

from __future__ import annotations

import difflib
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.farm import job as jobs
from pipeline.farm.job import Job
from pipeline.farm.store import Store

__all__ = ["find_job"]


def find_job(store: Store, text: str) -> Job:
    """The job that `text` names: an id, or a shot (its name or its directory), whose newest version is meant.

    Raises:
        ConfigError: there is none, with the nearest name that there is.
        FarmError: its `job.json` cannot be used.
    """
    known = jobs.jobs(store)
    if text in known:
        return jobs.load(store, text)
    shot = text if "/" not in text else Path(text).name
    versions = [job_id for job_id in known if job_id.rpartition(".")[0] == shot]
    if versions:
        return jobs.load(store, versions[-1])
    shots = list(dict.fromkeys(job_id.rpartition(".")[0] for job_id in known))
    near = difflib.get_close_matches(text, [*shots, *known], n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = (
            f"there are {', '.join(shots[:8])}" if shots else "nothing was submitted to it yet; name another with --out"
        )
    raise ConfigError(f"there is no job '{text}' in {store.url}", suggestion=hint)
