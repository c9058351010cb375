"""A courtyard in low sun: bricks, ivy, a picket fence, blinds, a rolling wheel. Units: metres, y up.

Hard for a denoiser: leaves and spokes thinner than a pixel, texture everywhere, and shadows that move over surfaces
that do not: a bough sways above, the blinds turn. Camera and wheel move too. `build(frame)` is a pure function of the
frame; its meshes and textures are made when this file is loaded, in the user's cache.
"""

from __future__ import annotations

import math
from typing import Any

import courtyard_props as props
import mitsuba as mi

from pipeline.device import cache_directory

ASSETS = cache_directory() / "benchmarks" / "assets" / "courtyard"
FIRST, LAST = 1001, 1012
SLATS = 24

Node = dict[str, Any]

props.write(ASSETS)


def build(frame: int) -> Node:
    t = (frame - FIRST) / (LAST - FIRST)
    origin = _between((-0.95, 1.50, 4.9), (-0.50, 1.46, 4.7), t)
    target = _between((-0.12, 1.16, -1.2), (-0.04, 1.16, -1.2), t)
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 8},
        "camera": {
            "type": "perspective",
            "fov": 50.0,
            "fov_axis": "x",
            "near_clip": 0.05,
            "far_clip": 300.0,
            "to_world": mi.ScalarTransform4f().look_at(origin, target, [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 320, "height": 180, "rfilter": {"type": "box"}},
            "sampler": {"type": "independent", "sample_count": 64},
        },
        **_lights(),
        **_materials(),
        **_standing(),
        **_moving(t),
    }


def _between(start: tuple[float, ...], end: tuple[float, ...], t: float) -> list[float]:
    return [a + (b - a) * t for a, b in zip(start, end, strict=True)]


def _rgb(*value: float) -> Node:
    return {"type": "rgb", "value": list(value)}


def _bitmap(name: str, repeat: float) -> Node:
    to_uv = mi.ScalarTransform4f().scale([repeat, repeat, 1.0])
    return {"type": "bitmap", "filename": str(ASSETS / "textures" / f"{name}.png"), "to_uv": to_uv}


def _mesh(name: str, bsdf: str, to_world: Any = None) -> Node:
    node: Node = {
        "type": "ply",
        "filename": str(ASSETS / "meshes" / f"{name}.ply"),
        "bsdf": {"type": "ref", "id": bsdf},
    }
    if to_world is not None:
        node["to_world"] = to_world
    return node


def _at(*place: float) -> Any:
    return mi.ScalarTransform4f().translate(list(place))


def _lights() -> Node:
    """The sun is a ball far away, 1.6 degrees wide: shadows have soft edges. A lamp burns behind the blinds."""
    return {
        "sky": {"type": "constant", "radiance": _rgb(0.42, 0.55, 0.80)},
        "sun": {
            "type": "sphere",
            "center": [-58.0, 40.0, 54.0],
            "radius": 1.3,
            "emitter": {"type": "area", "radiance": _rgb(13500.0, 11300.0, 8300.0)},
        },
        "lamp": {
            "type": "sphere",
            "center": [0.55, 1.75, props.WALL - 1.0],
            "radius": 0.2,
            "emitter": {"type": "area", "radiance": _rgb(3.4, 2.1, 0.9)},
        },
    }


def _materials() -> Node:
    def matt(colour: Node) -> Node:
        return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": colour}}

    def painted(colour: Node, alpha: float) -> Node:
        return {"type": "twosided", "bsdf": {"type": "roughplastic", "diffuse_reflectance": colour, "alpha": alpha}}

    def metal(name: str, alpha: float) -> Node:
        return {"type": "twosided", "bsdf": {"type": "roughconductor", "material": name, "alpha": alpha}}

    def leaf(colour: Node) -> Node:
        return {"type": "principledthin", "base_color": colour, "diff_trans": 0.8, "roughness": 0.35, "eta": 1.4}

    return {
        "brick": matt(_bitmap("bricks", 1.15)),
        "slab": matt(_bitmap("paving", 0.55)),
        "white": painted(_rgb(0.78, 0.77, 0.73), 0.3),
        "blind": painted(_rgb(0.80, 0.78, 0.72), 0.25),
        "plaster": matt(_rgb(0.52, 0.30, 0.16)),
        "box_leaf": leaf(_rgb(0.10, 0.25, 0.045)),
        "ivy_leaf": leaf(_rgb(0.16, 0.30, 0.06)),
        "bough_leaf": leaf(_rgb(0.30, 0.42, 0.07)),
        "bark": matt(_rgb(0.16, 0.11, 0.08)),
        "rubber": painted(_rgb(0.03, 0.03, 0.032), 0.35),
        "chrome": metal("Cr", 0.08),
        "terracotta": matt(_rgb(0.58, 0.27, 0.15)),
        "zinc": metal("Al", 0.25),
    }


def _standing() -> Node:
    pot = (1.55, 0.0, -0.75)
    return {
        "ground": _mesh("ground", "slab"),
        "wall": _mesh("wall", "brick"),
        "frame": _mesh("frame", "white"),
        "cords": _mesh("cords", "white", _at(0.0, 0.0, props.WALL - 0.06)),
        "room": _mesh("room", "plaster"),
        "fence": _mesh("fence", "white"),
        "bush": _mesh("bush", "box_leaf"),
        "ivy": _mesh("ivy", "ivy_leaf"),
        "pot": _mesh("pot", "terracotta", _at(*pot)),
        "grass": _mesh("grass", "ivy_leaf", _at(pot[0], 0.24, pot[2])),
        "can": _mesh("can", "zinc", _at(0.95, 0.0, -0.55).rotate([0, 1, 0], 160)),
    }


def _moving(t: float) -> Node:
    sway = 9.0 * math.sin(3.0 * t - 1.4)
    bough = _at(-3.1, 3.1, 0.5).rotate([0, 1, 0.3], 180.0 + sway).rotate([0, 0, 1], 0.5 * sway)
    travel = 0.72 * t
    wheel = _at(-0.55 + travel, props.RADIUS + 0.018, 0.15 + 0.12 * t).rotate([0, 1, 0], 9.0)
    wheel = wheel.rotate([0, 0, 1], -math.degrees(travel / props.RADIUS))
    slats: Node = {}
    left, right, sill, head = props.WINDOW
    for k in range(SLATS):
        y = sill + 0.05 + (head - sill - 0.10) * k / (SLATS - 1)
        turned = _at((left + right) / 2, y, props.WALL - 0.06).rotate([1, 0, 0], 62.0 - 50.0 * t)
        slats[f"slat_{k:02d}"] = _mesh("slat", "blind", turned)
    return {
        "bough_leaves": _mesh("branch_leaves", "bough_leaf", bough),
        "bough_wood": _mesh("branch_wood", "bark", bough),
        "tyre": _mesh("tyre", "rubber", wheel),
        "rim": _mesh("rim", "chrome", wheel),
        **slats,
    }
