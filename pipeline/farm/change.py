"""Another λ, target or cap for a job that is submitted: a new version, which takes over what is the same in it.

Nothing is frozen anew: the new version has the scenes and the environment of the one that it replaces, so that nothing
but what is asked for changes, whatever became of the shot's files. The version before is cancelled after the tasks that
run: what they make is taken over as well, where the recipes agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config.frames import FrameRange
from pipeline.config.load import overlaid
from pipeline.errors import ConfigError
from pipeline.farm.client import Farm
from pipeline.farm.environments import environment_of
from pipeline.farm.job import Frozen, Job, claim, wanted_frames

__all__ = ["changed"]

_FIXED = ("shot", "scene", "resolution", "camera", "animate", "materials", "overrides", "fps")
"""Keys that the frozen scenes hold: another value needs another submit."""


def changed(farm: Farm, job: Job, overrides: Mapping[str, Any], *, owner: str) -> tuple[Job, bool]:
    """The version of a job with other values; it is set going, and the one before is ended.

    Args:
        farm: where the job lives.
        job: that is to be changed.
        overrides: values by dotted key: `denoise.lambda`, `sampling.target_error`, `sampling.max_spp`, …
        owner: who asks.

    Returns:
        The new version, or one that was there already and is the same; and whether it was.

    Raises:
        ConfigError: a wrong value, a key that needs another submit, or a job that is a rehearsal or replays another.
    """
    if job.engine != "mitsuba" or job.replay is not None:
        raise ConfigError(f"{job.id} renders nothing that could be changed", suggestion="pipeline redenoise")
    for key in overrides:
        if key.partition(".")[0] in _FIXED:
            raise ConfigError("is frozen in the job", key=key, suggestion="change the shot, and submit it again")
    state = farm.control(job)
    frames = wanted_frames(job, state)
    terms = job.terms(state).model_dump(mode="json")
    shot = overlaid({**job.config, "frames": str(FrameRange.of(frames)), "farm": terms}, dict(overrides))
    config = shot.model_dump(mode="json", by_alias=True)
    rendering = {**job.environment, "key": job.rendering_key}
    environment = environment_of(config, rendering, lambda name: _weights(job.weights, name))
    frozen = Frozen(config, environment, job.scenes)
    priority = shot.priority if "priority" in overrides else job.priority if state.priority is None else state.priority
    found, attached = claim(farm.store, job.shot, frozen, frames=frames, priority=priority, owner=owner)
    if found.id != job.id:
        if farm.state(job) == "active":
            farm.cancel(job, after_task=True)
        farm.submit(found)
    return found, attached


def _weights(known: Mapping[str, str], name: str) -> str:
    """The weights that the job before was frozen with; of a network that it did not have, this machine's."""
    from pipeline.denoise.weights import fingerprint

    return known[name] if name in known else fingerprint(name)
