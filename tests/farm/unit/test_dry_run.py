"""Estimates before a submit: from a probe's rounds, or from assumptions that say so."""

from __future__ import annotations

import pytest

from pipeline.config.farm import Farm
from pipeline.config.shot import Shot
from pipeline.farm.dry_run import estimate
from pipeline.farm.forecast import OUTPUT_SECONDS
from pipeline.farm.job import Frozen
from pipeline.farm.probe import Probe
from pipeline.farm.submission import Prepared

SIZE = (200, 100)
FARM = Farm(assumed_samples_per_second=1e4, cost_per_hour=36.0)
SEEN = Probe(800, ((8.0, 0.08), (16.0, 0.08 / 2**0.5), (32.0, 0.04)), 0.05, 2e4, 0.5)


def prepared(**sampling: object) -> Prepared:
    rounds = {"guide": "variance", "first_spp": 16, "max_spp": 256, "target_error": 0.02, **sampling}
    shot = Shot.model_validate({"shot": "s", "scene": "s.xml", "frames": "1-4", "sampling": rounds})
    return Prepared(shot, Frozen({}, {}))


def test_a_probe_says_how_many_samples_its_error_needs_and_how_fast_they_come() -> None:
    found = estimate(prepared(), SIZE, SEEN, FARM, slots=2)
    samples = 4 * 128 * 20_000  # 0.04 at 32 spp is 0.02 at 128
    machine = samples / 2e4 + 4 * (OUTPUT_SECONDS + 0.5 * 20_000 / 800)

    assert found.probed and (found.frames, found.rounds) == (4, 5)
    assert found.forecast.samples.middle == samples
    assert found.forecast.machine_seconds.middle == pytest.approx(machine)
    assert found.forecast.seconds.middle == pytest.approx(machine / 2)
    assert found.forecast.cost is not None and found.forecast.cost.middle == pytest.approx(machine / 100)
    assert found.forecast.seconds.low < found.forecast.seconds.middle < found.forecast.seconds.high


def test_a_budget_and_a_cap_bound_what_a_probe_asks_for() -> None:
    assert estimate(prepared(budget_spp=40), SIZE, SEEN, FARM, slots=1).forecast.samples.high == 4 * 40 * 20_000
    assert estimate(prepared(max_spp=64), SIZE, SEEN, FARM, slots=1).forecast.samples.high == 4 * 64 * 20_000


def test_no_frame_gets_less_than_its_first_round() -> None:
    assert estimate(prepared(target_error=0.5), SIZE, SEEN, FARM, slots=1).forecast.samples.middle == 4 * 16 * 20_000


def test_without_a_probe_all_is_assumed_and_the_interval_is_all_that_may_be() -> None:
    found = estimate(prepared(), SIZE, None, FARM, slots=1, probing=False)
    late = estimate(prepared(), SIZE, None, FARM, slots=1)

    assert not found.probed and found.warnings == ()
    assert (found.forecast.samples.low, found.forecast.samples.high) == (4 * 16 * 20_000, 4 * 256 * 20_000)
    assert found.forecast.seconds.low == pytest.approx(4 * 16 * 20_000 / 1e4 + 4 * OUTPUT_SECONDS)
    assert "assumed" in late.warnings[0]
