"""How fast a job renders, as its finished slices tell: for the slice plans of frames that have no round yet.

A courtesy in Redis: where it is lost, plans assume the profile's rate, and are right again after one slice. Slices
change no pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.farm.queues import key

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["note_rate", "rate_of"]

KEPT_SECONDS = 86400
WEIGHT = 0.3
"""Of the newest slice, against all before it."""

NOTE = """
local before = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
redis.call('SET', KEYS[1], tostring(before + ARGV[2] * (ARGV[1] - before)), 'EX', ARGV[3])
"""


def note_rate(redis: Redis, store: str, job: str, samples: int, seconds: float) -> None:
    """A slice has taken so long. Raises `RedisError` while the broker is away."""
    if samples > 0 and seconds > 0.0:
        redis.eval(NOTE, 1, key("rate", f"{store}|{job}"), str(samples / seconds), str(WEIGHT), str(KEPT_SECONDS))


def rate_of(redis: Redis, store: str, job: str) -> float | None:
    """Samples per second of a job's slices; None before the first. Raises `RedisError` while the broker is away."""
    text: Any = redis.get(key("rate", f"{store}|{job}"))
    return None if text is None else float(text)
