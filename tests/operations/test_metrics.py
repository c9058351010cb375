"""Metrics follow from what is recorded, and nothing is told that the table of metrics does not name."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import FarmError, StoreError
from pipeline.farm.client import Farm
from pipeline.farm.metrics import METRICS, registry
from pipeline.farm.watching import Watch


def scraped(farm: Farm, watch: Watch | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    from prometheus_client import generate_latest

    text = generate_latest(registry(watch or Watch(farm, every=0.0))).decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[label] for label in METRICS[sample.name].labels)
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_a_job_is_told_by_shot_state_round_and_frame(store: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(store, slices=1, task_seconds=0.01)
    rehearsed.make(store, job, tasks=12)

    found = scraped(Farm.offline(store, FarmConfig(cost_per_hour=3600.0)))
    own = (job.id, "shot_010")

    frames = found["penumbra_job_frames"]
    assert sum(count for (name, shot, _), count in frames.items() if (name, shot) == own) == 2
    seconds = found["penumbra_job_render_seconds_total"][*own, "any"]
    assert found["penumbra_job_samples_total"][*own, "any"] == 256 and seconds == pytest.approx(0.04)
    assert found["penumbra_job_cost"][own] == pytest.approx(seconds)
    assert found["penumbra_job_round_frames"] == {(*own, "1"): 2.0}  # the second round has no sums yet
    assert sum(found["penumbra_ready_tasks"].values()) >= 1
    assert found["penumbra_jobs"]["running",] == 1.0


def test_every_metric_is_in_the_table_with_its_labels(store: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(store, budget_spp=4, target_error=0.01)
    rehearsed.make(store, job, tasks=14)

    found = scraped(Farm.offline(store, FarmConfig(cost_per_hour=1.0)))

    assert found.keys() <= METRICS.keys()
    assert {"penumbra_frame_error", "penumbra_job_round_error", "penumbra_job_remaining_seconds"} <= found.keys()


def test_a_job_that_ended_is_told_for_an_hour(store: Any, rehearsed: Any) -> None:
    now = 0.0
    watch = Watch(Farm.offline(store, FarmConfig()), every=0.0, clock=lambda: now)
    job = rehearsed.claim(store)
    scraped(watch._farm, watch)
    rehearsed.make(store, job)

    assert scraped(watch._farm, watch)["penumbra_jobs"]["done",] == 1.0
    now = 3599.0
    assert scraped(watch._farm, watch)["penumbra_job_progress_ratio"] == {(job.id, "shot_010"): 1.0}
    now = 3700.0
    assert scraped(watch._farm, watch)["penumbra_jobs"]["done",] == 0.0


def test_a_job_that_began_and_ended_between_two_looks_is_told(store: Any, rehearsed: Any) -> None:
    before = rehearsed.claim(store, shot="old")
    rehearsed.make(store, before)
    watch = Watch(Farm.offline(store, FarmConfig()), every=0.0)
    assert watch.look().jobs == ()  # what ended before anyone looked is history

    job = rehearsed.claim(store)
    rehearsed.make(store, job)

    (sight,) = watch.look().jobs
    assert (sight.job.id, str(sight.snapshot.state), sight.ended) == (job.id, "done", True)


def test_a_broker_or_a_store_that_is_away_is_told_and_not_raised(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = Farm.offline(store, FarmConfig())

    def away(*_: object) -> Any:
        raise FarmError("the broker does not answer any more")

    monkeypatch.setattr(farm, "workers", away)
    assert scraped(farm)["penumbra_broker_up"] == {(): 0.0}

    def lost(*_: object) -> Any:
        raise StoreError("lost")

    monkeypatch.setattr(store, "children", lost)
    assert scraped(farm) == {"penumbra_store_up": {(): 0.0}}
