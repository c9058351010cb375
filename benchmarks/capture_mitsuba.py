"""The BSDF `captured` against the torch renderer: a plane under a point flash, one ray through each texel's middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.capture_subjects import generated
from pipeline.capture.asset.files import arrays
from pipeline.capture.maps import Maps
from pipeline.capture.shading import Shot, grid, render
from pipeline.device import set_variant

__all__ = ["Agreement", "agreement"]

LIGHT, CAMERA, INTENSITY = (0.3, -0.2, 1.9), (-0.2, 0.3, 2.1), 12.0
DARK = 1e-3  # added to radiances, so that black texels do not divide by nothing


@dataclass(frozen=True)
class Agreement:
    """Relative difference over texels and channels of all subjects."""

    mean: float
    percentile_99: float


def agreement(count: int, size: int) -> Agreement:
    """Over so many generated materials."""
    set_variant()
    errors = [_errors(subject.maps, size) for subject in generated(count, size)]
    every = np.concatenate([each.ravel() for each in errors])
    return Agreement(float(every.mean()), float(np.percentile(every, 99)))


def _errors(maps: Maps, size: int) -> np.ndarray:
    import mitsuba as mi

    scene = mi.load_dict(_scene(maps))
    where = grid(size, size)
    x, y = (np.broadcast_to(each.numpy(), (size, size)).ravel() for each in (where.x, where.y))
    towards = np.stack([x, y, np.zeros_like(x)]) - np.array(CAMERA, np.float32)[:, None]
    towards /= np.linalg.norm(towards, axis=0)
    rays = mi.RayDifferential3f(mi.Point3f(*CAMERA), mi.Vector3f(towards.astype(np.float32)))
    sampler = mi.load_dict({"type": "independent"})
    sampler.seed(0, size * size)
    # A point light is sampled without chance, and a plane sees nothing of itself: one sample is exact.
    seen, *_ = scene.integrator().sample(scene, sampler, rays)
    ours = np.array(seen).reshape(3, size, size)
    shot = Shot(*(torch.tensor([[each]]) for each in (LIGHT, CAMERA, (INTENSITY,) * 3)))
    wanted = render(maps, shot)[0, 0].numpy()
    return np.asarray(np.abs(ours - wanted) / (wanted + DARK))


def _scene(maps: Maps) -> dict[str, Any]:
    import mitsuba as mi

    import pipeline.scene.captured  # noqa: F401 (it registers the plugin)

    upright = mi.ScalarTransform3f().translate([0, 1]).scale([1, -1])

    def texture(pixels: np.ndarray) -> dict[str, Any]:
        placed = {"to_uv": upright, "raw": True, "filter_type": "nearest"}
        return {"type": "bitmap", "bitmap": mi.Bitmap(pixels), **placed}

    textures = {name: texture(pixels) for name, pixels in arrays(maps).items()}
    light = {"type": "point", "position": list(LIGHT), "intensity": {"type": "rgb", "value": [INTENSITY] * 3}}
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 2},
        "plate": {"type": "rectangle", "bsdf": {"type": "captured", "to_uv": upright, **textures}},
        "light": light,
        "sensor": {"type": "perspective", "fov": math.degrees(2 * math.atan(0.5))},
    }
