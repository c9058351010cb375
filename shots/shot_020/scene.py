"""shot_020: a paper boat drifts on a puddle past fly agarics, late in the afternoon. Units: decimetres, y up.

`build(frame)` is a pure function of the frame: plain values and transforms, meshes by file name. Camera, boat and
snail move here rather than in shot.yaml: this is the scene that shows the Python route.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mitsuba as mi

HERE = Path(__file__).resolve().parent
FIRST, LAST = 1001, 1006

Node = dict[str, Any]


def _transform() -> Any:
    return mi.ScalarTransform4f()


def _between(start: list[float], end: list[float], frame: int) -> list[float]:
    t = (frame - FIRST) / (LAST - FIRST)
    return [a + (b - a) * t for a, b in zip(start, end, strict=True)]


def _rgb(r: float, g: float, b: float) -> Node:
    return {"type": "rgb", "value": [r, g, b]}


def _bitmap(name: str, *, raw: bool = False, repeat: float | None = None) -> Node:
    node: Node = {"type": "bitmap", "filename": str(HERE / "textures" / name), "raw": raw}
    if repeat:
        node["to_uv"] = _transform().scale([repeat, repeat, 1.0])
    return node


def _mesh(name: str, bsdf: str, to_world: Any = None) -> Node:
    node: Node = {"type": "ply", "filename": str(HERE / "meshes" / f"{name}.ply"), "bsdf": {"type": "ref", "id": bsdf}}
    if to_world is not None:
        node["to_world"] = to_world
    return node


def _at(x: float, y: float, z: float, *, turn: float = 0.0, size: float = 1.0) -> Any:
    return _transform().translate([x, y, z]).rotate([0, 1, 0], turn).scale([size, size, size])


def materials() -> Node:
    def matt(color: Node) -> Node:
        return {"type": "diffuse", "reflectance": color}

    def two_sided(inner: Node) -> Node:
        return {"type": "twosided", "bsdf": inner}

    def glossy(color: Node, alpha: float) -> Node:
        return {"type": "roughplastic", "diffuse_reflectance": color, "alpha": alpha}

    def thin(color: Node, through: float, roughness: float) -> Node:
        """A leaf: `through` of the diffuse light comes out on the other side (0 … 2)."""
        return {
            "type": "principledthin",
            "base_color": color,
            "diff_trans": through,
            "roughness": roughness,
            "eta": 1.4,
        }

    return {
        "soil_and_moss": {
            "type": "blendbsdf",
            "weight": _bitmap("cover.png", raw=True),
            "soil": matt(_bitmap("soil.png", repeat=5.0)),
            "turf": matt(_bitmap("green.png", repeat=6.0)),
        },
        "puddle_water": glossy(_rgb(0.020, 0.022, 0.016), 0.02),
        "cap_skin": glossy(_bitmap("cap.png"), 0.14),
        "wart_flesh": matt(_rgb(0.80, 0.74, 0.60)),
        "stem_flesh": glossy(_rgb(0.76, 0.70, 0.57), 0.4),
        "gill_flesh": two_sided(matt(_rgb(0.78, 0.72, 0.58))),
        "honey_skin": glossy(_rgb(0.50, 0.24, 0.06), 0.18),
        "honey_flesh": matt(_rgb(0.50, 0.36, 0.20)),
        "grass_blade": thin(_rgb(0.17, 0.30, 0.045), 1.0, 0.35),
        "grass_dry": thin(_rgb(0.42, 0.40, 0.13), 1.0, 0.4),
        "moss_frond": thin(_rgb(0.22, 0.34, 0.05), 1.0, 0.5),
        "clover_leaf": thin(_rgb(0.10, 0.25, 0.055), 0.8, 0.4),
        "daisy_white": thin(_rgb(0.85, 0.85, 0.82), 0.7, 0.5),
        "daisy_yellow": matt(_rgb(0.85, 0.52, 0.03)),
        "leaf_gold": thin(_bitmap("leaf_gold.png"), 0.9, 0.4),
        "leaf_rust": thin(_bitmap("leaf_rust.png"), 0.6, 0.4),
        "stone_grey": matt(_bitmap("stone_grey.png")),
        "stone_ochre": glossy(_bitmap("stone_ochre.png"), 0.25),
        "paper": thin(_rgb(0.84, 0.82, 0.77), 0.55, 0.6),
        "snail_horn": glossy(_bitmap("shell.png"), 0.1),
        "snail_skin": glossy(_rgb(0.30, 0.24, 0.16), 0.22),
    }


def hero_shapes(frame: int) -> Node:
    """What stands by itself: ground, water, boat, mushrooms, snail, rock."""
    shapes: Node = {"ground": _mesh("ground", "soil_and_moss"), "water": _mesh("water", "puddle_water")}
    drift = _between([-0.46, 0.0, 1.12], [-0.22, 0.0, 1.05], frame)
    sway = _between([2.5, 0.0, 0.0], [-2.0, 0.0, 0.0], frame)[0]
    shapes["boat"] = _mesh(
        "boat", "paper", _transform().translate(drift).rotate([0, 1, 0], 24 + sway).rotate([1, 0, 0], sway)
    )
    stands = {
        "old": _at(2.05, 0.62, -1.10, turn=20),
        "prime": _at(1.25, 0.45, -0.62, turn=-35),
        "young": _at(2.72, 0.46, -0.48, turn=80),
    }
    flesh = {
        "cap": "cap_skin",
        "warts": "wart_flesh",
        "gills": "gill_flesh",
        "stem": "stem_flesh",
        "skirt": "gill_flesh",
    }
    for age, place in stands.items():
        for part, bsdf in flesh.items():
            shapes[f"agaric_{age}_{part}"] = _mesh(f"agaric_{age}_{part}", bsdf, place)
    honey = _at(-1.72, 0.33, -0.85, size=1.15)
    shapes["honey_caps"] = _mesh("honey_caps", "honey_skin", honey)
    shapes["honey_stems"] = _mesh("honey_stems", "honey_flesh", honey)
    rock = _at(-2.25, 0.30, -1.55, turn=30, size=0.8)
    shapes["rock"] = _mesh("rock", "stone_grey", rock)
    crawl = _at(*_between([-2.06, 0.845, -1.36], [-2.05, 0.845, -1.36], frame), turn=-18, size=0.95)
    shapes["snail_shell"] = _mesh("snail_shell", "snail_horn", crawl)
    shapes["snail_body"] = _mesh("snail_body", "snail_skin", crawl)
    return shapes


def strewn() -> Node:
    """What make_assets.py strewed and joined: one mesh per kind."""
    kinds = {
        "pebbles_grey": "stone_grey",
        "pebbles_ochre": "stone_ochre",
        "moss": "moss_frond",
        "grass_near": "grass_blade",
        "grass_far": "grass_dry",
        "clover": "clover_leaf",
        "daisy_petals": "daisy_white",
        "daisy_eye": "daisy_yellow",
        "daisy_stalk": "grass_blade",
    }
    return {name: _mesh(name, bsdf) for name, bsdf in kinds.items()}


def instances() -> Node:
    """Groups and their instances, as `scatter.json` places them: [x, y, z, turn, tilt, azimuth of the tilt, scale]."""
    bsdfs = {"leaf_a": "leaf_gold", "leaf_b": "leaf_rust", "stone": "stone_grey"}
    nodes: Node = {}
    for group, places in json.loads((HERE / "scatter.json").read_text()).items():
        nodes[f"{group}_group"] = {"type": "shapegroup", f"{group}_mesh": _mesh(group, bsdfs[group])}
        for number, (x, y, z, turn, tilt, azimuth, size) in enumerate(places):
            lean = _transform().rotate([0, 1, 0], azimuth).rotate([1, 0, 0], tilt).rotate([0, 1, 0], turn - azimuth)
            nodes[f"{group}_{number:02d}"] = {
                "type": "instance",
                "to_world": _transform().translate([x, y, z]) @ lean.scale([size, size, size]),
                "shapegroup": {"type": "ref", "id": f"{group}_group"},
            }
    return nodes


def build(frame: int) -> Node:
    origin = _between([-0.22, 1.42, 6.85], [-0.04, 1.38, 6.72], frame)
    target = _between([0.22, 0.66, 0.0], [0.26, 0.66, 0.0], frame)
    return {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 8, "rr_depth": 3},
        "camera": {
            "type": "thinlens",
            "fov": 42.0,
            "fov_axis": "x",
            "aperture_radius": 0.075,
            "focus_distance": 6.6,
            "near_clip": 0.1,
            "far_clip": 500.0,
            "to_world": _transform().look_at(origin, target, [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": 480, "height": 270, "rfilter": {"type": "box"}},
            "sampler": {"type": "independent", "sample_count": 64},
        },
        "sky": {"type": "envmap", "filename": str(HERE / "textures" / "sky.exr"), "scale": 1.0},
        **materials(),
        **hero_shapes(frame),
        **strewn(),
        **instances(),
    }
