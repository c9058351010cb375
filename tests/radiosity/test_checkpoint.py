"""A training goes on where it was, and with nothing that is not its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import DeviceError, ProductError


def identity(light: str = "a", make: str = "m") -> Any:
    from pipeline.radiosity.identity import Identity

    return Identity(light * 64, make * 64)


def trainer(furnace: Any, plan: Any, **settings: Any) -> Any:
    from pipeline.radiosity.presets import Stage
    from pipeline.radiosity.train import Trainer

    torch.set_num_threads(1)
    made = plan(guiding=True, **settings)
    guide = replace(made.preset.guide, begin=1, end=50)
    stages = (Stage(0, 256, 4),)
    return Trainer(furnace, replace(made, preset=replace(made.preset, guide=guide, stages=stages)))


@pytest.fixture(scope="module")
def kept(furnace: Any, plan: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the midst of a block of rays that a guide has drawn, and learns from."""
    from pipeline.radiosity import checkpoint

    made = trainer(furnace, plan)
    made.advance(11)
    file = tmp_path_factory.mktemp("kept") / "a.cache"
    checkpoint.write(file, made, identity())
    return file


def test_a_killed_training_goes_on_to_the_same_weights(furnace: Any, plan: Any, kept: Path) -> None:
    from pipeline.radiosity import checkpoint

    straight = trainer(furnace, plan)
    straight.advance(18)
    resumed = trainer(furnace, plan)
    checkpoint.restore(resumed, checkpoint.read(kept))
    resumed.advance(18)
    for one, other in ((straight.field, resumed.field), (straight.shown, resumed.shown)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_an_unchanged_scene_resumes_and_a_changed_light_begins_with_its_weights(
    furnace: Any, plan: Any, kept: Path, tmp_path: Path
) -> None:
    from pipeline.radiosity.caches import begin, place_of

    place = place_of(tmp_path, identity(), trainer(furnace, plan).plan)
    place.write_bytes(kept.read_bytes())
    same = begin(trainer(furnace, plan), identity(), tmp_path, say=pytest.fail)
    assert (same.origin, same.trainer.progress.step) == ("resumed", 11)

    other = begin(trainer(furnace, plan), identity(light="b"), tmp_path, say=pytest.fail)
    assert other.origin == "warm" and other.trainer.progress.step == other.trainer.progress.begun > 0
    pairs = zip(other.trainer.field.parameters(), same.trainer.shown.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)

    assert begin(trainer(furnace, plan), identity("b", "n"), tmp_path, say=pytest.fail).origin == "new"


def test_a_checkpoint_of_another_scene_is_refused(furnace: Any, plan: Any, kept: Path, tmp_path: Path) -> None:
    from pipeline.radiosity.caches import begin

    with pytest.raises(ProductError, match=r"a\.cache: was trained for another scene$"):
        begin(trainer(furnace, plan), identity("b", "n"), tmp_path, file=kept, say=pytest.fail)
    with pytest.raises(ProductError, match=r"was trained with another seed$"):
        begin(trainer(furnace, plan, seed=7), identity(), tmp_path, file=kept, say=pytest.fail)


def test_damaged_files_and_other_versions_are_refused(kept: Path, tmp_path: Path) -> None:
    from pipeline.radiosity import checkpoint

    damaged = tmp_path / "damaged.cache"
    damaged.write_bytes(kept.read_bytes()[:-2000])
    with pytest.raises(ProductError, match=r"damaged\.cache: is damaged, or no radiance cache$"):
        checkpoint.read(damaged)
    newer = tmp_path / "newer.cache"
    torch.save({"kind": checkpoint.KIND, "format": checkpoint.FORMAT + 1}, newer)
    with pytest.raises(ProductError, match=f"of version {checkpoint.FORMAT + 1}"):
        checkpoint.read(newer)


def test_too_little_memory_halves_the_batches_and_is_said_once(furnace: Any, plan: Any) -> None:
    from pipeline.radiosity.train import Trainer

    said: list[str] = []
    made = Trainer(furnace, plan(), say=said.append)
    step, fails = made._step, iter((True, True, False))

    def short_of_memory() -> float:
        if next(fails, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step()

    made._step = short_of_memory  # type: ignore[method-assign]
    made.step()
    assert len(said) == 1 and made.progress.halvings == 2
    made._step = lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory"))  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="does not suffice"):
        made.step()
