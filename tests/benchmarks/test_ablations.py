"""The ablations: that every study runs end to end, that its networks are what they say, and how figures become rows."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import ablation_rows as rows
from benchmarks import ablations
from benchmarks.ablation_cost import Parts, Setting, parts
from benchmarks.ablation_mirror_descent import converge, slope, suboptimality
from benchmarks.ablation_networks import Design, RecurrentCombiner, build
from benchmarks.ablation_recipe import NOTHING, Recipe, Training, pinned, run, stacked, trained, whole_frame
from benchmarks.ablation_sources import LOOKS, seen
from benchmarks.ablation_studies import STUDIES, Ordering, Study, trials
from benchmarks.ablation_trials import Trial, judge, moments
from benchmarks.denoise_rows import STUDIES as QUOTED
from benchmarks.denoise_rows import ablations as quote
from benchmarks.referee import Results, Row
from pipeline.denoise.training import sequences
from pipeline.denoise.training.generate import VALIDATION
from pipeline.denoise.training.patches import Crop, assemble, rng_of
from pipeline.denoise.training.stages import forward
from pipeline.errors import ConfigError

SIZE = 24
SMALL = Design(blocks=1, width=4, kernel=3)
RECIPE = Recipe(patch=16, batch=1, every=2)


def synthetic(seed: int, radius: int) -> sequences.Sequence:
    """Two plains of different colour, lit evenly, with noise as of a path tracer; everything at rest."""
    rng = np.random.default_rng(seed)
    spp = np.array([4, 4, 8, 16], np.int32)
    shape = (2 * radius + 1, len(spp), SIZE, SIZE)
    left = np.arange(SIZE)[None, :, None] < rng.integers(6, 18)
    clean = np.broadcast_to(np.where(left, rng.uniform(0.2, 1, 3), rng.uniform(0.2, 1, 3)), (SIZE, SIZE, 3))
    light = np.concatenate([0 * clean, clean, 0.2 * clean], axis=-1)
    sigma = 0.8 / np.sqrt(spp)[None, :, None, None, None]
    noisy = light * rng.gamma(1 / sigma**2, sigma**2, (*shape, 1))
    lights = np.stack([noisy[..., k : k + 3].mean(-1) for k in (0, 3, 6)], axis=-1)
    features = np.concatenate([clean / 2, clean / 2, np.ones((SIZE, SIZE, 2))], axis=-1)
    motion = np.zeros((shape[0], SIZE, SIZE, 6))
    motion[..., 4:] = 1
    return sequences.Sequence(
        spp=spp,
        colour=noisy,
        rms=1.3 * np.concatenate([lights.sum(-1, keepdims=True), lights], axis=-1),
        features=np.broadcast_to(features, (*shape, 8)),
        features_rms=np.broadcast_to(np.sqrt(np.square(clean / 2).mean(-1))[..., None], (*shape, 2)),
        motion=motion,
        reference=light,
        reference_albedo=clean / 2,
        raw=light,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences of 7 frames: three to learn from, four for checking, two that are judged."""
    folder = tmp_path_factory.mktemp("sequences")
    for seed in (0, 1, 2, *range(VALIDATION, VALIDATION + 6)):
        sequences.write(folder / f"{seed:08d}.npz", synthetic(seed, 3))
    return folder


@pytest.fixture(scope="module")
def few(data: Path) -> sequences.Sequence:
    return sequences.read(data / "00000000.npz")


def results() -> Results:
    return Results("ablations", "title", "about", quick=False)


def by_key(of: Results) -> dict[str, Row]:
    return {row.key: row for row in of.rows}


def quiet(line: str) -> None:
    pass


# --- From end to end ----------------------------------------------------------------------------------------------


