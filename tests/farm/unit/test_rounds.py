"""Rounds in one process: the pictures and sample maps of the farm, an oracle's references, and where frames stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.config.load import load_shot
from pipeline.denoise.guides import Noisy, Oracle
from pipeline.denoise.passthrough import Passthrough
from pipeline.errors import AssetError
from pipeline.farm import names, plan, recipes, rounds, submission
from pipeline.farm.context import Context
from pipeline.farm.job import Job
from pipeline.farm.limits import Limits
from pipeline.farm.products import Products
from pipeline.farm.recipes_frame import planned
from pipeline.farm.references import read_reference
from pipeline.farm.rounds import Course, Render, Round
from pipeline.farm.store import BLOBS, LocalStore
from pipeline.images.false_colour import Scale, colours

pytestmark = pytest.mark.slow

ENVIRONMENT = {"variant": "llvm_ad_rgb", "key": "0123456789ab"}
SIZE = (9, 16)
SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="diffuse"/></shape></scene>"""
SHOT = """shot: tiny
scene: scene.xml
frames: 1-2
resolution: [16, 9]
sampling:
  {first_spp: 2, max_spp: 8, target_error: 0.0001, guide: oracle, reference: truth.%04d.exr, max_depth: 3, seed: 4,
   importance: mask.png}
denoise: {backend: none}
"""


def truth(frame: int, shape: tuple[int, int] = SIZE) -> np.ndarray:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.repeat(((x > 4 * frame) * 0.3 + 0.1 + 0 * y)[..., None], 3, axis=-1).astype(np.float32)


def paint(path: Path, picture: np.ndarray) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {name: np.ascontiguousarray(picture[..., k]) for k, name in enumerate("RGB")}
    OpenEXR.File(header, channels).write(str(path))


