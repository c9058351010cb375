"""Prometheus metrics of a farm, made from what is recorded anyway: products' facts, queues and leases.

`FarmCollector` is asked at each scrape and keeps no counts of its own, so that a restart of the exporter loses nothing.
`METRICS` is the one table of names; dashboards and alerts are tested against it. Series of a job end an hour after it
did, and those of frames with their job: the number of series is bounded by the work at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.errors import StoreError
from pipeline.farm.watching import FarmSight, JobSight, Watch, WorkKind, slots_by_device

__all__ = ["METRICS", "FarmCollector", "MetricKind", "registry"]


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric: what it says, its labels, and whether it only grows."""

    text: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"


_JOB: Final = ("job", "shot")
_WORK: Final = ("kind", "device")

METRICS: Final[dict[str, MetricKind]] = {
    "penumbra_store_up": MetricKind("1 while the store can be read."),
    "penumbra_broker_up": MetricKind("1 while Redis answers."),
    "penumbra_store_full": MetricKind("1 while nothing runs because the store is full."),
    "penumbra_workers": MetricKind("Live workers.", ("device",)),
    "penumbra_slots": MetricKind("Tasks that live workers can make at a time.", ("device",)),
    "penumbra_worker_busy_slots": MetricKind("Tasks that a worker is making.", ("worker", "host", "device")),
    "penumbra_worker_memory_bytes": MetricKind(
        "Memory of a worker's device, for each slot.", ("worker", "host", "device")
    ),
    "penumbra_ready_tasks": MetricKind("Tasks that could be at work: ready, queued and running.", _WORK),
    "penumbra_queued_tasks": MetricKind("Tasks in queues.", _WORK),
    "penumbra_queue_wait_seconds": MetricKind("Time that the oldest task in a queue was seen to wait.", _WORK),
    "penumbra_running_tasks": MetricKind("Tasks at work.", _WORK),
    "penumbra_running_oldest_seconds": MetricKind("Run time of the task that has been at work longest.", _WORK),
    "penumbra_jobs": MetricKind("Jobs that are unfinished, or ended within the hour.", ("state",)),
    "penumbra_job_priority": MetricKind("0 (last) to 9 (first).", _JOB),
    "penumbra_job_frames": MetricKind("Frames of a job.", (*_JOB, "state")),
    "penumbra_job_progress_ratio": MetricKind("Share of the expected work that is done.", _JOB),
    "penumbra_job_samples_total": MetricKind("Samples taken.", (*_JOB, "device"), "counter"),
    "penumbra_job_samples_expected": MetricKind("Samples that the job will have taken at its end.", _JOB),
    "penumbra_job_render_seconds_total": MetricKind("Device time of rendering.", (*_JOB, "device"), "counter"),
    "penumbra_job_samples_per_second": MetricKind("Samples per second of device time, mean.", (*_JOB, "device")),
    "penumbra_job_cost": MetricKind("Device time at the farm's price, in its money.", _JOB),
    "penumbra_job_remaining_seconds": MetricKind("Forecast of the time that is left.", _JOB),
    "penumbra_job_failed_tasks": MetricKind("Tasks that are parked.", _JOB),
    "penumbra_job_error": MetricKind("Predicted error, mean over the frames that have one.", _JOB),
    "penumbra_job_round_frames": MetricKind("Frames by the number of rounds that they have had.", (*_JOB, "round")),
    "penumbra_job_round_error": MetricKind("Predicted error, mean over the frames at a round.", (*_JOB, "round")),
    "penumbra_frame_error": MetricKind("Predicted error of a frame.", (*_JOB, "frame")),
    "penumbra_frame_samples_per_pixel": MetricKind("Mean samples per pixel of a frame.", (*_JOB, "frame")),
    "penumbra_frame_render_seconds": MetricKind("Device time of rendering of a frame.", (*_JOB, "frame")),
}

JOB_STATES: Final = ("waiting", "running", "paused", "cancelled", "failed", "done")
FRAME_STATES: Final = ("waiting", "rendering", "denoising", "parked", "absent", "done")

Samples = dict[str, dict[tuple[str, ...], float]]
"""Values by metric and by the values of its labels."""


class FarmCollector(Collector):
    """Looks at a farm when it is asked for metrics.

    Args:
        watch: of the farm.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def describe(self) -> Iterable[Metric]:
        """Nothing is looked at when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            found = samples(self._watch.look(), price=self._watch.price_per_hour)
        except StoreError:
            found = {"penumbra_store_up": {(): 0.0}}
        for name, by_label in found.items():
            kind = METRICS[name]
            family = CounterMetricFamily if kind.type == "counter" else GaugeMetricFamily
            metric = family(name, kind.text, labels=kind.labels)
            for labels, value in by_label.items():
                metric.add_metric(labels, value)
            yield metric


def registry(watch: Watch) -> CollectorRegistry:
    """A registry of the farm's metrics alone."""
    made = CollectorRegistry(auto_describe=False)
    made.register(FarmCollector(watch))
    return made


