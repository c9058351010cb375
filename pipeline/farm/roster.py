"""The roster: what was asked of workers, as records in the store.

`farm/workers/<name>/0000`, `0001`, … are created if absent and never changed, like a job's control records; the newest
one counts. So what was asked of a worker outlives Redis, says who asked and why, and is undone by one record more. A
worker looks for its next record every other second.
"""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from pipeline.errors import FarmError
from pipeline.farm.records import parsed
from pipeline.farm.store import Store

__all__ = ["PLACE", "Order", "Standing", "order", "orders", "standing"]

PLACE: Final = "farm"
"""Directory of the store that belongs to no job."""

Order = Literal["drain", "out", "in"]
"""`drain`: end what runs, then end. `out`: take nothing, until `in`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest thing that was asked of a worker.

    Attributes:
        worker: its name.
        order: see `Order`.
        reason: one line.
        by: who asked; `farm` where the dispatcher did.
        at: seconds since the epoch.
        number: of the record.
    """

    worker: str
    order: Order
    reason: str = ""
    by: str = ""
    at: float = 0.0
    number: int = -1


def order(store: Store, worker: str, what: Order, *, reason: str = "", by: str | None = None) -> Standing:
    """Asks something of a worker.

    Raises:
        StoreError: the record cannot be written, or no worker can have that name.
    """
    last = standing(store, worker)
    asked = Standing(worker, what, reason, by if by is not None else getpass.getuser(), round(time.time(), 3))
    number = last.number + 1
    while not store.create(_name(worker, number), json.dumps(asdict(asked)).encode()):
        number += 1
    return Standing(worker, what, reason, asked.by, asked.at, number)


def standing(store: Store, worker: str, known: Standing | None = None) -> Standing:
    """The newest thing that was asked of a worker: one question to the store where there is nothing newer than `known`.

    Raises:
        FarmError: a newer release wrote it.
    """
    found = known or Standing(worker, "in")
    while store.exists(name := _name(worker, found.number + 1)):
        number = found.number + 1
        found = replace(parsed(Standing, store.read(name), name), number=number)
        if found.order not in ("drain", "out", "in"):
            raise FarmError(f"{name} asks for '{found.order}', which this release does not know")
    return found


def orders(store: Store) -> dict[str, Standing]:
    """The newest record of every worker of which something was ever asked."""
    return {name: standing(store, name) for name in store.children(f"{PLACE}/workers")}


def _name(worker: str, number: int) -> str:
    return f"{PLACE}/workers/{worker}/{number:04d}"
