"""A scene whose light is known, loaded once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

RHO, GLOW = 0.5, 0.4


@pytest.fixture(scope="package")
def furnace() -> Iterator[Any]:
    """A closed box whose inside glows and scatters: L = E / (1 − ρ) everywhere."""
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba as mi

    from pipeline.radiosity.sources import sources_of

    gc.collect()
    scene = mi.load_dict(
        {
            "type": "scene",
            "box": {
                "type": "cube",
                "flip_normals": True,
                "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": RHO}},
                "emitter": {"type": "area", "radiance": {"type": "rgb", "value": GLOW}},
            },
        },
        optimize=False,
    )
    yield sources_of(scene)


@pytest.fixture(scope="session")
def plan() -> Any:
    """Makes plans of the fast preset."""
    from pipeline.radiosity.presets import preset
    from pipeline.radiosity.train import Plan

    return lambda **settings: Plan(preset("fast"), **settings)
