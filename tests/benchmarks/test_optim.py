"""The optimisers' benchmark: targets and misses, the search of rates, rays, and rows of trials that are made up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import optim_cache
from benchmarks import optim_rows as rows
from benchmarks.optim_signals import Named, rays
from benchmarks.optim_sizes import Course
from benchmarks.optim_theory import Condition
from benchmarks.optim_trials import Trial, looks_of, trial
from benchmarks.optim_tuning import Tuned, search
from benchmarks.referee import Results
from pipeline.optim.activations import ACTIVATIONS
from pipeline.optim.fields.fit import PART
from pipeline.optim.fields.image import ImageSignal


def line(
    final: float, *, steps: int = 100, products: float = 0.0, second: float = 0.01, complete: bool = True
) -> Trial:
    """A training of 100 steps whose quality grows evenly from 0 to `final`."""
    at = np.linspace(0, 100, 11)
    return Trial([[s, s * products, s * second, final * s / 100] for s in at], complete)


@pytest.fixture
def results() -> Results:
    return Results("optim", "", "", quick=True)


def found(results: Results) -> dict[str, Any]:
    return {row.key: row for row in results.rows}


# --- Trials -----------------------------------------------------------------------------------------------------------


def test_a_target_is_reached_between_looks() -> None:
    steps, products, seconds = line(20.0, products=0.5).reached(13.0) or (0, 0, 0)
    assert (steps, products, seconds) == pytest.approx((65.0, 32.5, 0.65))
    assert line(20.0).reached(20.5) is None


def test_a_miss_counts_its_budget_and_one_that_diverged_no_less_than_others() -> None:
    peer = line(30.0)
    assert line(20.0).cost(30.0, peer) == (100.0, 0.0, 1.0, False)
    cut = Trial(line(20.0).looks[:3], complete=False)
    assert cut.final == -math.inf and cut.cost(30.0, peer) == (100.0, 0.0, 1.0, False)


def test_the_final_quality_is_a_mean_of_the_last_looks() -> None:
    looks = [[k, 0, 0, 0.0] for k in range(18)] + [[18, 0, 0, 10.0], [19, 0, 0, 20.0]]
    assert Trial(looks, complete=True).final == 15.0


def test_a_trial_is_kept_and_found_again(tmp_path: Any) -> None:
    calls = []

    def make() -> ImageSignal:
        calls.append(0)
        return ImageSignal(np.random.default_rng(0).uniform(size=(8, 8, 3)))

    course = Course(steps=6, batch=16, width=4, depth=2, looks=3)
    assert looks_of(course) == [0, 2, 4, 6]
    made = trial(Named("noise", make), "sine", "esgd", 0.1, course, 0, tmp_path)
    assert made.complete and [look[0] for look in made.looks] == [0, 2, 4, 6]
    assert trial(Named("noise", make), "sine", "esgd", 0.1, course, 0, tmp_path) == made and len(calls) == 1
    trial(Named("noise", make), "sine", "esgd", 0.1, course, 1, tmp_path)
    assert len(calls) == 2


def test_the_search_goes_on_beyond_an_edge_and_leaves_what_diverges() -> None:
    tuned = search(lambda rate: -abs(math.log10(rate) - 1.5), 1.0, 5)
    assert tuned.rate == pytest.approx(10**1.5) and len(tuned.tried) == 7  # two beyond the first five: one to see
    low = search(lambda rate: -math.inf if rate > 0.2 else -1.0, 1.0, 5)
    assert low.rate <= 0.2
    with pytest.raises(ValueError, match="no rate"):
        search(lambda rate: -math.inf, 1.0, 5)


def test_rays_of_a_pinhole_go_through_the_pixels_centres() -> None:
    cast = rays(np.eye(4), 90.0, 4, 2)
    assert cast.shape == (8, 6) and np.allclose(np.linalg.norm(cast[:, 3:], axis=1), 1)
    first = cast[0, 3:] / cast[0, 5]
    assert first.tolist() == pytest.approx([0.75, 0.25, 1.0])  # +x is to the left, +y up


# --- Rows -------------------------------------------------------------------------------------------------------------

FINAL = {"sgd": 10.0, "adam": 20.0, "esgd": 40.0, "esgd_max": 30.0}
FINAL |= {"adahessian_e": 26.0, "adahessian_j": 22.0, "shampoo": 25.0}


@pytest.fixture
def races() -> dict[tuple[str, str], dict[tuple[str, int], Trial]]:
    """All of the paper's orderings: ESGD twice as quick as Adam, but on ReLU(PE)."""
    made = {}
    for activation in ACTIVATIONS:
        for name in rows.CONTENDERS:
            final = FINAL[name] if activation != "relu_pe" or name != "esgd" else 15.0
            second = 0.03 if name == "shampoo" else 0.012 if name == "esgd" else 0.01
            trials = {("a", seed): line(final, products=0.1 * (name == "esgd"), second=second) for seed in range(3)}
            made[activation, name] = trials
    return made


