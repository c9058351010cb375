"""A still life by a window: wine, copper, brass and oranges on a printed runner. Units: decimetres, y up.

Hard for a denoiser: glass before texture, glossy metal, caustics, a small flame, a lens with little depth of field.
Camera, an orange, a steel ball and the flame move. `build(frame)` is a pure function of the frame; its meshes and
textures are made when this file is loaded, in the user's cache.
"""

from __future__ import annotations

import math
from typing import Any

import mitsuba as mi
import still_life_props as props

from pipeline.device import cache_directory

ASSETS = cache_directory() / "benchmarks" / "assets" / "still_life"
FIRST, LAST = 1001, 1012

Node = dict[str, Any]

props.write(ASSETS)


def build(frame: int) -> Node:
    t = (frame - FIRST) / (LAST - FIRST)
    origin = _between((-0.50, 3.55, 10.3), (0.40, 3.35, 9.9), t)
    target = _between((0.04, 1.12, 0.0), (0.16, 1.12, 0.0), t)
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 12},
        "camera": {
            "type": "thinlens",
            "fov": 40.0,
            "fov_axis": "x",
            "aperture_radius": 0.11,
            "focus_distance": 9.9,
            "near_clip": 0.1,
            "far_clip": 200.0,
            "to_world": mi.ScalarTransform4f().look_at(origin, target, [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 320, "height": 180, "rfilter": {"type": "box"}},
            "sampler": {"type": "independent", "sample_count": 64},
        },
        **_materials(),
        **_lights(t),
        **_furniture(),
        **_things(t),
    }


def _between(start: tuple[float, ...], end: tuple[float, ...], t: float) -> list[float]:
    return [a + (b - a) * t for a, b in zip(start, end, strict=True)]


def _rgb(*value: float) -> Node:
    return {"type": "rgb", "value": list(value)}


def _bitmap(name: str, repeat: tuple[float, float] = (1.0, 1.0)) -> Node:
    to_uv = mi.ScalarTransform4f().scale([*repeat, 1.0])
    return {"type": "bitmap", "filename": str(ASSETS / "textures" / f"{name}.png"), "to_uv": to_uv}


def _mesh(name: str, bsdf: str, to_world: Any = None, **more: Node) -> Node:
    node: Node = {"type": "ply", "filename": str(ASSETS / "meshes" / f"{name}.ply"), **more}
    node["bsdf"] = {"type": "ref", "id": bsdf}
    if to_world is not None:
        node["to_world"] = to_world
    return node


def _at(x: float, y: float, z: float, turn: float = 0.0) -> Any:
    return mi.ScalarTransform4f().translate([x, y, z]).rotate([0, 1, 0], turn)


def _materials() -> Node:
    def glass(tint: Node, ior: float = 1.5) -> Node:
        return {"type": "dielectric", "int_ior": ior, "specular_transmittance": tint}

    def metal(name: str, alpha: float) -> Node:
        return {"type": "twosided", "bsdf": {"type": "roughconductor", "material": name, "alpha": alpha}}

    def glazed(colour: Node, alpha: float) -> Node:
        return {"type": "twosided", "bsdf": {"type": "roughplastic", "diffuse_reflectance": colour, "alpha": alpha}}

    def matt(colour: Node) -> Node:
        return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": colour}}

    return {
        "walnut": glazed(_bitmap("table", (0.22, 0.12)), 0.18),
        "plaster": matt(_bitmap("wall", (0.12, 0.12))),
        "linen": matt(_bitmap("cloth")),
        "paint": matt(_rgb(0.75, 0.73, 0.68)),
        "clear": glass(_rgb(1.0, 1.0, 1.0)),
        "green": glass(_rgb(0.72, 0.90, 0.74)),
        "claret": glass(_rgb(0.62, 0.06, 0.08), 1.34),
        "copper": metal("Cu", 0.14),
        "brass": metal("Au", 0.22),
        "silver": metal("Ag", 0.06),
        "steel": {"type": "conductor", "material": "Cr"},
        "china": glazed(_bitmap("bowl"), 0.06),
        "peel": glazed(_bitmap("orange"), 0.22),
        "wax": glazed(_rgb(0.86, 0.82, 0.70), 0.3),
        "soot": {"type": "diffuse", "reflectance": _rgb(0.0, 0.0, 0.0)},
    }


def _lights(t: float) -> Node:
    sway = mi.ScalarTransform4f().translate([3.05 + 0.05 * math.sin(9 * t), 0.0, -0.1])
    return {
        "room": {"type": "constant", "radiance": _rgb(0.26, 0.28, 0.31)},
        "window": _mesh("window", "soot", emitter={"type": "area", "radiance": _rgb(26.0, 26.5, 27.0)}),
        "flame": _mesh("flame", "soot", sway, emitter={"type": "area", "radiance": _rgb(190.0, 92.0, 26.0)}),
    }


def _furniture() -> Node:
    return {
        "table": _mesh("table", "walnut"),
        "wall": _mesh("wall", "plaster"),
        "mullions": _mesh("mullions", "paint"),
        "cloth": _mesh("cloth", "linen"),
    }


def _things(t: float) -> Node:
    """The orange and the ball roll without slipping."""
    travel = 1.5 * t
    roll = math.degrees(travel / 0.41)
    orange = mi.ScalarTransform4f().translate([-0.75 + travel, 0.46, 1.35]).rotate([0, 0, 1], -roll)
    ball = mi.ScalarTransform4f().translate([2.35 - 0.9 * t, 0.38, 1.15 + 0.35 * t]).scale(0.34)
    return {
        "glass": _mesh("glass", "clear", _at(-1.75, 0.04, 0.35)),
        "wine": _mesh("wine", "claret", _at(-1.75, 0.04, 0.35)),
        "bottle": _mesh("bottle", "green", _at(-2.75, 0.0, -1.35)),
        "kettle": _mesh("kettle", "copper", _at(1.45, 0.0, -1.15, 28.0)),
        "bowl": _mesh("bowl", "china", _at(-0.45, 0.02, -0.55, 40.0)),
        "orange_a": _mesh("orange", "peel", _at(-0.78, 0.72, -0.5, 70.0)),
        "orange_b": _mesh("orange", "peel", _at(0.02, 0.74, -0.62, 200.0)),
        "orange_c": _mesh("orange", "peel", _at(-0.40, 1.26, -0.60, 310.0)),
        "orange_rolling": _mesh("orange", "peel", orange),
        "ball": {"type": "sphere", "to_world": ball, "bsdf": {"type": "ref", "id": "steel"}},
        "candlestick": _mesh("candlestick", "brass", _at(3.05, 0.0, -0.1)),
        "candle": _mesh("candle", "wax", _at(3.05, 0.0, -0.1)),
        "spoon": _mesh("spoon", "silver", _at(-2.1, 0.06, 1.75, -18.0)),
    }