def test_every_study_runs_to_its_rows(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.ablation_studies.ADAPTED", (1, 2, 9))
    monkeypatch.setattr("benchmarks.ablations.converge", lambda kind: converge(kind, sizes=(4, 8), steps=16, seeds=2))
    settings = ablations.Settings(
        data, data, tmp_path / "out", seeds=1, steps=4, recipe=RECIPE, design=SMALL, spps=(4, 16)
    )
    found = results()
    ablations.measure(found, settings)
    found.write(tmp_path / "ablations.json")

    of = by_key(found)
    for key in ("kernel", "depth", "windows", "convex"):
        assert of[key].value is not None, key
    assert of["kernel.smape"].interval is not None and of["windows"].interval is not None
    assert of["windows.7-5.flicker"].value is not None
    assert of["encoders.foreign"].value is not None and of["encoders.adapt-10"].note == "not run"
    assert of["encoders"].value is None and of["encoders"].note.startswith("not run: ")
    assert of["parts"].note == "not run: --cost"
    for picture in ("kernel", "adaptation", "convex"):
        assert (tmp_path / f"ablations-{picture}.png").exists()
    assert "| R-DP 4p |" in (tmp_path / "ablations.md").read_text()
    quote(results(), json.loads((tmp_path / "ablations.json").read_text()))  # its reader understands it
    assert set(QUOTED) <= set(of)


def test_what_has_not_ended_is_not_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.ablations.converge", lambda kind: converge(kind, sizes=(4, 8), steps=8, seeds=2))
    settings = ablations.Settings(data, None, tmp_path / "out", minutes=0.0, recipe=RECIPE, design=SMALL)
    found = results()
    ablations.measure(found, settings)
    of = by_key(found)
    assert of["kernel"].value is None and of["kernel"].note == "not run"
    assert "pipeline train data" in of["windows"].note and "--radius 3" in of["windows"].note


# --- Trainings ----------------------------------------------------------------------------------------------------


def test_a_training_that_was_stopped_arrives_at_the_same_weights(data: Path, tmp_path: Path) -> None:
    training = Training(SMALL, RECIPE, seed=0, steps=5)
    corpus = pinned(data, tmp_path, "short", radius=0)
    assert run(training, corpus, tmp_path / "whole", say=quiet)
    stops = 0
    while not run(training, corpus, tmp_path / "parts", until=time.monotonic() + 0.002, say=quiet):
        stops += 1
    one, other = (trained(training, tmp_path / name) for name in ("whole", "parts"))
    assert one is not None and other is not None and stops >= 2
    assert [step for step, _ in one[1]] == [step for step, _ in other[1]] == [2, 4, 5]
    np.testing.assert_allclose([value for _, value in one[1]], [value for _, value in other[1]], rtol=1e-3)
    for name, value in one[0].state_dict().items():
        torch.testing.assert_close(value, other[0].state_dict()[name], rtol=1e-3, atol=1e-4)


def test_settings_make_the_folder_and_those_of_the_start_count() -> None:
    first = Training(SMALL, RECIPE, seed=0, steps=4)
    other = replace(first, seed=1)
    assert first.key == Training(SMALL, RECIPE, seed=0, steps=4).key != other.key
    assert replace(first, start=first).key != replace(first, start=other).key


def test_sequences_are_those_of_the_first_run(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for path in sequences.listing(data):
        (folder / path.name).symlink_to(path)
    before = pinned(folder, tmp_path / "out", "short", radius=3)
    (folder / "00000007.npz").symlink_to(data / "00000000.npz")
    assert pinned(folder, tmp_path / "out", "short", radius=3) == before
    assert len(before.learning) == 3 and len(before.checking) == 4 and len(before.judged) == 2
    (folder / "00000001.npz").unlink()
    with pytest.raises(ConfigError, match=r"00000001\.npz is gone"):
        pinned(folder, tmp_path / "out", "short", radius=3)
    with pytest.raises(ConfigError, match="3 frames on either side, not 5"):
        pinned(data, tmp_path / "other", "long", radius=5)


def test_a_locked_module_keeps_what_it_starts_from(data: Path, tmp_path: Path) -> None:
    corpus = pinned(data, tmp_path, "short", radius=0)
    named = trials("windows", 0, RECIPE, steps=4, design=SMALL)
    for label in ("1", "4p", "R-DP 4p"):
        for training in ablations._with_starts(named[label].training):
            assert run(training, corpus, tmp_path, say=quiet)
    single, window = (trained(named[label].training, tmp_path) for label in ("1", "4p"))
    assert single is not None and window is not None
    before, after = single[0].state_dict(), window[0].state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"temporal", "centre_heads", "neighbour_heads"}


# --- Networks and looks -------------------------------------------------------------------------------------------


def test_networks_differ_in_their_last_layer_alone() -> None:
    kernel, direct = (dict(build(replace(SMALL, head=head)).named_parameters()) for head in ("kernel", "direct"))
    apart = {name.split(".")[0] for name in set(kernel) ^ set(direct)}
    assert apart == {"centre_heads", "neighbour_heads"}


def test_direct_prediction_that_adds_nothing_gives_the_input(data: Path) -> None:
    network = build(replace(SMALL, head="direct"))
    torch.nn.init.zeros_(network.centre_heads[0].weight)  # type: ignore[arg-type]
    batch = whole_frame(data / "00000000.npz", 4)
    with torch.no_grad():
        denoised = forward(network, batch, temporal=False, lambda_=1.0)
    torch.testing.assert_close(denoised, batch.colour[:, 0], rtol=1e-3, atol=1e-4)


def test_the_recurrence_sees_the_oldest_frame_first(data: Path) -> None:
    torch.manual_seed(0)
    network = build(replace(SMALL, head="recurrent"))
    order: list[torch.Tensor] = []
    combiner = network.temporal[0]
    assert isinstance(combiner, RecurrentCombiner)
    combiner.first.register_forward_hook(lambda module, given, out: order.append(given[0]))
    batch = whole_frame(data / "00000000.npz", 4, neighbours=(-3, -2, -1))
    assert batch.distances == [-1, -2, -3]
    with torch.no_grad():
        forward(network, batch, temporal=True, lambda_=1.0)
        features = [network.extract(batch.inputs[k], "penumbra")[0] for k in (3, 2, 1, 0)]
    for seen_then, expected in zip(order, features, strict=True):
        torch.testing.assert_close(seen_then.float(), expected, rtol=0.05, atol=0.05)


def test_the_naive_composition_takes_all_low_frequencies_from_the_coarse_image() -> None:
    network = build(replace(SMALL, scales=3, naive=True))
    fine = torch.rand(1, 3, 8, 8)
    alpha = network.compositing(
        fine, torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 1, 1), "nearest"
    )
    assert alpha.shape == (1, 1, 8, 8) and bool((alpha == 1).all())


