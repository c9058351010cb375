"""How many bytes a job will need in the store: an upper bound, told before it begins.

Counted from the tables of channels, for every round that the limits allow; frames that reach their target early need
less. Slices go when the job is done, and with a size budget the sums that no last round reads (`pipeline clean`).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import Any, Final

from pipeline.config.film import rendered_size
from pipeline.config.layers import Layers
from pipeline.farm.job import Job
from pipeline.farm.limits import Limits
from pipeline.farm.store import BLOBS, Store
from pipeline.render import channels

__all__ = ["Volume", "bytes_text", "free_bytes", "of_job", "volume"]

_FLOAT: Final = 4
_COLOUR: Final = _FLOAT * sum(block.channels for block in (*channels.COUNT, *channels.COLOUR))
_FEATURES: Final = _FLOAT * (1 + sum(block.channels for block in channels.FEATURES)) + 2 * channels.VOTES
"""Once a frame: features, the count of samples that recorded them, and ballots of 16 bits."""
_MAPS: Final = 4 * _FLOAT
"""Sample map and start of a round; error and guide after it."""
_DENOISED: Final = 10 * _FLOAT
"""Emission, diffuse, specular, alpha."""
_ROUND_MEANS: Final = 13 * _FLOAT
"""What the unbiased combination carries besides."""
_DELIVERED: Final = 110
"""The EXR's channels and the viewing PNG, uncompressed."""
_INTEGER: Final = re.compile(r'<integer name="(width|height)" value="(\d+)"')
_NOTES: Final = 4096
"""Of one task: the record of its attempt, its log, and the heads of its product."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Bytes of a job in the store, at most.

    Attributes:
        peak: while it is made.
        kept: when it is done.
        least: what a clean-up to a size budget leaves: deliverables, and the sums that another λ is tried on.
    """

    peak: int
    kept: int
    least: int


def volume(
    pixels: int,
    frames: int,
    rounds: int,
    *,
    every_round: bool,
    unbiased: bool = False,
    renders: bool = True,
    layers: Layers | None = None,
) -> Volume:
    """Bytes of a job, at most.

    Args:
        pixels: of a frame.
        frames: how many.
        rounds: of a frame, at most.
        every_round: each round is denoised, and not the last one alone.
        unbiased: rounds are combined with weights of their own.
        renders: False for a job that denoises another one's sums.
        layers: that the shot asks for; None: none.
    """
    more_colour, more_features, more_delivered = _asked(layers or Layers())
    colour, features, delivered = _COLOUR + more_colour, _FEATURES + more_features, _DELIVERED + more_delivered
    sums = (colour + features + (_ROUND_MEANS if unbiased else 0)) if renders else 0
    slices = (features + rounds * colour) if renders else 0
    denoised = _DENOISED * (rounds if every_round else 1)
    maps = _MAPS * rounds if renders else _MAPS
    notes = _NOTES * (6 * rounds + 3)
    kept = pixels * (rounds * sums + maps + denoised + delivered) + notes
    least = pixels * (sums + maps + denoised + delivered) + notes
    return Volume(frames * (kept + pixels * slices), frames * kept, frames * least)


def _asked(layers: Layers) -> tuple[int, int, int]:
    """Bytes of a pixel that layers take: in the sums of each round, in those of the first, in the EXR."""
    groups, mattes = len(layers.lights), len(layers.cryptomatte)
    aovs = 3 * _FLOAT * len(layers.aovs)
    ballots = 2 * (channels.MATTE_VOTES - channels.VOTES) if mattes else 0
    return 3 * _FLOAT * groups, aovs + ballots, (6 * (groups + 1) if groups else 0) + aovs + 12 * _FLOAT * mattes


def of_job(store: Store, job: Job) -> Volume | None:
    """Of a job, with all of its frames; None where nothing is rendered, or the size of its frames cannot be known.

    Raises:
        StoreError: the store cannot be read.
    """
    if job.engine != "mitsuba":
        return None
    size = rendered_size(job.config) or _film(store, job)
    if size is None:
        return None
    sampling, replays = job.config["sampling"], job.replay is not None
    return volume(
        int(size[0]) * int(size[1]),
        len(job.frames),
        1 if replays else Limits.of(job).rounds,
        every_round=job.denoises_every_round and not replays,
        unbiased=sampling.get("combination") == "unbiased",
        renders=not replays,
        layers=Layers.model_validate(job.config.get("layers") or {}),
    )


def free_bytes(store: Store) -> int | None:
    """Room that is left where a store is; None where nobody tells, as buckets do not."""
    place = store.path(BLOBS)
    while place is not None and not place.exists() and place != place.parent:
        place = place.parent
    return None if place is None else shutil.disk_usage(place).free


def _film(store: Store, job: Job) -> tuple[int, int] | None:
    """(width, height) that the frozen scene's film says."""
    scene: dict[str, Any] = next(iter(job.scenes.values()), {})
    try:
        text = store.read(f"{BLOBS}/{scene['xml']}").decode()
    except (FileNotFoundError, KeyError, UnicodeDecodeError):
        return None
    film = re.search(r"<film.*?</film>", text, re.DOTALL)
    told = dict(_INTEGER.findall(film[0])) if film else {}
    return (int(told["width"]), int(told["height"])) if {"width", "height"} <= told.keys() else None


def bytes_text(count: float) -> str:
    """Bytes for people.

    >>> bytes_text(950), bytes_text(3_400_000), bytes_text(1.25e12)
    ('950 B', '3.4 MB', '1.2 TB')
    """
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
