"""Which optimiser a preset is trained with, its rates, and what becomes of them where there is no curvature."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.radiosity.presets import PRESETS, preset


@pytest.mark.parametrize(("name", "expected"), [("fast", "Adam"), ("paper", "Adam"), ("smooth", "ESGD")])
def test_auto_follows_what_the_field_is_made_of(name: str, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    from pipeline.radiosity.optimisers import optimiser

    x = torch.nn.Parameter(torch.ones(2))
    size = preset(name)
    with caplog.at_level(logging.INFO):
        made = optimiser("auto", [x], size)
    assert type(made).__name__ == expected
    assert made.param_groups[0]["lr"] == (size.rate if expected == "Adam" else size.curvature_rate)
    assert f"optimizer {expected.lower()}: " in caplog.text


def test_a_schedule_keeps_its_shape_over_another_number_of_steps() -> None:
    whole, half = PRESETS["fast"], PRESETS["fast"].over(1500)
    assert half.steps == 1500 and half.decay_at(1499) == whole.decay_at(2999)
    assert [stage.begin for stage in half.stages] == [0, 500]


def small(plan: Any, **field: Any) -> Any:
    from pipeline.radiosity.presets import Stage

    made, size = plan(), preset("smooth")
    shape = replace(size.field, hidden=2, width=16, **field)
    return replace(made, preset=replace(size, field=shape, stages=(Stage(0, 256, 4),), decay_every=10, decay=0.5))


def test_the_smooth_preset_is_trained_by_curvature(furnace: Any, plan: Any) -> None:
    from pipeline.radiosity.train import Trainer

    trainer = Trainer(furnace, small(plan))
    before = trainer.check().residual
    trainer.advance(60)
    assert trainer.check().residual < 0.5 * before
    assert {state["updates"] for state in trainer.optimiser.state.values()} == {51}


def test_a_schedule_goes_on_with_the_rates_of_what_an_optimiser_falls_back_on(furnace: Any, plan: Any) -> None:
    from pipeline.optim import hvp
    from pipeline.optim.diagonals import GaussNewton
    from pipeline.radiosity.train import Trainer

    trainer = Trainer(furnace, small(plan))

    def none(*args: Any, **settings: Any) -> Any:
        raise hvp.NoSecondDerivative("there is none")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hvp, "of_gradients", none)
        trainer.advance(11)
    assert isinstance(trainer.optimiser.diagonal, GaussNewton)
    assert trainer.optimiser.param_groups[0]["lr"] < 0.01  # Adam's, half of it after ten steps; not a share of ESGD's
