"""How each kind of BSDF is asked for its diffuse part."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from pipeline.errors import SceneError

DIFFUSE = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.6, 0.3, 0.1]}}
ROUGH_PLASTIC = {"type": "roughplastic", "diffuse_reflectance": {"type": "rgb", "value": [0.6, 0.3, 0.1]}}
METAL = {"type": "roughconductor"}
FLAT = {"type": "bitmap", "raw": True}


def flat_normals(mi: Any) -> dict[str, Any]:
    data = mi.TensorXf(np.full((4, 4, 3), (0.5, 0.5, 1.0), np.float32))
    return {"type": "bitmap", "raw": True, "data": data}


KINDS = {
    "diffuse": (DIFFUSE, "WHOLE", True),
    "twosided diffuse": ({"type": "twosided", "inner": DIFFUSE}, "WHOLE", True),
    "plastic": ({"type": "plastic"}, "WHOLE", None),
    "masked diffuse": ({"type": "mask", "opacity": 0.5, "inner": DIFFUSE}, "WHOLE", None),
    "rough plastic": (ROUGH_PLASTIC, "MASKED", None),
    "twosided rough plastic": ({"type": "twosided", "inner": ROUGH_PLASTIC}, "MASKED", None),
    "blend": ({"type": "blendbsdf", "weight": 0.4, "a": DIFFUSE, "b": METAL}, "MASKED", None),
    "principled": ({"type": "principled", "base_color": {"type": "rgb", "value": 0.4}}, "BOUNDED", True),
    "thin principled": ({"type": "principledthin", "base_color": {"type": "rgb", "value": 0.4}}, "BOUNDED", True),
    "glass": ({"type": "dielectric"}, "NONE", False),
    "rough glass": ({"type": "roughdielectric"}, "NONE", False),
    "mirror": ({"type": "conductor"}, "NONE", False),
    "metal": (METAL, "NONE", False),
    "pane": ({"type": "thindielectric"}, "NONE", False),
    "nothing": ({"type": "null"}, "NONE", False),
}


@pytest.mark.parametrize(("description", "split", "known"), KINDS.values(), ids=KINDS)
def test_each_kind_is_recognised(mi, description, split, known) -> None:
    from pipeline.render.bsdfs import classify

    found = classify(mi.load_dict(description))
    assert found.split.name == split
    assert known is None or found.reflectance_known is known


@pytest.mark.parametrize(
    ("inner", "split"), [(DIFFUSE, "WHOLE"), (ROUGH_PLASTIC, "MASKED")], ids=["diffuse", "plastic"]
)
def test_a_normal_map_is_what_it_bends(mi, inner, split) -> None:
    from pipeline.render.bsdfs import classify

    found = classify(mi.load_dict({"type": "normalmap", "normalmap": flat_normals(mi), "inner": inner}))
    assert found.split.name == split


def test_a_bsdf_that_mitsuba_cannot_evaluate_is_named(mi) -> None:
    from pipeline.render.bsdfs import classify

    bump = {"type": "bumpmap", "id": "dented", "texture": {"type": "checkerboard"}, "inner": DIFFUSE}
    with pytest.raises(SceneError, match="BSDF 'dented' cannot be evaluated"):
        classify(mi.load_dict(bump))


def test_bsdfs_that_shapes_carry_are_found_and_those_inside_others_are_not(mi) -> None:
    from pipeline.render.bsdfs import classify_registered, pointer_id

    gc.collect()
    others = set(classify_registered())  # scenes that other tests hold are registered too
    scene = mi.load_dict(
        {
            "type": "scene",
            "a": {"type": "sphere", "bsdf": {"type": "twosided", "inner": DIFFUSE}},
            "group": {"type": "shapegroup", "shape": {"type": "cube", "bsdf": METAL}},
            "copy": {"type": "instance", "group": {"type": "ref", "id": "group"}},
        }
    )
    outer = next(shape for shape in scene.shapes() if shape.id() == "a").bsdf()
    found = {number: kind for number, kind in classify_registered().items() if number not in others}

    assert found[pointer_id(outer)].split.name == "WHOLE"
    assert "NONE" in {kind.split.name for kind in found.values()}  # the metal inside the group
    assert len(found) == 4  # with the defaults of group and instance, and without what is inside `twosided`
