"""Permits: at most so many tasks at a time hold each of some names, such as the licences of a renderer.

The holders of a name are a sorted set in Redis, scored by the time (of Redis' own clock) at which each one's hold ends.
Holders renew theirs with their leases, so that a holder that was killed is forgotten, and one whose entry vanished with
a flush is back within a heartbeat. Until everybody has had the time for that, nobody new is let in: the name's age is
kept beside it, vanishes with it, and has to be a heartbeat at least. So a flush never lets in one too many, and costs a
few seconds.

    penumbra:permit:<name>      who holds it, until when
    penumbra:permits:since      when Redis was last empty, as far as permits know
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.config.farm import Farm
from pipeline.config.terms import Terms
from pipeline.farm import names
from pipeline.farm.queues import Ticket, key

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Permits", "permits_of"]

_LIMITED_PER_JOB = frozenset({"passes", "draft", "denoised", "frames", "parts"})
"""Kinds that `max_tasks` counts; the others take no time to speak of."""

GUARD_SLACK = 1.0
"""Seconds beside the heartbeat in which every holder has certainly renewed."""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
TAKE = (
    _NOW
    + """
local since = tonumber(redis.call('GET', KEYS[1]) or '-1')
if since < 0 or since > now then redis.call('SET', KEYS[1], now); since = now end
local held = true
for i = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  if not redis.call('ZSCORE', KEYS[i], ARGV[1]) then
    held = false
    if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[i + 2]) then return i - 1 end
  end
end
if not held and now - since < tonumber(ARGV[3]) then return -1 end
for i = 2, #KEYS do redis.call('ZADD', KEYS[i], now + ARGV[2], ARGV[1]) end
return 0
"""
)
"""Takes KEYS[2…] for the holder ARGV[1], for ARGV[2] ms; ARGV[4…] are the limits. 0: taken; i: name i is used up; -1:
Redis lost the holders less than ARGV[3] ms ago."""

RENEW = (
    _NOW
    + """
redis.call('SET', KEYS[1], now, 'NX')
for i = 2, #KEYS do redis.call('ZADD', KEYS[i], now + ARGV[2], ARGV[1]) end
"""
)


class Permits:
    """Takes, renews and gives back permits.

    Every method raises `redis.RedisError` while the broker is away.

    Args:
        redis: the broker.
        seconds: how long a hold lives without a renewal: as long as a lease.
        guard_seconds: for how long after a flush nobody new is let in: all holders renew meanwhile.
    """

    def __init__(self, redis: Redis, *, seconds: float, guard_seconds: float) -> None:
        self._redis = redis
        self._milliseconds, self._guard = int(1000 * seconds), int(1000 * guard_seconds)
        self._take = redis.register_script(TAKE)
        self._renew = redis.register_script(RENEW)

    @classmethod
    def of(cls, redis: Redis, farm: Farm) -> Permits:
        """The permits of a farm: a hold lives as long as a lease, and is renewed with it."""
        return cls(redis, seconds=farm.lease_seconds, guard_seconds=farm.heartbeat_seconds + GUARD_SLACK)

    def take(self, holder: str, limits: Mapping[str, int]) -> str | None:
        """Takes one permit of each name, or none at all.

        Args:
            holder: unique to the attempt.
            limits: how many there are of each name.

        Returns:
            None when they are taken, else why not.
        """
        if not limits:
            return None
        answer = int(self._take(keys=_keys(limits), args=[holder, self._milliseconds, self._guard, *limits.values()]))
        if answer == 0:
            return None
        if answer < 0:
            return "Redis has lost who holds permits; those who do are telling it"
        name, limit = list(limits.items())[answer - 1]
        return f"all {limit} of {name} are in use"

    def renew(self, holder: str, held: Iterable[str]) -> None:
        """Goes on holding; written anew where it had vanished."""
        self._renew(keys=_keys(held), args=[holder, self._milliseconds])

    def give_back(self, holder: str, held: Iterable[str]) -> None:
        """Lets others have them."""
        pipe = self._redis.pipeline(transaction=False)
        for name in held:
            pipe.zrem(key("permit", name), holder)
        pipe.execute()

    def used(self, asked: Iterable[str]) -> dict[str, int]:
        """How many of each name are held now."""
        wanted = list(asked)
        if not wanted:
            return {}
        time: Any = self._redis.time()
        now = int(time[0]) * 1000 + int(time[1]) // 1000
        pipe = self._redis.pipeline(transaction=False)
        for name in wanted:
            pipe.zcount(key("permit", name), now, "+inf")
        return dict(zip(wanted, map(int, pipe.execute()), strict=True))


def permits_of(ticket: Ticket, terms: Terms, farm: Farm) -> dict[str, int]:
    """The names that a task holds while it runs, and how many there are of each.

    A kind of task that the profile limits (`denoised: 4`); each licence of the job, for render passes; the job's own
    name, where it is to have so many tasks at a time. A licence that the profile does not limit is not counted.
    """
    kind = names.parse(ticket.task).kind
    found: dict[str, int] = {kind: farm.limits[kind]} if kind in farm.limits else {}
    if kind == "passes":
        found |= {licence: farm.limits[licence] for licence in terms.licences if licence in farm.limits}
    if terms.max_tasks is not None and kind in _LIMITED_PER_JOB:
        found[f"{ticket.store}|{ticket.job}"] = terms.max_tasks
    return found


def _keys(limited: Iterable[str]) -> list[str]:
    return [key("permits", "since"), *(key("permit", name) for name in limited)]
