"""What a worker was started with: plain values that its child processes get along with the Celery configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.config.farm import Farm

__all__ = ["WorkerSettings"]


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of one worker process and its children.

    Attributes:
        name: unique in the farm; Flower shows `<name>@<host>`.
        stores: URLs of the product stores whose jobs it takes and sweeps.
        device: what it was told to use, `cpu` or `cuda:0`.
        environments: keys of the environments whose jobs it takes.
        weights: fingerprints, by preset, of the networks that it can run: none without torch.
        queues: names of the queues that it serves, in the order in which it looks at them, for tasks that require
            nothing.
        slots: how many children it has.
        events: tell monitors such as Flower about every task.
        pools: that it is in; the empty name stands for jobs of no pool.
        tags: that it has.
        memory: of its device, MiB, for each slot.
        hours: in which it takes tasks, as `pipeline.farm.hours` writes them; empty: always.
        farm: leases, limits, and the broker.
    """

    name: str
    stores: tuple[str, ...]
    device: str
    environments: tuple[str, ...]
    weights: dict[str, str]
    queues: tuple[str, ...]
    slots: int
    events: bool
    pools: tuple[str, ...]
    tags: tuple[str, ...]
    memory: int
    hours: str
    farm: Farm

    @property
    def broker_url(self) -> str:
        """Of the farm's Redis."""
        assert self.farm.broker_url is not None, "a worker is started with a broker"
        return self.farm.broker_url

    def to_json(self) -> str:
        """Text from which `from_json` makes an equal value."""
        return json.dumps(
            {
                "name": self.name,
                "stores": self.stores,
                "device": self.device,
                "environments": self.environments,
                "weights": self.weights,
                "queues": self.queues,
                "slots": self.slots,
                "events": self.events,
                "pools": self.pools,
                "tags": self.tags,
                "memory": self.memory,
                "hours": self.hours,
                "farm": self.farm.model_dump(mode="json"),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> WorkerSettings:
        """The settings in `to_json`'s text."""
        fields = json.loads(text)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**{**values, "farm": Farm.model_validate(fields["farm"])})