def test_image_rows_are_steps_gradients_and_seconds_to_adams_final_quality(results: Results, races: Any) -> None:
    rows.images(results, races, dict.fromkeys(ACTIVATIONS, 2.0))
    row = found(results)
    target = races["sine", "adam"]["a", 0].final / 20
    assert row["steps"].value == row["steps.sine"].value == pytest.approx(0.5) and row["steps"].holds
    assert row["gradients"].value == pytest.approx(0.5 * (1 + 0.1 * 2 / PART))
    assert row["time"].value == pytest.approx(0.6) and row["time"].holds
    assert row["relu_pe"].value == pytest.approx(1 / target) and row["relu_pe"].holds


def test_the_papers_orderings_are_counted_and_those_that_fail_are_named(results: Results, races: Any) -> None:
    rows.table(results, races)
    assert found(results)["table"].value == 1.0
    for key in races["sine", "esgd"]:
        races["sine", "esgd"][key] = line(12.0)
    again = Results("optim", "", "", quick=True)
    rows.table(again, races)
    assert found(again)["table"].holds is False and "sine: ESGD before Adam" in found(again)["table"].note


def test_shapes_and_rooms(results: Results, races: Any) -> None:
    rows.shapes(results, races)
    rows.rooms(results, races)
    row = found(results)
    assert row["occupancy"].value == pytest.approx(0.6) and row["occupancy"].holds
    assert row["occupancy.degrade"].value < 0 and row["occupancy.degrade"].holds
    assert row["nerf"].value == pytest.approx(2.0) and row["nerf"].holds is None


def test_densities_are_judged_by_the_lowest_smooth_one(results: Results) -> None:
    shares = {name: {0: [0.9, 0.95, 0.9], 100: [0.99] * 3} for name in rows.SMOOTH}
    shares["wavelet"][100] = [0.7, 0.85, 0.86]
    shares |= {"relu": {0: [0.5] * 3, 100: [0.6] * 3}, "relu_pe": {0: [0.92] * 3, 100: [0.5] * 3}}
    rows.density(results, shares)
    row = found(results)
    assert row["density"].value == 0.85 and row["density"].note == "wavelet at 100" and row["density"].holds
    assert row["density.relu"].value == pytest.approx(0.02) and row["density.relu"].holds is False


def test_condition_numbers_are_ratios_to_none(results: Results) -> None:
    numbers = {("sine", seed): {0: Condition(100.0, 50.0, 80.0)} for seed in range(4)}
    rows.condition(results, numbers)
    row = found(results)
    assert row["condition.equilibrated"].value == pytest.approx(0.5) and row["condition.equilibrated"].holds
    assert row["condition.jacobi"].value == pytest.approx(0.8) and row["condition.jacobi"].holds is None


def test_the_caches_row_is_that_of_the_best_smooth_field_and_names_the_winner(results: Results) -> None:
    errors = {"fast": 0.2, "relu": 0.5, "sine-adam": 0.3, "sine-esgd": 0.1, "gaussian-adam": 0.4, "gaussian-esgd": 0.15}
    black = np.zeros((2, 2, 3), np.float32)
    made = {
        key: {("room", seed): optim_cache.Trained(100, 1.0, error, black) for seed in range(2)}
        for key, error in errors.items()
    }
    optim_cache.rows(results, made, {key: Tuned(1.0, {}) for key in errors})
    row = found(results)["cache"]
    assert row.value == pytest.approx(2.0) and "winner sine-esgd" in row.note and "preset fast" in row.note
