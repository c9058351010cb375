"""Scenes that cannot be previewed, and what of the others is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.errors import SceneError

LAMP = {"type": "point", "position": [0.0, 3.0, 0.0], "intensity": {"type": "rgb", "value": 5.0}}


def sources(**objects: Any) -> Any:
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba as mi

    from pipeline.radiosity.sources import sources_of

    return sources_of(mi.load_dict({"type": "scene", **objects}, optimize=False))


def test_a_scene_without_light_or_without_surfaces_is_refused() -> None:
    with pytest.raises(SceneError, match="no light"):
        sources(ball={"type": "sphere"})
    with pytest.raises(SceneError, match="no surface that scatters light"):
        sources(lamp=LAMP)
    with pytest.raises(SceneError, match="no surface that scatters light"):
        sources(lamp=LAMP, mirror={"type": "sphere", "bsdf": {"type": "conductor"}})


def test_participating_media_are_left_out_and_said() -> None:
    fog = {"type": "homogeneous", "albedo": 0.5, "sigma_t": 1.0}
    found = sources(
        lamp=LAMP,
        floor={"type": "rectangle"},
        cloud={"type": "sphere", "bsdf": {"type": "null"}, "interior": fog},
    )
    assert any("participating media" in line for line in found.left_out)


def test_a_camera_inside_of_a_wall_is_told_with_the_walls_name() -> None:
    found = sources(
        lamp=LAMP,
        floor={"type": "rectangle", "to_world": _scaled(20.0)},
        wall={"type": "cube", "id": "wall", "to_world": _scaled(0.2)},
    )
    from pipeline.radiosity.cameras import View
    from pipeline.radiosity.render import inside_of

    inside, outside = np.eye(4), np.eye(4)
    outside[:3, 3] = (0.0, 0.0, 5.0)
    assert inside_of(found, View(inside, 60.0, 8, 8)) == "wall"
    assert inside_of(found, View(outside, 60.0, 8, 8)) is None


def _scaled(factor: float) -> Any:
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba as mi

    return mi.ScalarTransform4f().scale(factor)
