"""Training: it learns, and goes on to the same weights where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.capture.loss import rendering_loss  # noqa: E402
from pipeline.capture.maps import encode  # noqa: E402
from pipeline.capture.materials.generate import material  # noqa: E402
from pipeline.capture.network.weights_file import load  # noqa: E402
from pipeline.capture.training import train as module  # noqa: E402
from pipeline.capture.training.crew import learnt  # noqa: E402
from pipeline.capture.training.train import Plan, train  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402

PLAN = Plan(preset="tiny", stages={"initialiser": 3, "joint": 3}, batch=2, size=16, every=3, validation=2, iterations=2)


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = load(train(PLAN, tmp_path / "whole", processes=0, say=lambda line: None))
    for _ in range(8):  # minutes=0: one step a run
        train(PLAN, tmp_path / "parts", processes=0, say=lambda line: None, minutes=0)
    parts = load(tmp_path / "parts" / "best.safetensors")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_of_another_plan_is_refused(tmp_path: Path):
    train(PLAN, tmp_path, processes=0, say=lambda line: None, minutes=0)
    with pytest.raises(ConfigError, match="another seed"):
        train(Plan(**{**vars(PLAN), "seed": 1}), tmp_path, processes=0, say=lambda line: None)


def test_the_rendering_loss_is_zero_at_the_truth_and_nowhere_near():
    truth = material(1, 16)
    unknowns = encode(truth)
    generator = torch.Generator().manual_seed(0)
    assert rendering_loss(unknowns, truth, generator) < 0.02
    assert rendering_loss(unknowns + 1.0, truth, generator) > 0.1


def test_every_fourth_step_sees_one_large_material():
    assert learnt(0, 2, 4, 16).diffuse.shape == (4, 3, 16, 16)
    assert learnt(0, 3, 4, 16).diffuse.shape == (1, 3, 32, 32)


def test_the_rate_warms_up_and_ends_low():
    assert module._schedule(0, 1000) < 0.01
    assert module._schedule(module.WARM_UP, 1000) > 0.8
    assert module._schedule(1000, 1000) == pytest.approx(module.LEAST_RATE)
