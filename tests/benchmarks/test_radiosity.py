"""Rows of the preview benchmark, from trials that are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import radiosity_rows as rows
from benchmarks.radiosity_cost import Race
from benchmarks.radiosity_trials import FULL, Trial, Variant, plan
from benchmarks.referee import Results

BLACK = np.zeros((2, 2, 3), np.float32)


def trial(*error: float, brightness: float = 1.0) -> Trial:
    return Trial([*range(len(error))], list(error), brightness, 0.1, 1.0, BLACK)


def rows_of(results: Results) -> dict[str, Any]:
    return {row.key: row for row in results.rows}


@pytest.fixture
def results() -> Results:
    return Results("radiosity", "", "", quick=True)


def test_the_gain_leaves_out_the_calm_scene_which_has_a_row_of_its_own(results: Results) -> None:
    semi = {("veach-bidir", 0): trial(0.1), ("shot_010", 0): trial(0.2), ("cornell-box", 0): trial(0.1)}
    full = {("veach-bidir", 0): trial(0.8), ("shot_010", 0): trial(1.6), ("cornell-box", 0): trial(0.08)}
    rows.gain(results, semi, full)
    rows.calm_scene(results, semi, full)
    found = rows_of(results)
    assert found["gain"].value == pytest.approx(8.0) and found["gain"].holds
    assert found["gain.calm"].value == pytest.approx(1.25) and found["gain.calm"].holds


def test_brightness_is_judged_by_the_scene_that_is_farthest_off(results: Results) -> None:
    runs = {
        "semi": {("a", 0): trial(1.0, brightness=1.01), ("b", 0): trial(1.0, brightness=0.97)},
        "dual": {("a", 0): trial(1.0, brightness=1.0)},
        "full": {("a", 0): trial(1.0, brightness=0.7)},
    }
    rows.brightness(results, runs)
    found = rows_of(results)
    assert found["brightness.semi"].value == pytest.approx(0.03) and found["brightness.semi"].holds is False
    assert found["brightness.dual"].holds and found["brightness.full"].holds


def test_errors_that_do_not_fall_with_the_weight_are_counted(results: Results) -> None:
    by_weight = {1.0: trial(0.5), 0.5: trial(0.6), 0.0: trial(0.1)}
    rows.weights(results, by_weight, many=trial(0.11), few=by_weight[1.0], semi=by_weight[0.0])
    found = rows_of(results)
    assert found["weights"].value == 1 and found["weights"].holds is False
    assert found["dual.many"].holds


def test_a_race_counts_the_tracers_error_over_the_caches(results: Results) -> None:
    rows.races(results, {"s": Race(10.0, 0.1, 0.5, 16, 12, (BLACK, BLACK, BLACK))})
    assert rows_of(results)["race.s"].value == pytest.approx(5.0)


def test_a_shorter_trial_has_the_presets_schedule_in_small() -> None:
    from dataclasses import replace

    whole, small = plan(Variant(), FULL, 0).preset, plan(Variant(incident=8), replace(FULL, steps=300), 0).preset
    assert small.steps == 300 and small.decay_every * 10 == whole.decay_every
    assert [stage.incident for stage in small.stages] == [8 * stage.incident for stage in whole.stages]


def test_free_views_look_where_the_shot_looks_and_none_is_the_shots_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import radiosity_subjects
    from pipeline.radiosity import render
    from pipeline.radiosity.cameras import View
    from pipeline.scene.animation import look_at

    view = View(look_at((0.0, 1.0, 4.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0)), 50.0, 32, 18)
    monkeypatch.setattr(render, "looking_distance", lambda sources, seen: 4.0)
    scene = radiosity_subjects.Subject("s", _Opened(), view)  # type: ignore[arg-type]
    for free in radiosity_subjects.free_views(scene, 30):
        assert not np.allclose(free.origin, view.origin, atol=1e-3)
        towards = np.array((0.0, 1.0, 0.0)) - free.origin
        assert np.allclose(towards / np.linalg.norm(towards), free.forward, atol=1e-9)


class _Opened:
    sources = None
