"""A training that tasks of a farm make in stretches is the training that one process makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.radiosity.test_checkpoint import identity, trainer


def test_stretches_end_with_the_weights_of_one_run(
    furnace: Any, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.radiosity import checkpoint, stretch

    straight = trainer(furnace, plan)
    monkeypatch.setattr(stretch, "preset", lambda name: straight.plan.preset)
    wanted = {"preset": "fast", "guiding": True, "optimizer": "auto", "seed": 0}
    settings, on = {"plan": wanted, "early_stop": False}, stretch.Ground(furnace, identity())
    seen: list[tuple[int, int]] = []

    _, first = stretch.train(settings, on, 5, None)
    told, second = stretch.train(settings, on, 11, first, on_steps=lambda done, total: seen.append((done, total)))

    straight.advance(11)
    file = tmp_path / told["cache"]
    file.write_bytes(second)
    kept = checkpoint.read(file).state["field"]
    assert told["step"] == 11 and seen[-1] == (6, 6)
    assert all(torch.equal(value, kept[name]) for name, value in straight.field.state_dict().items())


@pytest.mark.parametrize(("steps", "ends"), [(None, 3000), (700, 700), (1, 1)])
def test_stretches_end_where_the_training_does(steps: int | None, ends: int) -> None:
    from pipeline.radiosity import stretch

    found = stretch.ends("fast", steps)
    assert found[-1] == ends and found == sorted(set(found)) and len(found) <= stretch.STRETCHES
