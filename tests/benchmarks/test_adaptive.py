"""Adaptive sampling's benchmark: trials that go on where they were, figures from them, and the rows and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks import adaptive_rows as rows
from benchmarks.adaptive_eta import ASKED_AT, Forecasted
from benchmarks.adaptive_kit import DEFAULT, KITS, Case, Kit
from benchmarks.adaptive_page import pages, panel
from benchmarks.adaptive_races import Race
from benchmarks.adaptive_trials import MATRIX, ORACLE, QUICK, STUDIED, UNIFORM, VARIANCE, Shown, Stage, Trial
from benchmarks.adaptive_unbiased import BLOCK, Scatter, block_means, z_scores
from benchmarks.denoise_sequences import Clip
from benchmarks.referee import Results, Row
from pipeline.config.shot import Shot
from pipeline.denoise.calibration import Deciles
from pipeline.denoise.passthrough import Passthrough
from pipeline.farm.rounds import Render
from pipeline.render.channels import COLOUR, COUNT, FEATURES
from pipeline.render.moments import Moments

NOTHING = Kit(Passthrough(), "none", {}, {}, "no weights here")


def clip(name: str) -> Clip:
    keys: dict[str, Any] = {"shot": name, "scene": "scene.xml", "frames": "1-9"}
    return Clip(Shot(**keys), 5, "grey")


def trial(scale: float, *, power: float = 0.5, levels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)) -> Trial:
    """Two frames whose errors fall with a power of the samples."""
    shown = []
    for number, spp in enumerate(levels):
        error = scale * (spp / 64) ** -power
        scores = dict.fromkeys(("smape", "rel_mse", "dssim", "ms_dssim", "flip"), error)
        told = Deciles((0.9 * error,) * 10, (error,) * 10)
        reason = "target" if spp == levels[-1] else ""
        shown += [Shown(frame, number, spp, reason, error, 2 * error, error, scores, told) for frame in (5, 6)]
    return Trial(tuple(shown), {"spent": np.full((36, 64), 64, np.uint32), "denoised": np.full((36, 64, 3), 0.2)})


def trials(*, error: float = 0.08, oracle: float = 0.075) -> dict[tuple[str, Case, int], Trial]:
    scales = {UNIFORM: 0.1, VARIANCE: 0.09, ORACLE: oracle}
    return {
        (name, case, seed): trial(scales.get(case, error if case == DEFAULT else 0.085))
        for name in ("a", "b", "c")
        for seed in (0, 1)
        for case in dict.fromkeys((*STUDIED, *MATRIX))
    }


@pytest.fixture
def results() -> Results:
    return Results("adaptive", "title", "about", quick=True)


def by_key(results: Results) -> dict[str, Row]:
    return {row.key: row for row in results.rows}


# --- Figures ----------------------------------------------------------------------------------------------------------


def test_samples_to_reach_an_error_lie_on_the_curve_between_rounds() -> None:
    uniform = trial(0.1)
    assert rows.samples_to_reach(trial(0.1), uniform, 64) == pytest.approx(64)
    assert rows.samples_to_reach(trial(0.1 / 2**0.25), uniform, 64) == pytest.approx(64 / 2**0.5)
    assert rows.samples_to_reach(trial(0.01), uniform, 64) == 16
    assert rows.samples_to_reach(trial(0.2, levels=(16, 32)), uniform, 64) == pytest.approx(256)  # goes on as it did
    assert rows.samples_to_reach(trial(0.2, power=-0.1), uniform, 64) is None


def test_guides_are_compared_at_equal_samples_and_seeds(results: Results) -> None:
    rows.quality(results, trials(), QUICK, KITS["untrained"]())
    found = by_key(results)
    assert found["uniform.64"].value == pytest.approx(0.8) and found["uniform.64"].holds
    assert found["uniform.64.worst"].value == pytest.approx(0.8)
    assert found["samples.256"].value == pytest.approx(0.64)
    assert found["variance.dssim.64"].value == pytest.approx(8 / 9)
    assert found["oracle.64"].value == pytest.approx(80 / 75)


def test_without_weights_the_rows_say_so(results: Results) -> None:
    made = {key: each for key, each in trials().items() if key[1].guide != "error"}
    rows.quality(results, made, QUICK, NOTHING)
    rows.figure9(results, made, QUICK, NOTHING)
    rows.stops(results, {}, rows.targets(made), NOTHING)
    rows.overhead(results, {}, NOTHING)
    assert results.rows and all(row.value is None and row.note == "no weights here" for row in results.rows)
    assert all(row.holds is None for row in results.rows)


def test_the_claims_of_figure_9_are_counted(results: Results) -> None:
    rows.figure9(results, trials(error=0.095), QUICK, KITS["untrained"]())
    found = by_key(results)
    assert found["figure9.own.low"].value == 0 and found["figure9.own.high"].holds
    assert found["figure9.dssim.low"].value == pytest.approx(0.095 / 0.09) and not found["figure9.dssim.low"].holds
    assert found["figure9.compromise.low"].value == 4 and "variance-smape" in found["figure9.compromise.low"].note


def test_frames_that_ran_out_of_samples_are_counted_apart(results: Results) -> None:
    near, out = trial(0.1), trial(0.1)
    out = Trial(tuple(replace(one, reason="max_spp" if one.reason else "") for one in out.shown))
    true = near.stops[0].true
    rows.stops(results, {("a", 0): near, ("a", 1): out}, {"a": true / 0.9}, KITS["untrained"]())
    found = by_key(results)
    assert found["stop.low"].value == pytest.approx(0.9) and found["stop.low"].holds and found["stop.high"].holds
    assert found["stop.low"].note == "2 of 4 frames; 2 ended at max_spp" and found["stop.lowest"].note == "a"


def test_an_eta_that_nobody_gave_is_off_by_the_whole(results: Results) -> None:
    told = Forecasted("a", 100.0, 100 * (1 - ASKED_AT) + 5, 70.0, 90.0)
    rows.eta(results, [told, Forecasted("b", 50.0, None, 0.0, 0.0)])
    found = by_key(results)
    assert told.error == pytest.approx(0.05) and told.held
    assert found["eta"].value == pytest.approx(52.5) and "nothing said yet: b" in found["eta"].note
    assert found["eta.held"].value == 1


def test_z_scores_are_normal_without_a_bias_and_show_one() -> None:
    rng = np.random.default_rng(0)
    truth, noise = rng.uniform(0.5, 1.0, 300), 0.1
    means = truth + noise * rng.standard_normal((64, 300))
    fair = z_scores(means, truth, np.zeros(300))
    biased = z_scores(means - 0.05, truth, np.zeros(300))
    assert 0.9 < fair.spread < 1.1 and fair.largest < fair.bound and abs(fair.bias) < 0.005
    assert biased.spread > 2 and biased.bias == pytest.approx(-0.05 / truth.mean(), rel=0.1)


def test_blocks_are_means_of_whole_blocks() -> None:
    image = np.zeros((2 * BLOCK + 3, 3 * BLOCK))
    image[:BLOCK, BLOCK : 2 * BLOCK] = 4.0
    image[2 * BLOCK :] = 9.0
    assert block_means(image).tolist() == [0, 4, 0, 0, 0, 0]


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_whole_page_can_be_written(results: Results, tmp_path: Path) -> None:
    made, kit = trials(), KITS["untrained"]()
    one = Race(2.0, 0.05, 2.01, 0.06, 70, 1.5, 0.1, 8.0, 0.09, 0.5, 4.0)
    run = {("a", 0): one, ("b", 0): replace(one, reached_seconds=-1.0)}
    jobs = [Forecasted("job", 10.0, 8.0, 6.0, 9.0), Forecasted("other", 10.0, None, 0.0, 0.0)]
    spread = Scatter(100, 1.02, 3.0, 3.5, 0.001)
    rows.quality(results, made, QUICK, kit)
    rows.overhead(results, run, kit)
    rows.races(results, run, kit)
    rows.unbiased(results, {"a": {"unbiased": spread, "pooled": replace(spread, spread=1.5)}}, 64)
    clips = [clip(name) for name in ("a", "b", "c")]
    pages(results, clips, made, {("a", 0): made["a", DEFAULT, 0]}, run, jobs, QUICK)
    results.write(tmp_path / "adaptive.json")
    found, page = by_key(results), (tmp_path / "adaptive.md").read_text()
    assert found["faster"].value == pytest.approx(16) and "1 of 2 never came to it" in found["faster"].note
    assert found["z.low.a"].holds and found["z.largest.a"].holds
    assert all((tmp_path / f"adaptive-{name}.png").exists() for name in ("maps-worst", "matrix", "calibration"))
    assert "| 64 | predicted DSSIM |" in page and "| all | " in page


def test_a_page_without_predictions_says_that_there_are_none(results: Results, tmp_path: Path) -> None:
    made = {key: each for key, each in trials().items() if key[1].guide != "error"}
    pages(results, [clip("a")], made, {}, {}, [], QUICK)
    results.write(tmp_path / "adaptive.json")
    assert "there are no weights that predict the denoiser's errors" in (tmp_path / "adaptive.md").read_text()


def test_equal_colours_are_equal_numbers_of_samples() -> None:
    few, many = np.full((20, 30), 4, np.uint32), np.full((20, 30), 256, np.uint32)
    picture = np.full((20, 30, 3), 0.2, np.float16)
    sheet = panel({"denoised": picture, "spent": few}, {"spent": many}, ("predicted", "oracle"))
    middle = sheet[60]
    assert middle[sheet.shape[1] // 2].sum() < 60 < 600 < middle[-10].sum()


# --- Trials -----------------------------------------------------------------------------------------------------------

SIZE = (14, 24)


GREY = SimpleNamespace(beauty=SimpleNamespace(image=np.full((*SIZE, 3), 0.5)))


class Plain:
    """In the place of renders: names, and nothing more."""

    resolution = SIZE[::-1]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def name(self, clip: Clip, frame: int) -> str:
        return f"{clip.name}-{frame}"


class Painted(Stage):
    """Grey frames with noise at the right; the truth is grey."""

    truths: ClassVar[dict[int, Any]] = dict.fromkeys((5, 6), GREY)
    programs: ClassVar[dict[int, Any]] = {5: None, 6: None}

    def sampler(self, seed: int) -> Render:
        def render(frame: int, counts: Any, start: Any, r: int) -> Moments:
            rng = np.random.default_rng((seed, frame, r))
            n = counts.reshape(-1, 1).astype(np.float32)
            sums = {b.name: np.zeros((n.size, b.channels), np.float32) for b in (*COUNT, *COLOUR, *FEATURES)}
            noisy = np.tile(np.where(np.arange(SIZE[1]) < 12, 0.0, 0.4), SIZE[0])[:, None]
            light = n * (0.5 + noisy * rng.standard_normal((n.size, 1)) / np.sqrt(np.maximum(n, 1)))
            sums["half_b"] = np.zeros_like(sums["half_a"])
            sums["count"] = np.concatenate([np.ceil(n / 2), np.floor(n / 2)], axis=1)
            sums["half_a"][:, 3:6] = sums["half_b"][:, 3:6] = light / 2
            sums["squares"][:] = n * (0.25 + noisy**2)
            sums["feature_count"] = n
            return Moments(SIZE[1], SIZE[0], 0, n.size, sums)

        return render


def test_a_trial_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> Stage:
        renders: Any = Plain(tmp_path)
        return Painted(renders, clip("grey"), KITS["untrained"](), QUICK)

    cases = (UNIFORM, VARIANCE, DEFAULT)
    first = {case: stage().trial(case, 0, 64) for case in cases}
    assert capsys.readouterr().err.count("to 64 spp") == 3
    again = {case: stage().trial(case, 0, 64) for case in cases}
    assert capsys.readouterr().err == "" and [t.shown for t in again.values()] == [t.shown for t in first.values()]

    uniform, steered, guided = (first[case] for case in cases)
    assert uniform.levels == guided.levels == (16, 32, 64)
    assert uniform.at(16)[0].scores == guided.at(16)[0].scores  # the first round is the same for all
    assert uniform.at(64)[0].deciles is None and guided.at(64)[0].deciles is not None
    assert uniform.pictures["spent"].std() == 0 < guided.pictures["spent"].std()
    assert steered.pictures["spent"][:, 15:].mean() > 2 * steered.pictures["spent"][:, :9].mean()
    assert guided.pictures["spent"].sum() == steered.pictures["spent"].sum() == 64 * SIZE[0] * SIZE[1]
    ends = [each.error("smape", 64) or 1.0 for each in (uniform, steered)]
    assert ends[1] < ends[0] < (uniform.error("smape", 16) or 0.0)


def test_frames_stop_at_a_target(tmp_path: Path) -> None:
    renders: Any = Plain(tmp_path)
    stage = Painted(renders, clip("grey"), KITS["untrained"](), QUICK)
    made = stage.trial(VARIANCE, 0, 256, target=0.035)
    assert {one.frame: one.reason for one in made.stops} == {5: "target", 6: "target"}
    assert max(one.spp for one in made.stops) < 256
