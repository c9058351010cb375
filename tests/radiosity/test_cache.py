"""The cache in scenes whose light is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

RHO, GLOW = 0.5, 0.4  # of the furnace


def test_the_cache_of_a_furnace_comes_to_its_closed_form(furnace: Any, plan: Any) -> None:
    from pipeline.radiosity.presets import Stage
    from pipeline.radiosity.rhs import points
    from pipeline.radiosity.train import Trainer

    wanted = plan()
    trainer = Trainer(furnace, replace(wanted, preset=replace(wanted.preset, stages=(Stage(0, 512, 8),))))
    trainer.advance(200)
    sampled = points(furnace, 4096, 99, 0)
    light = sampled.emitted + trainer.shown.answer(sampled.asked)
    assert bool(sampled.active.all())
    assert float(light.mean()) == pytest.approx(GLOW / (1 - RHO), rel=0.02)


def test_one_bounce_of_the_true_answer_gives_it_back(furnace: Any) -> None:
    from pipeline.radiosity.rhs import incident, points, right_hand_side

    sampled = points(furnace, 4096, 7, 0)
    scattered = GLOW / (1 - RHO) - GLOW
    found = right_hand_side(
        incident(furnace, *sampled.si, 16, 7, 0), lambda asked: torch.full((asked.shape[1], 3), scattered)
    )
    halves = found.mean(dim=(0, 2)).numpy()
    assert np.allclose(halves, scattered, rtol=0.02)


def test_steps_made_twice_give_the_same_weights(furnace: Any, plan: Any) -> None:
    from pipeline.radiosity.train import Trainer

    torch.set_num_threads(1)
    made = []
    for _ in range(2):
        trainer = Trainer(furnace, plan(seed=3))
        trainer.advance(10)
        made.append([weights.clone() for weights in trainer.field.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_a_guide_leaves_the_mean_of_the_right_hand_side_as_it_is(furnace: Any) -> None:
    import mitsuba as mi

    from pipeline.radiosity.guiding import Lobes
    from pipeline.radiosity.rhs import incident, points, right_hand_side

    sampled = points(furnace, 8192, 5, 0)
    lobe = np.array([1.0, 0.5, 0.0, 0.6, 0.8], np.float32)
    lobes = Lobes(mi.Float(np.tile(lobe, 8192)), 1)
    scattered = GLOW / (1 - RHO) - GLOW
    found = right_hand_side(
        incident(furnace, *sampled.si, 16, 5, 0, lobes), lambda asked: torch.full((asked.shape[1], 3), scattered)
    )
    assert float(found.mean()) == pytest.approx(scattered, rel=0.02)
