"""The sample shots load through the pipeline, keep the ids that users work with, and are exposed as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.load import load_shot
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import of

SHOTS = Path(__file__).resolve().parents[2] / "shots"
SIZE = (96, 54)

SHAPES = {
    "shot_010": {
        "ball",
        "door",
        "door_handle",
        "floor",
        "lamp_shade",
        "mirror_glass",
        "teapot",
        "vase",
        "window",
        "walls",
    },
    "shot_020": {"agaric_old_cap", "boat", "ground", "leaf_a_00", "moss", "snail_shell", "stone_00", "water"},
}
BSDFS = {
    "shot_010": {"brass", "glass", "marble", "oak_varnish", "parquet", "plaster", "stoneware", "walnut_oil", "wool"},
    "shot_020": {"cap_skin", "grass_blade", "leaf_gold", "paper", "puddle_water", "soil_and_moss", "stone_grey"},
}
MOVING = {"shot_010": {"ball"}, "shot_020": {"boat", "snail_body", "snail_shell"}}


@pytest.fixture(scope="module", params=["shot_010", "shot_020"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], Any]:
    """(name, frozen scenes, the second frame's scene as loaded, small)."""
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    from pipeline.scene.load import load

    overrides = {"resolution": list(SIZE), "denoise.backend": "none"}
    shot = load_shot(SHOTS / request.param, overrides)
    blobs = tmp_path_factory.mktemp("blobs")
    frames = shot.frame_list[:3]
    frozen = freeze(shot, frames, blobs)
    spec = of(shot.model_dump(mode="json", by_alias=True), frozen, frames[1])
    return request.param, frozen, load(spec, frames[1], blobs)


def test_shapes_and_materials_keep_the_ids_that_users_replace(loaded: tuple[str, dict[str, Any], Any]) -> None:
    name, frozen, _ = loaded
    scene = next(iter(frozen.values()))
    assert SHAPES[name] <= set(scene.shapes)
    assert BSDFS[name] <= set(scene.bsdfs)


def test_exactly_the_moving_things_move_and_the_camera_with_them(loaded: tuple[str, dict[str, Any], Any]) -> None:
    name, _, scene = loaded
    moving = {shape.id for shape in scene.shapes if not np.allclose(shape.to_next, np.eye(4), atol=1e-7)}
    assert moving == MOVING[name]
    assert all(shape.valid_previous and shape.valid_next for shape in scene.shapes)
    here, before, after = scene.cameras.current, scene.cameras.previous, scene.cameras.next
    steps = [np.linalg.norm(here.origin - before.origin), np.linalg.norm(after.origin - here.origin)]
    assert 0.01 < steps[0] < 0.1
    assert steps[0] == pytest.approx(steps[1], rel=1e-3)


def test_a_frame_is_finite_and_exposed_for_viewing_as_it_is(loaded: tuple[str, dict[str, Any], Any]) -> None:
    import mitsuba as mi

    _, _, scene = loaded
    image = np.array(mi.render(scene.scene, sensor=scene.sensor, integrator=scene.integrator, spp=16, seed=1))[..., :3]
    assert image.shape == (SIZE[1], SIZE[0], 3)
    assert np.isfinite(image).all()
    luminance = image @ np.array([0.2126, 0.7152, 0.0722])
    dark, middle, bright = np.percentile(luminance, [5, 50, 90])
    assert 0.1 < luminance.mean() < 0.6
    assert dark > 0.001
    assert 0.02 < middle < 0.3
    assert bright < 1.5