def test_the_filtered_look_has_less_noise_and_the_same_variances(few: sequences.Sequence) -> None:
    sample = assemble(few, rng_of(0, 0, 0), Crop(0, 0, SIZE), radius=0, spp=4)
    look = seen(sample, LOOKS["filtered"])
    plain, filtered = sample.window[0], look.window[0]
    assert plain is not None and filtered is not None
    inner = (slice(2, -2), slice(0, 4))  # one plain
    share = filtered.components["diffuse"][inner][..., 0].var() / plain.components["diffuse"][inner][..., 0].var()
    assert 0.05 < share < 0.35  # 0.14 of white noise
    np.testing.assert_array_equal(filtered.variance["diffuse"], plain.variance["diffuse"])
    np.testing.assert_allclose(look.reference["diffuse"][inner], sample.reference["diffuse"][inner], rtol=1e-3)


def test_a_window_has_the_frames_that_it_names_and_the_same_centre(data: Path) -> None:
    path = data / "00000001.npz"
    alone, past = whole_frame(path, 4), whole_frame(path, 4, neighbours=(-2, -1))
    assert past.distances == [-1, -2] and past.colour.shape[1] == len(past.inputs) == 3
    torch.testing.assert_close(alone.colour[:, 0], past.colour[:, 0])


def test_sub_buffers_of_a_still_scene_make_more_frames(few: sequences.Sequence) -> None:
    frames, sample = moments(few)
    assert len(frames) == 2 * 7
    assert not np.array_equal(frames[0].components["diffuse"], frames[1].components["diffuse"])
    assert all(frame.count is not None and (frame.count == 16).all() for frame in frames)
    window: dict[int, Any] = {0: frames[3], -1: frames[2], 1: None}
    batch = stacked([replace(sample, window=window)], "penumbra", "penumbra", (-1, 1))
    assert batch.valid[0].all() and not batch.valid[1].any()


def test_flicker_is_judged_of_still_scenes_alone(data: Path, tmp_path: Path) -> None:
    corpus = pinned(data, tmp_path, "short", radius=0)
    moving = tmp_path / "01000009.npz"
    still = sequences.read(corpus.judged[0])
    sequences.write(moving, replace(still, motion=still.motion + np.float16(1)))
    training = Training(SMALL, RECIPE, seed=0, steps=0, trains=NOTHING)
    assert run(training, corpus, tmp_path, say=quiet)
    found = judge(Trial(training), replace(corpus, judged=(corpus.judged[0], moving)), tmp_path, spps=(4,))
    assert found is not None
    assert "flicker" in found[corpus.judged[0].stem] and "flicker" not in found["01000009"]


