"""A training scene from its seed: everything that a frame's scene is loaded from, as plain data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.denoise.training.scenes import cameras, exteriors, interiors, materials, movement, tabletops
from pipeline.denoise.training.scenes.files import Files
from pipeline.denoise.training.scenes.geometry import Mesh, joined, placed, ply
from pipeline.denoise.training.scenes.materials import PALETTES
from pipeline.denoise.training.scenes.shapes import box
from pipeline.denoise.training.scenes.stage import MOVERS, Stage
from pipeline.scene import blobs
from pipeline.scene.spec import SceneSpec

__all__ = ["LAYOUTS", "Recipe", "place", "recipe"]

HARD_SHARE = 0.52
"""Share of scenes whose light is hard to find."""

HIDDEN = np.array([0.0, -3.0, 0.0])
"""Where shapes and lights go that a scene does not use: a fifth of a millimetre large, below the ground."""

Layout = Callable[[Stage], None]

LAYOUTS: Mapping[str, tuple[Layout, float, float]] = MappingProxyType(
    {
        "furnished": (interiors.furnished, 3.0, 3.5),
        "hall": (interiors.hall, 1.5, 2.0),
        "boxed": (interiors.boxed, 1.5, 2.0),
        "field": (exteriors.field, 1.5, 0.4),
        "street": (exteriors.street, 1.0, 0.8),
        "colonnade": (exteriors.colonnade, 1.0, 0.8),
        "still_life": (tabletops.still_life, 2.0, 1.5),
        "studio": (tabletops.studio, 1.5, 1.5),
        "abstract": (exteriors.abstract, 1.0, 1.2),
    }
)
"""Name → layout, and how often it comes up among plain and among hard scenes."""


@dataclass(frozen=True)
class Recipe:
    """A scene of a few consecutive frames, numbered from 1; the middle one is the one to denoise.

    Attributes:
        seed: all of it follows from this.
        layout: key of `LAYOUTS`.
        kind: `plain` or `hard`: how hard its light is to find.
        xml: the scene, without a camera; files in it are named as in `files`.
        files: name (as of a blob) → content.
        camera, animate: as in the shot config, keyframes for every frame.
        frames: how many; odd.
        resolution: width and height, pixels.
        depth: longest path.
        tags: what the scene shows: palette, light, camera, lens, motion.
    """

    seed: int
    layout: str
    kind: str
    xml: str
    files: Mapping[str, bytes]
    camera: Mapping[str, Any]
    animate: Mapping[str, Any]
    frames: int
    resolution: tuple[int, int]
    depth: int
    tags: Mapping[str, str]


def recipe(seed: int, *, resolution: tuple[int, int] = (128, 128), frames: int = 3) -> Recipe:
    """The scene of a seed: a pure function.

    Args:
        seed: any number from 0.
        resolution: width and height, pixels.
        frames: odd.

    Raises:
        ValueError: `frames` is even, or not positive.
    """
    if frames < 1 or frames % 2 == 0:
        raise ValueError(f"{frames} frames have no middle one: an odd number is needed")
    rng = np.random.default_rng(seed)
    kind = "hard" if rng.random() < HARD_SHARE else "plain"
    weights = np.array([hard if kind == "hard" else plain for _, plain, hard in LAYOUTS.values()])
    layout = str(rng.choice(list(LAYOUTS), p=weights / weights.sum()))
    stage = Stage(rng, str(rng.choice(list(PALETTES))), hard=kind == "hard")
    LAYOUTS[layout][0](stage)
    files = Files()
    xml, animate = _assembled(stage, files, frames)
    camera = cameras.camera(stage, frames)
    tags = {**stage.tags, "palette": stage.palette, "motion": "objects" if stage.movers else "none"}
    return Recipe(seed, layout, kind, xml, files, camera, animate, frames, resolution, int(rng.integers(8, 13)), tags)


def place(recipe: Recipe, blobs_directory: Path) -> SceneSpec:
    """Puts a scene's files into a blob directory; one spec serves all of its frames.

    Raises:
        OSError: the directory cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="penumbra-scene-") as folder:
        for name, data in recipe.files.items():
            path = Path(folder) / name
            path.write_bytes(data)
            blobs_directory.mkdir(parents=True, exist_ok=True)
            blobs.put(blobs_directory, path)
    xml = blobs.put_text(blobs_directory, recipe.xml, "xml")
    return SceneSpec(
        xml=xml,
        previous=xml,
        next=xml,
        resolution=recipe.resolution,
        camera=recipe.camera,
        animate=recipe.animate,
        max_depth=recipe.depth,
    )


def _assembled(stage: Stage, files: Files, frames: int) -> tuple[str, dict[str, Any]]:
    """The scene's XML and its `animate`. Shapes are one mesh per slot, the movers, and the lights, used or not."""
    kinds = PALETTES[stage.palette]
    speck = box((-1e-4,) * 3, (1e-4,) * 3).transformed(placed(HIDDEN))
    parts = [materials.bsdf(kind, f"material_{slot}", stage.rng, files) for slot, kind in enumerate(kinds)]
    for slot, meshes in enumerate(stage.meshes):
        parts.append(_shape(f"static_{slot}", joined(meshes) if meshes else speck, slot, files))
    animate: dict[str, Any] = {}
    still = {"translate": np.zeros(3), "axis": np.array([0.0, 1.0, 0.0]), "angle": 0.0}
    for index in range(MOVERS):
        mover = stage.movers[index] if index < len(stage.movers) else None
        mesh = speck if mover is None else mover.mesh
        low, high = mesh.bounds
        moving = still if mover is None else mover.motion
        animate[f"mover_{index}"] = movement.keyframes(moving, (low + high) / 2.0, frames)
        parts.append(_shape(f"mover_{index}", mesh, 0 if mover is None else mover.slot, files))
    dull = kinds.index("pale")
    parts.append(stage.lights.xml(HIDDEN, f"material_{dull}", stage.rng, files))
    body = "\n".join(parts)
    return f'<scene version="3.0.0">\n{body}\n</scene>\n', animate


def _shape(name: str, mesh: Mesh, slot: int, files: Files) -> str:
    file = f'<string name="filename" value="{files.keep(ply(mesh), "ply")}"/>'
    return f'<shape type="ply" id="{name}">{file}<ref id="material_{slot}"/></shape>'
