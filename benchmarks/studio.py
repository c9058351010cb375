"""What a studio asks of the renderer's front end: blur, filters, light groups, mattes, colour, and nothing made twice.

python -m benchmarks.studio [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.agreement import Estimate, agreement, from_repeats
from benchmarks.referee import Results, Row, main, median_ratio, timed_pairs
from benchmarks.render_subjects import ANIMATED, Subject, subjects
from benchmarks.studio_jobs import made_twice
from pipeline.config.layers import Layers as Wanted
from pipeline.device import set_variant
from pipeline.render.buffers import FrameBuffers, luminance

if TYPE_CHECKING:
    from pipeline.render.moments import Moments
    from pipeline.render.passes import Program

TITLE = "What a studio asks of the front end"
ABOUT = (
    "Motion blur and pixel filters against what they stand for, groups of lights and mattes against their definition, "
    "colour against OpenColorIO, and what their layers cost. Measured on the sample shot `shot_010`, an interior with "
    "four lights, a ball that rolls and a camera that moves."
)

LIGHTS = {"day": ["daylight"], "shade": ["shade_glow"], "bulb": ["bulb_glow"], "dusk": ["dusk"]}
SHUTTER = (-0.25, 0.25)
BRIGHT = 1e-3
"""Values below it are not asked for their ratio."""

CHART = """<scene version="3.0.0"><sensor type="orthographic">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<shape type="rectangle"><transform name="to_world"><scale y="0.6666667"/></transform><emitter type="area">
<texture type="bitmap" name="radiance"><string name="filename" value="{texture}"/>
<string name="filter_type" value="nearest"/></texture></emitter></shape></scene>"""
"""A rectangle of 3:2 that fills the view, and shines."""

VISIBLE = 1 / 8
"""An object counts as seen where it covers so much of some pixel."""


@dataclass(frozen=True)
class Sizes:
    """How much is rendered."""

    picture: tuple[int, int]
    spp: int
    chi: tuple[int, int]  # divides into 16×9 blocks
    chi_spp: int
    steps: int
    instants: int
    speed: tuple[int, int]
    speed_spp: int
    pairs: int


FULL = Sizes((480, 270), 64, (160, 90), 256, 64, 64, (480, 270), 32, 9)
QUICK = Sizes((96, 54), 32, (48, 27), 32, 8, 64, (160, 90), 16, 5)


def measure(results: Results) -> None:
    """All rows."""
    sizes = QUICK if results.quick else FULL
    set_variant()
    with subjects(()) as found:
        subject = found[ANIMATED]
        lights_and_mattes(results, sizes, subject)
        blur(results, sizes, subject)
        features_of_blur(results, sizes, subject)
        filters(results, sizes, subject)
        cost(results, sizes, subject)
    reuse(results)
    colour(results)


def frame_of(program: Program, spp: int, *, seed: int = 0, steps: int = 0) -> tuple[Moments, FrameBuffers]:
    """A frame of so many samples; blurred over `steps` instants of the shutter where they are given."""
    from pipeline.render.blur import render_blurred
    from pipeline.render.moments import add_round, combine
    from pipeline.render.passes import render_pass

    counts = np.full((program.fs.height, program.fs.width), spp, np.uint32)
    start = np.zeros_like(counts)
    if steps:
        taken = render_blurred(program, counts, start, seed=seed, shutter=SHUTTER, steps=steps)
    else:
        taken = render_pass(program, counts, start, seed=seed)
    whole = add_round(None, taken)
    return whole, combine(whole)


# --- Layers -------------------------------------------------------------------------------------------------------


def lights_and_mattes(results: Results, sizes: Sizes, subject: Subject) -> None:
    """Sums of the groups, before and after denoising; mattes by the reader's rules."""
    from pipeline.config.denoise import Denoise
    from pipeline.denoise.backends import backend
    from pipeline.denoise.frame import Frame
    from pipeline.denoise.light_shares import split_by_light
    from pipeline.images.viewing import to_display
    from pipeline.render.moments import light_means
    from pipeline.render.outputs import matte_names

    wanted = Wanted.model_validate({"lights": LIGHTS, "cryptomatte": ["object", "material", "asset"]})
    program = subject.program(sizes.picture, layers=wanted.model_dump(mode="json"))
    whole, frame = frame_of(program, sizes.spp)
    groups = light_means(whole)
    clean = backend(Denoise(backend="oidn")).denoise({0: Frame.of(frame)}, 0, 1.0).beauty
    after = split_by_light(groups, frame, clean, smooth=True)
    told = f"{sizes.picture[0]}×{sizes.picture[1]}, {sizes.spp} spp, {len(LIGHTS)} groups and the rest"
    for key, what, parts, of in (("before", "rendered", groups, frame.beauty), ("after", "denoised", after, clean)):
        bright = of > BRIGHT
        apart = float(np.abs(parts.sum(2)[bright] / of[bright] - 1).max())
        results.add(
            Row(
                f"lights.{key}",
                f"sum of light groups / beauty, {what}: largest |ratio − 1|",
                apart,
                must=1e-3,
                note=told,
            )
        )
    wide = [to_display(after[:, :, index]) for index in range(len(LIGHTS))]
    results.picture(
        "lights", np.concatenate([*wide[:2]], axis=1), "The denoised picture by light: daylight, lamp shade"
    )

    assert whole.votes is not None
    hits = (whole.votes > 1).sum(-1) / np.maximum((whole.votes > 0).sum(-1), 1)
    worst, lost, names = 0.0, 0, matte_names(program.fs)
    for kind in wanted.cryptomatte:
        found, sums = _decoded(whole.votes, names[kind])
        worst = max(worst, float(np.abs(sums - hits).max()))
        lost += sum(seen not in found for seen in _seen(whole.votes, names[kind]))
    results.add(
        Row("mattes.coverage", "Cryptomatte: |Σ coverage − what the rays met|, largest", worst, must=0.01, note=told)
    )
    results.add(Row("mattes.names", "Cryptomatte: objects, materials, assets seen and not found by name", lost, must=0))


