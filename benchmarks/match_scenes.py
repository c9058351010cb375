"""Tasks of the matching benchmark that are rendered: MUG, SHADOW, BUNNY, TEXTURE.

Each is a shot of its own, frozen and rendered by `pipeline.match.renders`; the plate is a picture of many samples.
Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from benchmarks.match_tasks import Task
from benchmarks.scenes.match_meshes import hare, mug, write_obj
from pipeline.config.overrides import Override
from pipeline.config.shot import Shot
from pipeline.match.estimators import gradient
from pipeline.match.losses import Loss
from pipeline.match.minimise import Bounds
from pipeline.match.mitsuba_gradients import MitsubaGradient
from pipeline.match.objective import Objective
from pipeline.match.parameters import bounds_of
from pipeline.match.plate import Plate
from pipeline.match.renders import Renders, unsearched
from pipeline.match.samplers import Sampling, draw_hessian
from pipeline.scene.freeze import freeze

__all__ = ["SUBJECTS", "Size", "Subject", "full_hessian_seconds", "plateau", "rendered"]

Array = NDArray[np.float64]

TEXELS = 32


@dataclass(frozen=True)
class Size:
    """How large a rendered task is.

    Attributes:
        width, height: pixels.
        spp: samples per pixel, both halves together.
        plate_spp: of the plate.
        judge_spp: of pictures that errors are taken of.
    """

    width: int = 64
    height: int = 48
    spp: int = 8
    plate_spp: int = 256
    judge_spp: int = 64

    @property
    def name(self) -> str:
        """`64x48x8`."""
        return f"{self.width}x{self.height}x{self.spp}"


@dataclass(frozen=True)
class Subject:
    """A scene, what is unknown in it, and where searches start.

    Attributes:
        xml: the scene, without its sensor's film.
        params: unknowns, as `pipeline match` takes them.
        truth: search units.
        start: rng → search units.
        scale: of the parameters.
        sigma: first and last.
        autodiff: whether Mitsuba's own gradients are tried: meshes, lights and textures.
    """

    key: str
    about: str
    xml: str
    params: tuple[str, ...]
    truth: Array
    start: Callable[[np.random.Generator], Array]
    scale: Array
    sigma: tuple[float, float]
    evaluations: int
    autodiff: bool = True
    limits: tuple[float, float] = (-np.inf, np.inf)


def _scene(body: str, *, origin: str, target: str, fov: float = 40, depth: int = 4) -> str:
    return f"""<scene version="3.0.0"><integrator type="path"><integer name="max_depth" value="{depth}"/></integrator>
<sensor type="perspective"><float name="fov" value="{fov}"/>
<transform name="to_world"><lookat origin="{origin}" target="{target}" up="0, 1, 0"/></transform>
<film type="hdrfilm"/></sensor>
<bsdf type="diffuse" id="matt"><rgb name="reflectance" value="0.6, 0.6, 0.6"/></bsdf>
<bsdf type="diffuse" id="clay"><rgb name="reflectance" value="0.7, 0.3, 0.15"/></bsdf>
<shape type="rectangle" id="floor"><transform name="to_world"><rotate x="1" angle="-90"/><scale value="6"/></transform>
<ref id="matt"/></shape>
{body}</scene>"""


LAMP = """<shape type="rectangle" id="lamp"><transform name="to_world"><scale value="0.6"/><rotate x="1" angle="90"/>
<translate x="1" y="3.5" z="1"/></transform><emitter type="area"><rgb name="radiance" value="16"/></emitter></shape>
<emitter type="constant" id="sky"><rgb name="radiance" value="0.2"/></emitter>"""

MUG = _scene(
    f'<shape type="obj" id="mug"><string name="filename" value="mug.obj"/>'
    f'<boolean name="face_normals" value="true"/><ref id="clay"/></shape>{LAMP}',
    origin="0, 1.6, 3.2",
    target="0, 0.45, 0",
)
SHADOW = _scene(
    """<shape type="sphere" id="ball"><point name="center" x="0" y="3" z="0"/><float name="radius" value="0.45"/>
