"""What a job asks of a worker, what a worker offers, and the queue on which they meet.

Each requirement is a class of queues: `<kind>.<device>.<environment>` for jobs that ask for nothing, with the
requirement's key behind it for others. The dispatcher tells which classes there are, and every worker serves those that
it meets. So a task that asks for more memory, or that is kept from a worker, simply stands in another queue, and nobody
has to put back what is not his.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.terms import Terms
from pipeline.farm.names import Queue

__all__ = ["MIB_PER_GIB", "NOTHING", "Offer", "Requirement", "requirement"]

MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker offers.

    Attributes:
        name: of the worker.
        pools: that it is in; the empty name stands for jobs of no pool.
        tags: that it has.
        memory: of its device, MiB; of the machine, divided among the slots, where it renders on the CPU.
    """

    name: str
    pools: frozenset[str] = frozenset({""})
    tags: frozenset[str] = frozenset()
    memory: int = 0

    @classmethod
    def of(cls, worker: Mapping[str, Any]) -> Offer:
        """That of a worker as it describes itself."""
        return cls(worker["name"], frozenset(worker["pools"]), frozenset(worker["tags"]), int(worker["memory"]))


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a task asks of the worker that makes it.

    Attributes:
        pool: the pool that it must be in.
        tags: that it must have.
        memory: that its device must have, MiB.
        avoid: names of workers that are not to take it.
    """

    pool: str = ""
    tags: frozenset[str] = frozenset()
    memory: int = 0
    avoid: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Short and the same everywhere for the same requirement; empty for none."""
        if self == NOTHING:
            return ""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` makes an equal one."""
        return {
            "pool": self.pool,
            "tags": sorted(self.tags),
            "memory": self.memory,
            "avoid": sorted(self.avoid),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Requirement:
        """The requirement in `to_json`'s values."""
        return cls(values["pool"], frozenset(values["tags"]), int(values["memory"]), frozenset(values["avoid"]))

    def met_by(self, offer: Offer) -> bool:
        """Whether a worker may take the task."""
        return (
            self.pool in offer.pools
            and self.tags <= offer.tags
            and self.memory <= offer.memory
            and offer.name not in self.avoid
        )

    def raised(self, *, memory: int = 0, avoid: Collection[str] = (), offers: Iterable[Offer] = ()) -> Requirement:
        """The same for a task that has failed: more memory, other workers, as far as somebody offers that.

        Args:
            memory: that the device must have at least, MiB. Not given up: where it is, is where the task fails.
            avoid: workers that failed it, which are avoided while there is another one.
            offers: of the live workers.
        """
        needed = replace(self, memory=max(self.memory, memory))
        other = replace(needed, avoid=needed.avoid | frozenset(avoid))
        return other if any(other.met_by(offer) for offer in offers) else needed


NOTHING = Requirement()


def requirement(terms: Terms, barred: Collection[str], kind: Queue) -> Requirement:
    """What a job's tasks ask for.

    Args:
        terms: of the job.
        barred: workers that are kept off it.
        kind: of queue: tasks of the kind `light` need no memory.
    """
    memory = 0 if kind == "light" else round(terms.memory * MIB_PER_GIB)
    return Requirement(terms.pool, frozenset(terms.tags), memory, frozenset(barred))