# --- Proposition 8.1, cost ----------------------------------------------------------------------------------------


def test_exponentiated_gradient_gains_on_gradient_descent_as_problems_grow() -> None:
    found = converge("signs", sizes=(4, 32, 256), steps=256, seeds=3, points=256)
    gain = slope(found.sizes, found.kernel / found.direct)
    assert gain.high < -0.3
    assert slope(found.sizes, found.kernel).value < 0.5 < slope(found.sizes, found.direct).value


def test_suboptimality_is_that_of_the_mean_iterate() -> None:
    """One step, from the mirror maps' minima: θ = 1/d and θ = 0."""
    x = np.array([[1.0, -1.0], [1.0, 1.0]])
    y = x[:, 0]
    draws = np.zeros(1, np.intp)
    assert suboptimality(x, y, draws, kernel=True) == pytest.approx(0.5)
    assert suboptimality(x, y, draws, kernel=False) == pytest.approx(1.0)


def test_a_slope_is_that_of_a_power() -> None:
    found = slope((4, 16, 64), np.array([[2.0, 4.0, 8.0], [6.0, 12.0, 24.0]]))
    assert found.value == pytest.approx(0.5) and found.low == pytest.approx(0.5)


def test_parts_are_timed() -> None:
    found = parts(Setting("tiny", 32, 16, 3), repeats=1)
    assert min(found.extractor, found.temporal, found.kernels) > 0


# --- Rows ---------------------------------------------------------------------------------------------------------

TWO = Study(
    "two",
    "what",
    "Title",
    (Ordering("one", "a / b", (("a", "b"),)), Ordering("other", "b / c", (("b", "c"),))),
)


def scores(value: float) -> dict[str, dict[str, float]]:
    return {scene: {"smape": value * k} for k, scene in enumerate(("x", "y", "z"), 1)}


def test_a_study_is_judged_by_its_worst_ordering() -> None:
    found = results()
    judged = {seed: {"a": scores(0.5), "b": scores(1.0), "c": scores(0.8)} for seed in range(2)}
    rows.study_rows(found, TWO, judged, 3)
    of = by_key(found)
    assert of["two"].value == pytest.approx(1.25) and of["two"].holds is False
    assert of["two.one"].holds and of["two.one"].value == pytest.approx(0.5)
    assert of["two.one"].note == "6 pairs, 2 of 3 seeds"
    assert of["two"].note.startswith("1 of 2 hold; worst: b / c")


def test_a_study_has_no_value_before_all_of_its_orderings_have() -> None:
    found = results()
    rows.study_rows(found, TWO, {0: {"a": scores(0.5), "b": scores(1.0)}}, 1)
    of = by_key(found)
    assert of["two"].value is None and of["two"].note == "not run: 1 of 2 orderings"
    assert of["two.one"].value == pytest.approx(0.5) and of["two.other"].value is None


def test_speed_is_the_step_at_which_kernels_pass_the_best_of_direct_prediction() -> None:
    curves = {
        seed: {"kernel": [(1, 0.5), (2, 0.2), (3, 0.1)], "direct": [(1, 0.9), (2, 0.4), (3, 0.3), (4, 0.3)]}
        for seed in range(2)
    }
    assert rows.kernel_speed(curves, 2).value == pytest.approx(2 / 3)


def test_a_quick_run_quotes_the_last_full_one() -> None:
    row = Row("depth", "what", 0.9, must=1.0, interval=(0.8, 0.95), note="worst").to_json()
    found = results()
    rows.quoted(found, {"rows": [row], "commit": "abc"})
    assert by_key(found)["depth"].note == "worst; measured at abc" and by_key(found)["depth"].holds
    none = results()
    rows.quoted(none, None)
    assert set(by_key(none)) == set(QUOTED) and all(row.note == "not run" for row in none.rows)


def test_cost_says_which_part_leads() -> None:
    found = results()
    rows.cost(found, {"paper": Parts(3.0, 2.0, 5.2), "fast": Parts(1.0, 2.0, 1.0)})
    assert by_key(found)["parts"].holds and by_key(found)["parts.fast"].value == pytest.approx(0.5)


def test_orderings_name_trials_that_there_are() -> None:
    for key, study in STUDIES.items():
        labels = set(trials(key, 0, RECIPE, steps=4))
        for ordering in study.orderings:
            assert {label for pair in ordering.pairs for label in pair} <= labels