def samples(sight: FarmSight, *, price: float | None = None) -> Samples:
    """All metrics of a look at a farm.

    Args:
        sight: what was seen.
        price: of an hour of device time; None leaves costs out.
    """
    found: Samples = {
        "penumbra_store_up": {(): 1.0},
        "penumbra_broker_up": {(): float(sight.broker)},
        "penumbra_store_full": {(): float(sight.held is not None)},
        **_work(sight),
        **_workers(sight),
        "penumbra_jobs": {(state,): 0.0 for state in JOB_STATES},
    }
    for each in sight.jobs:
        states = found["penumbra_jobs"]
        states[each.snapshot.state,] = states.get((each.snapshot.state,), 0.0) + 1.0
        for name, by_label in _job(each, price).items():
            found.setdefault(name, {}).update(by_label)
    return found


def _work(sight: FarmSight) -> Samples:
    """Tasks by kind and device. Kinds that were seen at all have a value for every state, so that graphs fall to 0."""
    ready, now = sight.ready(), sight.at
    running: Counter[WorkKind] = Counter((each.kind, each.device) for each in sight.running)
    kinds = {*ready, *running, *sight.queued}
    since = {kind: now for kind in kinds}
    for each in sight.running:
        kind = each.kind, each.device
        since[kind] = min(since[kind], each.held.since)
    return {
        "penumbra_ready_tasks": {kind: float(ready[kind]) for kind in kinds},
        "penumbra_queued_tasks": {kind: float(sight.queued.get(kind, 0)) for kind in kinds},
        "penumbra_queue_wait_seconds": {kind: sight.oldest.get(kind, 0.0) for kind in kinds},
        "penumbra_running_tasks": {kind: float(running[kind]) for kind in kinds},
        "penumbra_running_oldest_seconds": {kind: max(0.0, now - since[kind]) for kind in kinds},
    }


def _workers(sight: FarmSight) -> Samples:
    count: Counter[str] = Counter(str(worker["device"]).partition(":")[0] for worker in sight.workers)
    busy: Counter[str] = Counter(each.held.worker for each in sight.running)
    own = {(str(worker["name"]), str(worker["host"]), str(worker["device"])): worker for worker in sight.workers}
    return {
        "penumbra_workers": {(device,): float(n) for device, n in count.items()},
        "penumbra_slots": {(device,): float(n) for device, n in slots_by_device(sight.workers).items()},
        "penumbra_worker_busy_slots": {labels: float(busy[worker["name"]]) for labels, worker in own.items()},
        "penumbra_worker_memory_bytes": {
            labels: float(worker["memory"]) * 2**20 for labels, worker in own.items() if worker["memory"]
        },
    }


def _job(sight: JobSight, price: float | None) -> Samples:
    seen, own = sight.snapshot, (sight.snapshot.job, sight.snapshot.shot)
    states: Counter[str] = Counter(frame.state for frame in seen.frames)
    errors = [frame.error for frame in seen.frames if frame.error is not None]
    found: Samples = {
        "penumbra_job_priority": {own: float(seen.priority)},
        "penumbra_job_frames": {(*own, state): float(states[state]) for state in {*FRAME_STATES, *states}},
        "penumbra_job_progress_ratio": {own: seen.fraction},
        "penumbra_job_samples_total": {(*own, sight.device): float(seen.samples)},
        "penumbra_job_render_seconds_total": {(*own, sight.device): seen.seconds},
        "penumbra_job_failed_tasks": {own: float(len(seen.failures))},
        **_rounds(sight),
    }
    optional: Mapping[str, float | None] = {
        "penumbra_job_samples_expected": seen.expected,
        "penumbra_job_remaining_seconds": None if seen.forecast is None else seen.forecast.seconds.middle,
        "penumbra_job_cost": None if price is None else seen.seconds / 3600.0 * price,
        "penumbra_job_error": sum(errors) / len(errors) if errors else None,
    }
    found |= {name: {own: float(value)} for name, value in optional.items() if value is not None}
    if seen.seconds > 0.0:
        found["penumbra_job_samples_per_second"] = {(*own, sight.device): seen.samples / seen.seconds}
    return found


def _rounds(sight: JobSight) -> Samples:
    """By round, and by frame: the error that samples have bought so far."""
    own = sight.snapshot.job, sight.snapshot.shot
    at_round: dict[str, list[float | None]] = {}
    found: Samples = {
        "penumbra_frame_error": {},
        "penumbra_frame_samples_per_pixel": {},
        "penumbra_frame_render_seconds": {},
    }
    for frame in sight.snapshot.frames:
        had = 0 if frame.round is None else frame.round + 1
        at_round.setdefault(str(had), []).append(frame.error)
        label = (*own, str(frame.frame))
        if frame.error is not None:
            found["penumbra_frame_error"][label] = frame.error
        if frame.spp is not None:
            found["penumbra_frame_samples_per_pixel"][label] = frame.spp
        if frame.seconds > 0.0:
            found["penumbra_frame_render_seconds"][label] = frame.seconds
    found["penumbra_job_round_frames"] = {(*own, r): float(len(errors)) for r, errors in at_round.items()}
    known = {r: [error for error in errors if error is not None] for r, errors in at_round.items()}
    found["penumbra_job_round_error"] = {(*own, r): sum(all_) / len(all_) for r, all_ in known.items() if all_}
    return found
