"""The crew: who works on a farm, what they do, and who was asked to stay away, by whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.problems import nearest
from pipeline.errors import ConfigError
from pipeline.farm.client import Farm
from pipeline.farm.roster import orders

__all__ = ["Member", "crew", "live_worker"]


@dataclass(frozen=True, slots=True)
class Member:
    """A worker.

    Attributes:
        name: unique in the farm.
        host: where it runs; empty when it is gone.
        state: `working`, `resting`, `out`, `draining`; `out, gone` of one that is not there and was taken out.
        device: that it is bound to, `cpu`, `cuda:0`.
        slots: tasks that it makes at a time.
        memory: of its device, MiB for each slot; 0: unknown.
        started: seconds since the epoch.
        pools, tags: that it is in, that it has.
        tasks: at work, `shot_010.v001 passes/1001/r00.s00`.
        reason: why it does not work, or what it was asked; empty otherwise.
    """

    name: str
    host: str
    state: str
    device: str
    slots: int
    memory: int
    started: float
    pools: Sequence[str]
    tags: Sequence[str]
    tasks: Sequence[str]
    reason: str


def crew(farm: Farm) -> list[Member]:
    """Live workers, then those that are gone and were asked to stay away.

    Raises:
        BrokerDown: nobody can be asked who is there.
    """
    asked = orders(farm.store)
    tasks: dict[str, list[str]] = {}
    for held in farm.running():
        tasks.setdefault(held.worker, []).append(f"{held.ticket.job} {held.ticket.task}")
    found = []
    for worker in farm.workers():
        order = asked.pop(worker["name"], None)
        told = worker["reason"] or (f"asked to {order.order}" if order is not None and order.order != "in" else "")
        by = f" (by {order.by})" if order is not None and order.order == "out" else ""
        found.append(_member(worker, tasks.get(worker["name"], []), told + by))
    for name, order in sorted(asked.items()):
        if order.order == "out":
            found.append(Member(name, "", "out, gone", "", 0, 0, 0, (), (), (), f"{order.reason} (by {order.by})"))
    return found


def live_worker(farm: Farm, name: str) -> str:
    """A live worker's name.

    Raises:
        ConfigError: there is none; with a name that is near.
    """
    live = [str(worker["name"]) for worker in farm.workers()]
    if name not in live:
        raise ConfigError(f"there is no live worker '{name:.80}'", suggestion=nearest(name, live))
    return name


def _member(worker: dict[str, Any], tasks: list[str], reason: str) -> Member:
    return Member(
        name=worker["name"],
        host=worker["host"],
        state=worker["state"],
        device=worker["device"],
        slots=worker["slots"],
        memory=worker["memory"],
        started=worker["started"],
        pools=[pool for pool in worker["pools"] if pool],
        tags=worker["tags"],
        tasks=tasks,
        reason=reason,
    )
