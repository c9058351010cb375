"""The training: that it learns, that it goes on where it was, and what is locked when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import PRESETS
from pipeline.denoise.network.sources import ALBEDO, SOURCES, SPECULAR
from pipeline.denoise.network.weights_file import load
from pipeline.denoise.training import sequences
from pipeline.denoise.training.batches import batch_of, batches, training_samples
from pipeline.denoise.training.generate import VALIDATION
from pipeline.denoise.training.recast import components_of, recast
from pipeline.denoise.training.stages import STAGES, forward, losses, random_lambda, trainable
from pipeline.denoise.training.train import Plan, train
from pipeline.errors import ConfigError

SIZE = 40


def synthetic(seed: int) -> sequences.Sequence:
    """Two plains of different colour, lit evenly, with noise as of a path tracer; everything at rest."""
    rng = np.random.default_rng(seed)
    spp = np.array([4, 4, 8], np.int32)
    frames, buffers = 3, len(spp)
    edge = rng.integers(10, 30)
    colour = np.where(np.arange(SIZE)[None, :, None] < edge, rng.uniform(0.2, 1, 3), rng.uniform(0.2, 1, 3))
    clean = np.broadcast_to(colour, (SIZE, SIZE, 3)).astype(np.float32)
    albedo = clean * 0.5
    light = np.concatenate([0 * clean, clean, 0.2 * clean], axis=-1)
    sigma = 0.8 / np.sqrt(spp)[None, :, None, None, None]
    noise = rng.gamma(1 / sigma**2, sigma**2, (frames, buffers, SIZE, SIZE, 1))
    noisy = (light * noise).astype(np.float32)
    weights = np.array([0.212671, 0.715160, 0.072169], np.float32)
    lights = np.stack([noisy[..., k : k + 3] @ weights for k in (0, 3, 6)], axis=-1)
    lights = np.concatenate([lights.sum(-1, keepdims=True), lights], axis=-1)
    spread = lights * np.sqrt(1 + 0.64)
    features = np.concatenate(
        [
            np.broadcast_to(x, (frames, buffers, SIZE, SIZE, x.shape[-1]))
            for x in (albedo, albedo, np.ones((SIZE, SIZE, 2)))
        ],
        axis=-1,
    )
    motion = np.zeros((frames, SIZE, SIZE, 6), np.float32)
    motion[..., 4:] = 1
    return sequences.Sequence(
        spp=spp,
        colour=noisy,
        rms=spread.astype(np.float32),
        features=features.astype(np.float32),
        features_rms=np.sqrt(np.stack([(features[..., k : k + 3] ** 2).mean(-1) for k in (0, 3)], -1)).astype(
            np.float32
        ),
        motion=motion,
        reference=light.astype(np.float32),
        reference_albedo=albedo,
        raw=light.astype(np.float32),
        meta={"seed": seed, "reference_spp": 96},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    for seed in (0, 1, 2, VALIDATION):
        sequences.write(folder / f"{seed:08d}.npz", synthetic(seed))
    return folder


PLAN: dict[str, Any] = {"preset": "tiny", "batch": 2, "patch": 32, "every": 10, "validation": 1, "rate": 3e-3}


@pytest.fixture(autouse=True)
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.denoise.training import validate

    monkeypatch.setattr(validate, "SPP", (4, 16))


def test_it_learns_goes_through_its_stages_and_leaves_a_card(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    plan = Plan(**PLAN, stages={"single": 40, "temporal": 20, "lambda": 10}, others=("colour", "split"))
    best = train(plan, data, tmp_path / "run", say=told.append)

    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["reached"] == {"stage": "lambda", "step": 10, "complete": True}
    assert card["data"]["sequences"] == 3 and card["data"]["validation"] == 1
    assert list(card["sources"]) == ["penumbra", "colour", "split"]
    for spp in ("4", "16"):
        assert card["validation"]["smape"][spp] < 0.6 * card["validation"]["noisy"][spp]
    steps = [("single", 10), ("single", 20), ("single", 30), ("single", 40), ("temporal", 10), ("temporal", 20)]
    assert [line.split()[:2] for line in told] == [[name, str(step)] for name, step in [*steps, ("lambda", 10)]]
    assert load(best).preset.name == "tiny"
    assert train(plan, data, tmp_path / "run", say=told.append) == best  # nothing is left to do
    assert len(told) == 7


def test_it_goes_on_where_it_was_with_the_same_result(data: Path, tmp_path: Path) -> None:
    plan = Plan(**PLAN, stages={"single": 12, "temporal": 6})
    whole = train(plan, data, tmp_path / "whole", say=lambda line: None)
    complete, runs = False, 0
    while not complete:
        parts = train(plan, data, tmp_path / "parts", say=lambda line: None, minutes=0.0)  # one step at a time
        runs += 1
        complete = json.loads((tmp_path / "parts" / "card.json").read_text())["reached"]["complete"]

    one, other = load(whole).state_dict(), load(parts).state_dict()
    assert runs > 10
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4)


def test_a_folder_of_another_plan_is_refused(data: Path, tmp_path: Path) -> None:
    train(Plan(**PLAN, stages={"single": 1}), data, tmp_path / "run", say=lambda line: None)

    with pytest.raises(ConfigError, match="a training with another batch, rate"):
        train(Plan(**{**PLAN, "batch": 3, "rate": 1.0}, stages={"single": 1}), data, tmp_path / "run")


def test_missing_data_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no sequences to learn from"):
        train(Plan(**PLAN), tmp_path / "empty", tmp_path / "run")


def test_a_new_source_trains_its_encoder_and_nothing_else(data: Path, tmp_path: Path) -> None:
    first = train(Plan(**PLAN, stages={"single": 2}), data, tmp_path / "first", say=lambda line: None)
    plan = Plan(**PLAN, source="features", stages={"encoder": 5}, start=str(first))
    second = train(plan, data, tmp_path / "second", say=lambda line: None)

    before, after = load(first).state_dict(), load(second).state_dict()
    new = set(after) - set(before)
    assert new and all(name.startswith("encoders.features.") for name in new)
    for name, value in before.items():
        assert torch.equal(after[name], value)


@pytest.mark.parametrize("name", STAGES)
def test_only_what_a_stage_trains_changes(data: Path, name: str) -> None:
    torch.manual_seed(0)
    network, stage = KernelPredictor(PRESETS["tiny"]), STAGES[name]
    parameters = trainable(network, stage, ["penumbra"])
    files = sequences.listing(data)[:2]
    batch = next(batches(files, seed=0, first=0, last=1, count=2, size=32, radius=1, source_of=lambda step: "penumbra"))
    lambda_ = 4.0 if stage.asymmetric else 1.0
    for special in network.specialisation:
        torch.nn.init.normal_(special.second.weight, std=0.1)  # zero at first: nothing would reach the layer before it
    losses(batch, forward(network, batch, temporal=stage.temporal, lambda_=lambda_), lambda_)["total"].backward()

    touched = {n for n, p in network.named_parameters() if p.grad is not None and p.grad.abs().any()}
    assert touched and all(n.startswith(stage.trains) for n in touched)
    assert len(touched) >= 0.8 * len(parameters)  # the neighbours' λ needs their comparison first


def test_batches_are_a_function_of_seed_and_step(data: Path) -> None:
    files = [file for file in sequences.listing(data) if int(file.stem) < VALIDATION]
    settings: dict[str, Any] = {"count": 2, "size": 32, "radius": 1, "source_of": lambda step: "penumbra"}
    one = list(batches(files, seed=5, first=0, last=4, **settings))
    other = list(batches(files, seed=5, first=2, last=4, **settings))
    different = next(batches(files, seed=6, first=2, last=3, **settings))

    assert torch.equal(one[2].colour, other[0].colour) and torch.equal(one[3].inputs[1], other[1].inputs[1])
    assert not torch.equal(one[2].colour[:2], different.colour[:2])
    many = batches(files, seed=5, first=0, last=24, **settings)
    assert 2 <= sum(ALBEDO in batch.components for batch in many) <= 12


def test_lambda_is_drawn_per_pixel_shared_by_components(data: Path) -> None:
    samples = training_samples(sequences.listing(data)[:2], seed=0, step=0, count=6, size=32, radius=0)
    batch = batch_of(samples, components_of("penumbra"))
    lambda_ = random_lambda(batch, len(batch.colour), torch.Generator().manual_seed(1))

    assert lambda_.shape == (18, 1, 32, 32) and lambda_.min() >= 1 and lambda_.max() <= 10
    assert torch.equal(lambda_[:6], lambda_[6:12])
    kinds = {
        ("one" if (row == 1).all() else "flat" if (row == row.flatten()[0]).all() else "map") for row in lambda_[:6]
    }
    assert len(kinds) >= 2


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "penumbra"])
def test_samples_look_as_a_source_would_have_brought_them(data: Path, name: str) -> None:
    sample = training_samples(sequences.listing(data)[:1], seed=0, step=0, count=1, size=32, radius=1)[0]
    seen = recast(sample, name)
    frame = seen.window[0]

    assert frame is not None and frame.source == name
    assert (frame.albedo is not None) == ("albedo" in SOURCES[name].features)
    np.testing.assert_allclose(frame.beauty, sample.window[0].beauty, rtol=1e-5)  # type: ignore[union-attr]
    total = sum(seen.reference.values())
    np.testing.assert_allclose(total, sum(sample.reference.values()), rtol=1e-5)
    assert SPECULAR in components_of(name)