MASK = np.where(np.arange(SIZE[1]) < 4, 0, 255).astype(np.uint8)[None].repeat(SIZE[0], axis=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot with references, whose left side is of no importance."""
    folder = tmp_path_factory.mktemp("shot")
    Image.fromarray(MASK).save(folder / "mask.png")
    (folder / "scene.xml").write_text(SCENE)
    (folder / "shot.yaml").write_text(SHOT)
    for frame in (1, 2, 3):
        paint(folder / f"truth.{frame:04d}.exr", truth(frame))
    return folder


def prepared(folder: Path, store: LocalStore, **overrides: Any) -> submission.Prepared:
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    (made,) = submission.prepare([load_shot(str(folder / "shot.yaml"), dotted)], store, ENVIRONMENT)
    return made


@pytest.fixture(scope="module")
def farmed(folder: Path) -> tuple[LocalStore, Job]:
    """The shot, made by the recipes of the farm."""
    store = LocalStore(folder / "renders")
    (claimed,) = submission.claim_all([prepared(folder, store)], store)
    job, products = claimed.job, Products(store, claimed.job)
    context = Context(blobs=store.path(BLOBS))
    while tasks := plan.runnable(planned(job, products), products):
        for task in tasks:
            products.publish(task, *recipes.make(task, job, products, context))
    return store, job


def renders(store: LocalStore, job: Job) -> Render:
    """Takes samples of the job's frozen scenes."""
    from pipeline.device import set_variant

    set_variant(ENVIRONMENT["variant"])
    from pipeline.render.passes import Layers, prepare, render_pass
    from pipeline.scene import spec
    from pipeline.scene.load import load

    blobs = store.path(BLOBS)
    assert blobs is not None
    programs = {frame: prepare(load(spec.of(job.config, job.scenes, frame), frame, blobs)) for frame in job.frames}

    def render(frame: int, counts: Any, start: Any, r: int) -> Any:
        return render_pass(programs[frame], counts, start, seed=4, layers=Layers.COLOUR if r else Layers.ALL)

    return render


def test_they_are_the_rounds_of_the_farm(farmed: tuple[LocalStore, Job]) -> None:
    store, job = farmed
    products = Products(store, job)
    oracle = Oracle(lambda frame, shape: truth(frame, shape))
    course = Course(Limits.of(job), oracle, Passthrough(), importance=MASK / 255, seed=4)
    made: list[Round] = list(rounds.run(job.frames, SIZE, renders(store, job), course))

    assert [(one.number, one.frame, one.spp, one.reason) for one in made] == [
        *[(r, frame, 2.0 * 2**r, "max_spp" if r == 2 else "") for r in range(3) for frame in (1, 2)]
    ]
    for one in made:
        np.testing.assert_array_equal(one.samples, products.read(names.samples(one.frame, one.number)).arrays["map"])
        judged = products.read(names.error(one.frame, one.number))
        np.testing.assert_array_equal(one.judged.error, judged.arrays["error"])
        assert one.judged.mean == judged.facts["mean"] and one.judged.p99 == judged.facts["p99"]
    assert made[2].samples[:, :4].max() == 0 < made[2].samples[:, 4:].max() > made[2].samples[:, 4:].min()
    last = products.read(names.denoised(2, 2)).arrays
    assert made[-1].delivered is not None
    np.testing.assert_array_equal(made[-1].delivered.diffuse, last["diffuse"])
    assert made[-1].seconds.render > 0 and made[0].delivered is None


def flat(noise: dict[int, float]) -> Render:
    """Grey frames whose samples all are alike, but for one half."""
    from pipeline.render.channels import COLOUR, COUNT, FEATURES
    from pipeline.render.moments import Moments

    def render(frame: int, counts: Any, start: Any, r: int) -> Moments:
        n = counts.reshape(-1, 1).astype(np.float32)
        sums = {block.name: np.zeros((n.size, block.channels), np.float32) for block in (*COUNT, *COLOUR, *FEATURES)}
        sums["half_b"] = np.zeros_like(sums["half_a"])
        sums["count"] = np.concatenate([np.ceil(n / 2), np.floor(n / 2)], axis=1)
        sums["half_a"][:, 3:6] = sums["count"][:, :1]
        sums["half_b"][:, 3:6] = sums["count"][:, 1:]
        sums["squares"][:] = n * (1.0 + noise[frame])
        sums["feature_count"] = n
        return Moments(SIZE[1], SIZE[0], 0, n.size, sums)

    return render


class Counting:
    """A denoiser that leaves frames as they are, and notes the windows that it was given."""

    name, radius = "counting", 1

    def __init__(self) -> None:
        self.windows: list[tuple[int, list[int], set[str]]] = []

    def denoise(self, window: Any, centre: int, lambda_: Any) -> Any:
        self.windows.append((centre, sorted(window), {window.digest(n) for n in window}))
        return Passthrough().denoise(window, centre, lambda_)


def test_a_frame_at_its_target_stops_and_serves_its_neighbours() -> None:
    denoiser = Counting()
    course = Course(Limits(4, 16, target_error=0.1), Noisy(steers=False), denoiser)
    made = list(rounds.run([1, 2], SIZE, flat({1: 0.01, 2: 9.0}), course))

    assert [(one.frame, one.number, one.reason) for one in made] == [
        (1, 0, "target"), (2, 0, ""), (2, 1, ""), (2, 2, "max_spp"),
    ]  # fmt: skip
    assert [(centre, window) for centre, window, _ in denoiser.windows] == [(1, [1, 2]), (2, [1, 2])]
    assert len(denoiser.windows[0][2] | denoiser.windows[1][2]) == 3  # frame 1 is the same in both, frame 2 is not


def test_pictures_for_the_guide_alone_may_see_fewer_neighbours() -> None:
    denoiser = Counting()
    oracle = Oracle(lambda frame, shape: np.zeros((*shape, 3), np.float32))
    course = Course(Limits(4, 8, target_error=1e-6), oracle, denoiser, draft_radius=0)
    made = list(rounds.run([1, 2], SIZE, flat({1: 1.0, 2: 1.0}), course))

    assert len(made) == 4 and all(one.denoised is not None for one in made)
    assert [window for _, window, _ in denoiser.windows] == [[1], [2], [1], [1, 2], [2], [1, 2]]
    with pytest.raises(ValueError, match="budget"):
        next(rounds.run([1], SIZE, flat({1: 1.0}), Course(Limits(4, 8, budget_spp=6), oracle, denoiser)))


# --- Looking at them --------------------------------------------------------------------------------------------------


def test_every_round_can_be_looked_at(farmed: tuple[LocalStore, Job], tmp_path: Path, capsys: Any) -> None:
    store, job = farmed
    out = ["--out", store.url, "--to", str(tmp_path)]
    assert main.run(["maps", "tiny", "--frame", "2", *out]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"tiny.0002.r0{r}.{suffix}" for r in range(3) for suffix in ("exr", "png")
    ]
    with OpenEXR.File(str(tmp_path / "tiny.0002.r02.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.parts[0].channels.items()}
    assert channels["samples.Y"].mean() == 8 and channels["round.Y"].mean() == 4
    error = Products(store, job).read(names.error(2, 2)).arrays["error"]
    np.testing.assert_array_equal(channels["error.Y"], error)

    assert main.run(["maps", "tiny", *out, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.split("\n", 1)[1])["maps"]) == 12
    assert main.run(["maps", "tiny", "--frame", "7", *out]) == 2
    assert capsys.readouterr().err.strip() == "pipeline: --frame: tiny.v001 has no frame 7"


def test_scales_keep_the_order_of_values() -> None:
    values = np.geomspace(1.0, 64.0, 50)
    for scale in (Scale(0.0, 64.0), Scale(1.0, 64.0, logarithmic=True)):
        bright = colours(values[None], scale).astype(int).sum(axis=-1)[0]
        assert (np.diff(bright) >= 0).all() and bright[-1] > bright[0] + 300
        assert scale.value(float(scale.position(np.array(8.0)))) == pytest.approx(8.0)
    assert (colours(np.ones((2, 2)), Scale(1.0, 1.0)) >= 0).all()


# --- References -------------------------------------------------------------------------------------------------------


def test_references_are_frozen_with_every_frame_that_there_is(folder: Path, farmed: tuple[LocalStore, Job]) -> None:
    store, job = farmed
    blobs, frozen = store.path(BLOBS), job.config["sampling"]["reference"]
    assert blobs is not None

    np.testing.assert_array_equal(read_reference(blobs, frozen, 3, SIZE), truth(3))
    one = prepared(folder, store, frames="1")
    assert one.frozen.config["sampling"]["reference"] == frozen
    assert prepared(folder, store, sampling__guide="variance").frozen.config["sampling"]["reference"] is None
    with pytest.raises(AssetError, match="there was none of frame 9"):
        read_reference(blobs, frozen, 9, SIZE)
    with pytest.raises(AssetError, match=r"is 16×9 pixels, the frame 8×8"):
        read_reference(blobs, frozen, 1, (8, 8))


def test_a_reference_of_another_size_or_without_colour_is_refused(folder: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    paint(tmp_path / "small.exr", truth(1, (5, 7)))
    with pytest.raises(AssetError, match=r"sampling\.reference: the picture is 7×5 pixels, the frame 16×9"):
        prepared(folder, store, sampling__reference=str(tmp_path / "small.exr"))
    (tmp_path / "bad.exr").write_text("no picture")
    with pytest.raises(AssetError, match=r"bad\.exr: not a readable EXR"):
        prepared(folder, store, sampling__reference=str(tmp_path / "bad.exr"))
