"""How things move over the frames of a scene: keyframes as the shot config has them.

At the middle frame everything stands where it was put.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.denoise.training.scenes.geometry import Array, unit

__all__ = ["Keyframes", "Motion", "keyframes", "motion", "offsets"]

Keyframes = dict[str, dict[str, Any]]
"""Frame number → pose, as in `animate` and `camera.keyframes` of the shot config."""

Motion = dict[str, Any]
"""What changes per frame: `translate` (3, metres), `axis` (3) and `angle` (degrees)."""


def offsets(frames: int) -> dict[str, int]:
    """Frame number → its distance from the middle frame; `frames` is odd, numbers begin at 1."""
    return {str(frame): frame - (frames + 1) // 2 for frame in range(1, frames + 1)}


def motion(rng: np.random.Generator, reach: float) -> Motion:
    """A slide, a spin, or both. `reach`: distance of the camera in metres; a slide is 0.4 to 8 % of it per frame."""
    kind = rng.choice(["slide", "spin", "both"])
    slide = unit(rng.normal(size=3) * (1.0, 0.15, 1.0)) * reach * 10.0 ** rng.uniform(-2.4, -1.1)
    upright = rng.random() < 0.6
    return {
        "translate": slide if kind != "spin" else np.zeros(3),
        "axis": np.array([0.0, 1.0, 0.0]) if upright else unit(rng.normal(size=3)),
        "angle": 0.0 if kind == "slide" else rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(0.0, 1.4),
    }


def keyframes(moving: Motion, pivot: Array, frames: int) -> Keyframes:
    """`animate` of one shape that moves evenly."""
    return {
        frame: {
            "translate": [round(float(x), 6) for x in moving["translate"] * offset],
            "rotate": {
                "axis": [round(float(x), 6) for x in moving["axis"]],
                "angle": round(float(moving["angle"]) * offset, 5),
            },
            "pivot": [round(float(x), 6) for x in pivot],
        }
        for frame, offset in offsets(frames).items()
    }