<ref id="clay"/></shape><emitter type="point" id="bulb"><point name="position" x="0" y="6" z="0"/>
<rgb name="intensity" value="40"/></emitter>""",
    origin="0, 2.4, 4",
    target="0, 0, 0",
    depth=2,
)
HARE = _scene(
    f'<shape type="obj" id="hare"><string name="filename" value="hare.obj"/>'
    f'<boolean name="face_normals" value="true"/><ref id="clay"/></shape>{LAMP}',
    origin="0, 1.3, 3.4",
    target="0, 0.5, 0",
)
TEXTURE = _scene(
    """<bsdf type="diffuse" id="canvas"><texture type="bitmap" name="reflectance"><boolean name="raw" value="true"/>
<string name="filename" value="canvas.exr"/><string name="filter_type" value="nearest"/></texture></bsdf>
<shape type="rectangle" id="board"><transform name="to_world"><translate y="1" z="0.5"/></transform>
<ref id="canvas"/></shape><emitter type="constant" id="sky"><rgb name="radiance" value="1"/></emitter>""",
    origin="0, 1, 4",
    target="0, 1, 0",
    fov=33,
    depth=2,
)


def _around(truth: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Callable[..., Array]:
    """Off the truth by so much in each parameter, up or down."""

    def start(rng: np.random.Generator) -> Array:
        off = rng.uniform(low, high) * rng.choice([-1.0, 1.0], len(truth))
        return np.asarray(np.asarray(truth) + off)

    return start


def _picture() -> Array:
    """What is painted on the canvas: TEXELS², between 0.2 and 0.8."""
    y, x = np.mgrid[0:TEXELS, 0:TEXELS] / TEXELS
    waves = np.sin(9 * x + 4 * y) + np.sin(14 * y - 5 * x) + (np.hypot(x - 0.6, y - 0.4) < 0.22)
    return np.asarray(0.5 + 0.3 * (waves - waves.mean()) / np.abs(waves - waves.mean()).max())


SUBJECTS: dict[str, Subject] = {
    each.key: each
    for each in (
        Subject(
            "MUG",
            "a mug's turn about the vertical, whose handle is hidden behind it at first, n = 1",
            MUG,
            ("mug.rotate:y",),
            np.array([0.0]),
            lambda rng: rng.uniform(75.0, 105.0, 1),
            np.array([60.0]),
            (0.75, 0.02),
            1500,
        ),
        Subject(
            "SHADOW",
            "a ball above the picture, of which the shadow alone is seen, n = 2",
            SHADOW,
            ("ball.translate:xz",),
            np.zeros(2),
            _around((0.0, 0.0), (0.35, 0.35), (0.6, 0.6)),
            np.full(2, 0.4),
            (0.75, 0.02),
            2000,
            autodiff=False,
        ),
        Subject(
            "BUNNY",
            "place and turn of an animal that overlaps itself from the start, n = 3",
            HARE,
            ("hare.translate:xz", "hare.rotate:z"),
            np.zeros(3),
            _around((0.0, 0.0, 0.0), (0.1, 0.1, 8.0), (0.2, 0.2, 20.0)),
            np.array([0.2, 0.2, 15.0]),
            (0.5, 0.02),
            2000,
        ),
        Subject(
            "TEXTURE",
            f"the texels of a painting, n = {TEXELS * TEXELS}",
            TEXTURE,
            ("canvas.texture",),
            _picture().ravel(),
            lambda rng: np.full(TEXELS * TEXELS, 0.5) + rng.uniform(-0.05, 0.05, TEXELS * TEXELS),
            np.full(TEXELS * TEXELS, 0.1),
            (0.5, 0.05),
            20_000,
            limits=(0.0, 1.0),
        ),
    )
}


def rendered(subject: Subject, size: Size, folder: Path) -> Task:
    """A subject as a task. `folder` holds its scene and blobs."""
    renders = renders_of(subject, size, folder)
    halves = renders.images(subject.truth[None], spp=size.plate_spp // 2, seed=9_000_001)
    image = halves[0].mean(axis=0)[..., :3].astype(np.float64)
    plate = Plate(image, np.ones(image.shape[:2]), None)
    loss = Loss("l2", plate)
    n = len(subject.truth)
    low, high = (np.full(n, edge) for edge in subject.limits)
    bounds = Bounds(subject.scale, low, high)
    assert len(bounds_of(renders.parameters).scale) == n

    def error(theta: Array) -> float:
        return float(loss(renders.images(theta[None], spp=size.judge_spp // 2, seed=9_000_002))[0])

    autodiff = None
    if subject.autodiff:
        autodiff = MitsubaGradient.of_renders(renders, plate, spp=size.spp).of(subject.scale)
    return Task(
        subject.key,
        Objective(renders, loss, spp=size.spp // 2),
        subject.truth,
        lambda seed: bounds.clip(subject.start(np.random.default_rng([seed, 3]))),
        bounds,
        subject.sigma,
        subject.evaluations,
        error,
        autodiff,
        subject.about,
        size.name,
    )


def plateau(subject: Subject, size: Size, folder: Path, *, starts: int) -> dict[str, float]:
    """Gradients at starts on a plateau over those half a scale off the truth, where the picture changes.

    Returns:
        `autodiff`: of Mitsuba's own gradient, medians; `sampled`: of the smoothed one at the first σ.
    """
    task = rendered(subject, size, folder)
    assert task.autodiff is not None
    rng = np.random.default_rng(17)
    f, scale = task.loss, subject.scale

    def smoothed(theta: Array, seed: int) -> float:
        estimate = gradient(
            lambda rows, key: f(rows * scale, key), theta / scale, task.sigma[0], samples=16, rng=rng, seed=seed
        )
        return float(np.linalg.norm(estimate.value))

    def own(theta: Array, seed: int) -> float:
        estimate = task.autodiff(f, theta / scale, task.sigma[0], rng, seed)
        return float(np.linalg.norm(estimate.value))

    far = [task.start(seed) for seed in range(starts)]
    near = [subject.truth + 0.5 * scale * rng.choice([-1.0, 1.0], len(scale)) for _ in range(starts)]
    found = {}
    for name, slope in (("autodiff", own), ("sampled", smoothed)):
        there, here = (np.median([slope(theta, seed) for seed, theta in enumerate(at)]) for at in (far, near))
        found[name] = float(there / here)
    return found


def full_hessian_seconds(subject: Subject, size: Size, folder: Path, *, elements: int) -> float:
    """Seconds of one full Hessian by elements, one antithetic pair each: some of them timed, by the number of all."""
    task = rendered(subject, size, folder)
    n, rng = task.n, np.random.default_rng(18)
    theta, seconds = task.start(0), []
    for _ in range(elements + 1):
        i, j = (int(index) for index in rng.integers(n, size=2))
        began = time.perf_counter()
        draw = draw_hessian(rng, 1, n, Sampling.ELEMENT, (i, j))
        offset = task.sigma[0] * subject.scale * draw.z[0]
        task.loss(np.array([theta - offset, theta + offset]), 0)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[1:]) * n * (n + 1) / 2)


def renders_of(
    subject: Subject,
    size: Size,
    folder: Path,
    *,
    params: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Renders:
    """What renders a subject.

    Args:
        params: other unknowns than the subject's.
        overrides: of the shot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scene.xml").write_text(subject.xml)
    write_obj(folder / "mug.obj", mug())
    write_obj(folder / "hare.obj", hare())
    grey = np.full((TEXELS, TEXELS), 0.5, np.float32)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Y": grey}).write(str(folder / "canvas.exr"))
    shot = Shot(shot=subject.key, scene="scene.xml", frames="1", overrides=overrides or {}).at(folder)
    blobs = folder / "blobs"
    unknowns = params or subject.params
    config = shot.model_dump(mode="json", by_alias=True)
    still = {name: Override(**values) for name, values in unsearched(config["overrides"], unknowns).items()}
    frozen = freeze(shot.model_copy(update={"overrides": still}).at(folder), [1], blobs)
    return Renders(config, frozen, 1, blobs, unknowns, (size.width, size.height))
