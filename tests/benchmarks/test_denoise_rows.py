"""Rows: which figures become which claims, and on which side of their bounds they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import denoise_rows as rows
from benchmarks.denoise_cost import Recall, enlarged
from benchmarks.denoise_measures import Scores
from benchmarks.denoise_page import crop, pages
from benchmarks.denoise_peers import PEERS
from benchmarks.denoise_sequences import Clip
from benchmarks.denoise_trials import OURS, QUICK, SINGLE, Findings, LambdaSweep
from benchmarks.referee import Interval, Results, Row
from pipeline.config.shot import Shot
from pipeline.render.buffers import FrameBuffers


def findings(name: str, **errors: float) -> Findings:
    """One clip: `errors` by method, 1 for all others, at 4, 16 and 64 samples."""
    keys: dict[str, Any] = {"shot": name, "scene": "scene.xml", "frames": "1-4"}
    found = Findings(Clip(Shot(**keys), 2, "about"))
    for key in (OURS, SINGLE, *(peer.key for peer in PEERS)):
        error = errors.get(key, 1.0)
        for spp in (4, 16, 64):
            found.scores[key, spp, 0] = Scores(error, error, error)
            found.change[key, spp, 0] = error
        found.still[key] = error, error
    found.ghosting["moving", 16, 0] = 1.1, 1.0
    found.regions["moving"] = 0.02
    found.energy["diffuse", 16] = 0.97
    found.halves = 0.9, 0.8
    found.noise = 0.1
    found.sweep = LambdaSweep([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], 2, 5, 0.2)
    found.pictures = {key: np.full((60, 90, 3), 0.2, np.float32) for key in ("noisy", OURS, "balanced", "clean_aux")}
    found.pictures["reference"] = np.full((60, 90, 3), 0.25, np.float32)
    return found


@pytest.fixture
def results() -> Results:
    return Results("denoise", "title", "about", quick=True)


def by_key(results: Results) -> dict[str, Row]:
    return {row.key: row for row in results.rows}


def test_errors_are_geometric_means_over_sequences(results: Results) -> None:
    rows.quality(results, [findings("a", ours=0.5), findings("b", ours=2.0)])
    found = by_key(results)
    assert found["smape.16-64"].value == pytest.approx(1.0)
    assert found["smape.worst"].value == pytest.approx(2.0) and found["smape.worst"].note == "b"
    assert found["smape.worst"].holds is False
    assert found["nlm"].value == pytest.approx(2.0)


def test_flicker_stands_beside_the_error_that_it_must_not_be_bought_with(results: Results) -> None:
    rows.flicker(results, [findings("a", ours=0.5), findings("b", ours=0.5)], QUICK)
    found = by_key(results)
    assert found["flicker.static"].holds and found["flicker.static.smape"].holds and found["flicker.moving"].holds


def test_regions_without_pixels_are_not_measured(results: Results) -> None:
    rows.ghosting(results, [findings("a"), findings("b")])
    found = by_key(results)
    assert found["ghosting.moving"].holds is False
    assert found["ghosting.shading"].value is None and found["ghosting.shading"].note == "no such pixels"


def test_energy_is_judged_by_its_worst_deviation(results: Results) -> None:
    rows.energy(results, [findings("a")])
    found = by_key(results)
    assert found["energy.diffuse"].value == pytest.approx(0.03) and found["energy.diffuse"].holds is False
    assert found["energy.emission"].value is None


def test_lambda_is_judged_on_every_sequence(results: Results) -> None:
    good, bad = findings("good"), findings("bad")
    bad.sweep = LambdaSweep([3.0, 3.0, 1.0], [1.0, 2.0, 1.5], 5, 5, 0.2)
    rows.steering(results, [good, bad])
    found = by_key(results)
    assert [found[f"lambda.{key}"].value for key in ("distance", "noise", "fireflies")] == [1, 1, 1]
    assert found["lambda.noise"].note == "bad"


def test_ablations_are_quoted_from_their_own_run(results: Results) -> None:
    row = Row("windows", "R-DP", 0.9, must=1.0).to_json()
    rows.ablations(results, {"rows": [row], "commit": "abc"})
    found = by_key(results)
    assert found["ablation.windows"].holds and found["ablation.windows"].note == "measured at abc"
    assert found["ablation.kernel"].value is None and found["ablation.kernel"].note == "not run"


def test_the_whole_page_can_be_written(results: Results, tmp_path: Path) -> None:
    found = [findings("a"), findings("b")]
    interval = Interval(1.5, 1.4, 1.6, 9)
    times = dict.fromkeys(("clean_aux", "balanced", "recipe"), interval)
    rows.quality(results, found)
    rows.many_samples(results, found, QUICK)
    rows.cost(results, times, Recall(interval, 2**30), {"peak": 3.0, "before": 0.5, "frame": 1.0})
    pages(results, found)
    results.write(tmp_path / "denoise.json")
    assert (tmp_path / "denoise-a.png").exists()
    assert "| a | 16 |" in (tmp_path / "denoise.md").read_text()


def test_the_crop_shows_where_images_differ_most() -> None:
    a, b = np.full((120, 200, 3), 0.3), np.full((120, 200, 3), 0.3)
    b[70:80, 150:160] = 0.9
    down, across = crop([a, b])
    assert down.start <= 70 and down.stop >= 80 and across.start <= 150 and across.stop >= 160
    assert (down.stop - down.start, across.stop - across.start) == (54, 80)


def test_an_enlarged_frame_repeats_and_has_light_in_every_component() -> None:
    planes = {name: np.zeros((2, 3), np.float32) for name in ("depth", "alpha", "forward_valid", "backward_valid")}
    colours = {name: np.zeros((2, 3, 3), np.float32) for name in ("emission", "diffuse", "specular", "normal")}
    small = FrameBuffers(
        **planes,
        **colours,
        albedo=np.arange(18, dtype=np.float32).reshape(2, 3, 3),
        forward=np.zeros((2, 3, 2), np.float32),
        backward=np.zeros((2, 3, 2), np.float32),
        ids=np.zeros((2, 3), np.uint32),
        count=np.ones((2, 3), np.float32),
        half_a=np.zeros((2, 3, 9), np.float32),
        half_b=np.zeros((2, 3, 9), np.float32),
        variance={"albedo": np.ones((2, 3), np.float32)},
    )
    large = enlarged(small, (7, 5))
    assert large.shape == (5, 7) and large.variance["albedo"].shape == (5, 7)
    np.testing.assert_array_equal(large.albedo[2:4, 3:6], small.albedo)
    assert large.emission.any() and large.specular.any()
