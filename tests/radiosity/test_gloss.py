"""Which lobes are sharp, and that pictures gather the light of such surfaces instead of asking the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def mi() -> Any:
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba

    return mitsuba


def test_lobes_widen_with_roughness_whatever_the_bsdf(mi: Any) -> None:
    from pipeline.radiosity.gloss import SHARP, lobe_width

    for plugin, key, power in (
        ("roughplastic", "alpha", 1),
        ("roughconductor", "alpha", 1),
        ("principled", "roughness", 0.5),
    ):
        widths = [lobe_width(mi.load_dict({"type": plugin, key: alpha**power})) for alpha in (0.05, 0.1, 0.3)]
        assert widths == sorted(widths)
        assert widths[1] < SHARP < widths[2]
    assert lobe_width(mi.load_dict({"type": "diffuse"})) is None
    assert lobe_width(mi.load_dict({"type": "plastic"})) is None  # its coat is a delta lobe


class Seven:
    """A cache that answers 7 everywhere."""

    def answer(self, asked: torch.Tensor) -> torch.Tensor:
        return torch.full((asked.shape[1], 3), 7.0)


def test_pictures_gather_on_sharp_surfaces_alone(mi: Any) -> None:
    from pipeline.radiosity.cameras import View
    from pipeline.radiosity.render import render
    from pipeline.radiosity.sources import sources_of

    def half(x: float, bsdf: dict[str, Any]) -> dict[str, Any]:
        to_world = mi.ScalarTransform4f().translate([x, 0, 0]).scale([1, 4, 1])
        return {"type": "rectangle", "to_world": to_world, "bsdf": bsdf}

    scene = mi.load_dict(
        {
            "type": "scene",
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": 0.5}},
            "polished": half(-1.0, {"type": "roughconductor", "alpha": 0.05}),
            "matt": half(1.0, {"type": "diffuse"}),
        },
        optimize=False,
    )
    found = sources_of(scene)
    above = np.eye(4)
    above[:3, :3] = np.diag([-1.0, 1.0, -1.0])
    above[:3, 3] = (0.0, 0.0, 2.0)
    view = View(above, 60.0, 16, 8)
    picture = render(found, Seven(), view, spp=4)
    matt, polished = sorted((picture[:, 1:7], picture[:, 9:15]), key=np.mean, reverse=True)
    assert np.allclose(matt, 7.0)
    assert 0.3 < polished.mean() < 0.51  # the sky's light, and none of the cache's
    asked = render(replace(found, sharp=None), Seven(), view)
    assert np.allclose(asked, 7.0)