def _decoded(votes: NDArray[np.uint32], names: Any) -> tuple[set[str], NDArray[np.float64]]:
    """By the reader's rules: names whose id stands in some rank with coverage, and Σ coverage of each pixel."""
    from pipeline.images import cryptomatte

    values = cryptomatte.matte(votes, names)
    ids = set(np.unique(np.ascontiguousarray(values[..., 0::2]).view(np.uint32)[values[..., 1::2] > 0]).tolist())
    return {name for name in names if cryptomatte.id_of(name) in ids}, values[..., 1::2].sum(-1)


def _seen(votes: NDArray[np.uint32], names: Any) -> set[str]:
    cast = np.maximum((votes > 0).sum(-1), 1)
    covered = {index: ((votes == index + 2).sum(-1) / cast).max() for index in range(len(names))}
    return {names[index] for index, most in covered.items() if most >= VISIBLE}


# --- Blur and filters ---------------------------------------------------------------------------------------------


def blur(results: Results, sizes: Sizes, subject: Subject) -> None:
    """A blurred frame against the mean of sharp ones."""
    from pipeline.render.passes import prepare
    from pipeline.scene.load import at_time

    program = _fast(subject, sizes.chi)
    still = frame_of(program, sizes.chi_spp)[1]
    repeats = [frame_of(program, sizes.chi_spp, seed=k, steps=sizes.steps)[1] for k in range(4)]
    ours = from_repeats([luminance(found.beauty) for found in repeats])
    mean, variance = np.zeros((2, sizes.chi[1], sizes.chi[0]))
    for k in range(sizes.instants):
        time = SHUTTER[0] + (SHUTTER[1] - SHUTTER[0]) * (k + 0.5) / sizes.instants
        program = prepare(at_time(program.fs, time), program)
        found = frame_of(program, max(sizes.chi_spp // 8, 4), seed=1000 + k)[1]
        mean += luminance(found.beauty) / sizes.instants
        variance += found.variance["beauty"] / sizes.instants**2
    # Stratified over time, a frame's own estimate of its variance is too large: that of the repeats is noisy, but true.
    theirs = Estimate(mean, variance)
    judged = agreement(Estimate(ours.mean, _smooth(ours.variance)), theirs, blocks=(9, 16))
    sharp = Estimate(luminance(still.beauty).astype(np.float64), still.variance["beauty"].astype(np.float64))
    without = agreement(sharp, theirs, blocks=(9, 16))
    told = (
        f"{sizes.chi[0]}×{sizes.chi[1]}, {sizes.steps} instants a frame, bias {judged.bias:+.2%} ± {judged.sigma:.2%}; "
        f"without blur p = {without.p:.1e}"
    )
    what = f"motion blur against the mean of {sizes.instants} sharp frames, χ² of 144 blocks: p"
    results.add(Row("blur.chi2", what, judged.p, must=1e-3, better="higher", note=told))


def _fast(subject: Subject, size: tuple[int, int]) -> Program:
    """The shot with a ball that flies, and a camera that turns by some pixels a frame."""
    ball = {1001: {"translate": [0, 0, 0]}, 1004: {"translate": [-0.5, 0, 1.0]}}
    turn = {
        1001: {"origin": [-0.46, 1.47, 2.54], "target": [0.1, 0.77, -1.6]},
        1004: {"origin": [-0.46, 1.47, 2.54], "target": [0.4, 0.77, -1.6]},
    }
    keys = {"shutter": list(SHUTTER), "animate": {"ball": ball}, "camera": {"fov": 54, "keyframes": turn}}
    return subject.program(size, subject.frames[1], **keys)


def _smooth(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of few repeats, over each pixel's neighbourhood."""
    from scipy.ndimage import uniform_filter

    smoothed: NDArray[np.float64] = uniform_filter(variance, 5, mode="nearest")
    return smoothed


def features_of_blur(results: Results, sizes: Sizes, subject: Subject) -> None:
    """Which features a denoiser does better with: means over the shutter, or those of its middle."""
    from pipeline.config.denoise import Denoise
    from pipeline.denoise.backends import backend
    from pipeline.denoise.frame import Frame
    from pipeline.images.metrics import smape
    from pipeline.images.viewing import to_display
    from pipeline.render.passes import prepare
    from pipeline.scene.load import at_time

    fast = _fast(subject, sizes.picture)
    truth = frame_of(fast, 16 * sizes.spp, seed=99, steps=sizes.steps)[1].beauty
    noisy = frame_of(fast, max(sizes.spp // 4, 2 * sizes.steps), steps=sizes.steps)[1]
    sharp = frame_of(prepare(at_time(fast.fs, sum(SHUTTER) / 2), fast), max(sizes.spp // 4, 2 * sizes.steps))[1]
    variance = {
        name: (noisy if name in ("beauty", "emission", "diffuse", "specular") else sharp).variance[name]
        for name in noisy.variance
    }
    middle = replace(noisy, albedo=sharp.albedo, normal=sharp.normal, depth=sharp.depth, variance=variance)
    denoiser = backend(Denoise(backend="oidn"))
    clean = [denoiser.denoise({0: Frame.of(each)}, 0, 1.0).beauty for each in (noisy, middle, sharp)]
    errors = [smape(each, truth) for each in clean[:2]]
    beside = np.concatenate([to_display(clean[2]), to_display(clean[0])], axis=1)
    results.picture(
        "blur", beside, "A ball that flies and a camera that turns: the shutter's middle, and blurred; denoised"
    )
    told = f"SMAPE {errors[0]:.4f} and {errors[1]:.4f}, oidn, a fast ball"
    results.add(
        Row(
            "blur.features",
            "error with features averaged over the shutter / with those of its middle",
            errors[0] / errors[1],
            note=told,
        )
    )


def filters(results: Results, sizes: Sizes, subject: Subject) -> None:
    """Filtered frames against Mitsuba's film with the same filter."""
    import mitsuba as mi

    width, height = sizes.chi
    for name in ("gaussian", "tent"):
        program = subject.program(sizes.chi, film={"filter": name})
        film = {
            "type": "hdrfilm",
            "width": width,
            "height": height,
            "sample_border": True,
            "component_format": "float32",
        }
        params = mi.traverse(program.fs.sensor)
        sensor = mi.load_dict(
            {
                "type": "perspective",
                "fov": float(np.array(params["x_fov"]).ravel()[0]),
                "to_world": mi.ScalarTransform4f(np.array(params["to_world"].matrix).reshape(4, 4)),
                "film": {**film, "filter": {"type": name}},
            }
        )

        def blocks(image: NDArray[Any]) -> NDArray[np.float64]:
            """Means of 9×16 blocks."""
            means: NDArray[np.float64] = (
                luminance(image).astype(np.float64).reshape(9, height // 9, 16, width // 16).mean((1, 3))
            )
            return means

        repeats = 12
        ours = np.array([blocks(frame_of(program, sizes.chi_spp, seed=k)[1].beauty) for k in range(repeats)])
        theirs = np.array(
            [
                blocks(
                    np.array(
                        mi.render(
                            program.fs.scene, sensor=sensor, integrator=program.fs.integrator, spp=sizes.chi_spp, seed=k
                        )
                    )[..., :3]
                )
                for k in range(repeats)
            ]
        )
        z = (ours.mean(0) - theirs.mean(0)) / np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / repeats)
        # Twice `repeats` − 1 degrees of freedom: t² of them is F.
        p = float(stats.kstest(z.ravel(), stats.t(2 * (repeats - 1)).cdf).pvalue)
        whole = float(ours.mean() / theirs.mean() - 1)
        told = f"{width}×{height}, {repeats} renders of {sizes.chi_spp} spp each; means apart by {whole:+.3%}"
        results.add(
            Row(
                f"filter.{name}",
                f"{name} filter against `mi.render`, 144 blocks: p",
                p,
                must=1e-3,
                better="higher",
                note=told,
            )
        )


def cost(results: Results, sizes: Sizes, subject: Subject) -> None:
    """What layers take, over a plain pass."""
    from pipeline.render.passes import render_pass

    plain = subject.program(sizes.speed)
    counts = np.full((plain.fs.height, plain.fs.width), sizes.speed_spp, np.uint32)
    start = np.zeros_like(counts)
    asked = {"lights": LIGHTS, "cryptomatte": ["object", "material", "asset"]}
    layered = subject.program(sizes.speed, layers=Wanted.model_validate(asked).model_dump(mode="json"))
    pairs = timed_pairs(
        lambda: render_pass(layered, counts, start, seed=0),
        lambda: render_pass(plain, counts, start, seed=0),
        pairs=sizes.pairs,
        warm_up=2,
    )
    found = median_ratio(pairs)
    told = f"{sizes.speed[0]}×{sizes.speed[1]}, {sizes.speed_spp} spp, median of {sizes.pairs} alternating pairs"
    what = "time of a pass with Cryptomatte and four light groups over a plain one"
    results.add(Row("layers.cost", what, found.value, must=1.25, interval=(found.low, found.high), note=told))


# --- Jobs and colour ----------------------------------------------------------------------------------------------


def reuse(results: Results) -> None:
    """Frames and samples that are added to a done job."""
    with tempfile.TemporaryDirectory() as folder:
        for key, what, twice, made in made_twice(Path(folder)):
            results.add(Row(f"reuse.{key}", f"{what}: products made twice", twice, must=0, note=f"{made} made anew"))


def colour(results: Results) -> None:
    """A chart that shines, rendered flat in ACEScg."""
    import mitsuba as mi
    import PyOpenColorIO as ocio

    from pipeline.scene import blobs
    from pipeline.scene.load import load
    from pipeline.scene.spec import SceneSpec

    chart = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mi.Bitmap(chart).write(str(folder / "chart.png"))
        texture = blobs.put(folder, folder / "chart.png")
        xml = blobs.put_text(folder, CHART.format(texture=texture), "xml")
        fs = load(SceneSpec(xml=xml, resolution=(60, 40), colour={"rendering": "acescg"}), 1, folder)
        seen = np.array(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=1))[5::10, 5::10, :3]
    wanted = (chart / 255.0).astype(np.float32)
    config = ocio.Config.CreateFromBuiltinConfig("cg-config-v2.1.0_aces-v1.3_ocio-v2.3")
    config.getProcessor("sRGB - Texture", "ACEScg").getDefaultCPUProcessor().applyRGB(wanted)
    turned = (wanted, wanted[::-1], wanted[:, ::-1], wanted[::-1, ::-1])  # whichever way the rectangle is seen
    apart = min(float(np.abs(seen - each).max()) for each in turned)
    results.add(
        Row(
            "colour.acescg", "a chart rendered flat in ACEScg against OpenColorIO, largest difference", apart, must=1e-3
        )
    )


if __name__ == "__main__":
    raise SystemExit(main("studio", TITLE, ABOUT, measure))
