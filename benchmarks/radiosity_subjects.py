"""Scenes that previews are measured on, the views that judge them, and what a path tracer says of those views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.machine import ROOT
from benchmarks.referee import Reference
from pipeline.config.load import load_shot
from pipeline.config.shot import Shot
from pipeline.radiosity.cameras import View
from pipeline.radiosity.paths import orbit
from pipeline.scene.animation import look_at

if TYPE_CHECKING:
    from pipeline.radiosity.session import Opened

__all__ = ["CALM", "GLOSSY", "Subject", "compared", "free_views", "reference", "subject", "traced", "trained_on"]

Image = NDArray[np.float32]

SHARED = ROOT.parent / "shared" / "scenes"
CALM, GLOSSY = "cornell-box", "veach-mis"
OURS = "shot_010"
MAX_DEPTH = 32
"""Of reference paths: deeper ones carry less than the references' own noise."""

UNSURE = 0.5
"""Halves of a reference that differ by more than this share of their mean: caustics, which no reference settles."""

ARM, SWAY = 0.35, (25.0, 8.0)
"""Of free views: how far the camera moves, of the distance it looks; and how far it turns, degrees."""


@dataclass(frozen=True)
class Subject:
    """A scene, loaded.

    Attributes:
        name: of the scene or shot.
        opened: its first frame.
        view: its camera at the size that judges it.
    """

    name: str
    opened: Opened
    view: View


def trained_on() -> list[str]:
    """Names of the scenes that are here, the sample shot last."""
    theirs = [name for name in ("veach-bidir", "living-room", CALM) if (SHARED / name / "scene.xml").exists()]
    return [*theirs, OURS]


def subject(name: str, resolution: tuple[int, int], folder: Path) -> Subject:
    """Loads a scene; its blobs go to `folder`. Mitsuba's variant must be set."""
    from pipeline.radiosity.session import open_frame

    if name == OURS:
        shot = load_shot(ROOT / "shots" / name)
    else:
        shot = Shot(shot=name, scene="scene.xml", frames="1").at(SHARED / name)
    opened = open_frame(shot, shot.frame_list[0], folder)
    return Subject(name, opened, opened.view.at(*resolution))


def traced(subject: Subject, view: View, spp: int, seed: int) -> Image:
    """A path-traced picture: H×W×3."""
    import mitsuba as mi

    film = {"type": "hdrfilm", "width": view.width, "height": view.height, "rfilter": {"type": "box"}}
    sensor = mi.load_dict(
        {
            "type": "perspective",
            "fov": view.fov,
            "fov_axis": "x",
            "to_world": mi.ScalarTransform4f(view.to_world),
            "film": {**film, "pixel_format": "rgb"},
            "sampler": {"type": "independent"},
        }
    )
    hides = subject.opened.hide_emitters
    path = mi.load_dict({"type": "path", "max_depth": MAX_DEPTH, "rr_depth": 8, "hide_emitters": hides})
    scene = subject.opened.sources.scene
    return np.array(mi.render(scene, sensor=sensor, integrator=path, spp=spp, seed=seed), dtype=np.float32)[..., :3]


def reference(subject: Subject, view: View, key: str, spp: int, folder: Path) -> Reference:
    """The view's reference in two halves, kept in `folder`."""

    def make() -> Kept:
        halves = {name: np.stack(list(_parts(subject, view, spp // 2, seed))) for seed, name in enumerate("ab")}
        return Kept(None, {name: parts.mean(axis=0) for name, parts in halves.items()})

    found = kept(folder / f"reference-{subject.name}-{key}-{view.width}x{view.height}-{spp}.npz", make)
    return Reference(found.arrays["a"], found.arrays["b"])


def _parts(subject: Subject, view: View, spp: int, half: int, most: int = 64) -> Iterator[Image]:
    for number in range(max(spp // most, 1)):
        yield traced(subject, view, min(spp, most), 2 * number + half)


def compared(subject: Subject, view: View, truth: Reference) -> NDArray[np.bool_]:
    """Pixels whose brightness is compared, H×W: what is seen there first has no delta lobe, and the reference has
    settled."""
    apart = np.abs(truth.a - truth.b).mean(axis=-1)
    settled: NDArray[np.bool_] = apart <= UNSURE * truth.image.mean(axis=-1) + 1e-6
    return settled & _smooth(subject, view)


def free_views(subject: Subject, count: int, seed: int = 0) -> list[View]:
    """Views near the shot's, on a smooth closed path that swings around it: none is the shot's own."""
    from pipeline.radiosity.render import looking_distance

    view = subject.view
    distance = looking_distance(subject.opened.sources, view)
    target = view.origin + distance * view.forward
    around = orbit(view, distance, 1, 360)
    views = []
    for k in range(count):
        phase = 2 * np.pi * (k + 0.5) / count
        turned = around[round(SWAY[0] * np.sin(phase)) % 360].view.origin - target
        near = 1 - 0.5 * ARM * (1 - np.cos(phase))
        lift = distance * np.sin(np.radians(SWAY[1])) * np.sin(2 * phase + seed)
        origin = target + near * turned + lift * np.array([0.0, 1.0, 0.0])
        to_world = look_at(origin, target, (0.0, 1.0, 0.0))
        views.append(View(to_world, view.fov, view.width, view.height))
    return views


def _smooth(subject: Subject, view: View) -> NDArray[np.bool_]:
    """Where the first surface scatters, and neither mirrors nor transmits exactly."""
    import mitsuba as mi

    from pipeline.radiosity.render import first_flags

    flags = first_flags(subject.opened.sources, view)
    delta = int(mi.BSDFFlags.Delta) | int(mi.BSDFFlags.Null)
    smooth: NDArray[np.bool_] = ((flags & int(mi.BSDFFlags.Smooth)) != 0) & ((flags & delta) == 0)
    return smooth
