"""Which environment a job is frozen for: this machine's, or the one that the farm's workers agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from pipeline.denoise.weights import fingerprint, predictor, predictor_of
from pipeline.device import CUDA, LLVM, environment, environment_key, with_weights
from pipeline.errors import ConfigError, DeviceError
from pipeline.farm.client import Farm
from pipeline.farm.queues import queue_name

__all__ = ["Weights", "environment_for", "environment_of", "weights_of"]

Weights = Callable[[str], str]
"""The fingerprint of a preset's weights. Raises ConfigError where there are none."""


def environment_of(config: Mapping[str, Any], rendering: Mapping[str, Any], weights: Weights) -> dict[str, Any]:
    """The environment of one job: that of what renders, and the weights of the network that the shot asks for.

    Args:
        config: the shot's, as JSON values.
        rendering: of the workers, with its `key`.
        weights: that they have.

    Raises:
        ConfigError: the shot asks for a network without weights.
    """
    preset, wanted = config["denoise"]["preset"], []
    if config["denoise"]["backend"] == "kpcn":
        wanted.append(preset)
    if config["sampling"]["guide"] == "error":
        wanted.append(predictor_of(preset, config["sampling"]["metric"]) or predictor(preset))
    return with_weights(rendering, {name: weights(name) for name in wanted}) if wanted else dict(rendering)


def environment_for(farm: Farm) -> dict[str, Any]:
    """The environment that renders: this machine's, unless the farm's live workers have other ones alone.

    Then it is the one that most slots of the farm have: who submits from a laptop gets what the render nodes agree on.

    Raises:
        DeviceError: no device works here, and no worker is there to ask.
    """
    served = _served(farm)
    try:
        found = environment()
        own = {**found, "key": environment_key(found)}
    except DeviceError:
        if not served:
            raise
    else:
        if not served or (own["variant"], own["key"]) in served:
            return own
    (variant, key), _ = served.most_common(1)[0]
    return {"variant": variant, "key": key}


def weights_of(farm: Farm, rendering: Mapping[str, Any]) -> Weights:
    """The weights that jobs are frozen with: this machine's, unless the farm's live workers have other ones alone.

    Args:
        farm: whose workers are asked.
        rendering: the environment that they are to have.

    Returns:
        What tells the fingerprint of a preset. It raises ConfigError where nobody has such weights, or the frames are
        to be made here and torch is missing.
    """
    workers = [worker for worker in _workers(farm) if rendering["key"] in worker["environments"]]

    def of(preset: str) -> str:
        if farm.config.broker_url is None and find_spec("torch") is None:
            raise ConfigError(
                "kpcn needs the package `torch`, which is not installed",
                key="denoise.backend",
                suggestion="pip install 'penumbra-pipeline[learn]', or use `oidn` or `none`",
            )
        held: Counter[str] = Counter()
        for worker in workers:
            if preset in worker["weights"]:
                held[worker["weights"][preset]] += int(worker["slots"])
        try:
            own = fingerprint(preset)
        except ConfigError:
            if not held:
                raise
        else:
            if not held or own in held:
                return own
        return held.most_common(1)[0][0]

    return of


def _workers(farm: Farm) -> list[dict[str, Any]]:
    return [worker for worker in farm.workers() if farm.store.url in worker["stores"]]


def _served(farm: Farm) -> Counter[tuple[str, str]]:
    """Slots of the farm's live workers by variant and environment key; rehearsals are left out."""
    slots: Counter[tuple[str, str]] = Counter()
    for worker in _workers(farm):
        for key in worker["environments"]:
            for device, variant in (("cpu", LLVM), ("cuda", CUDA)):
                if queue_name("render", device, key) in worker["queues"]:
                    slots[variant, key] += int(worker["slots"])
    return slots
