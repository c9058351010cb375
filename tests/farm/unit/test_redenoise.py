"""Denoising a rendered version anew: from its sums, with its stops, without a sample. One tiny render serves all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from pipeline.config.farm import Farm
from pipeline.config.load import load_shot
from pipeline.denoise import weights
from pipeline.denoise.backends import Denoised
from pipeline.denoise.frame import frame_of
from pipeline.errors import ConfigError, FarmError, SceneError
from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes, recipes_rehearsal, redenoise, submission
from pipeline.farm.context import Context
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.products import Products
from pipeline.farm.recipes_frame import planned
from pipeline.farm.store import BLOBS, LocalStore
from pipeline.images import deliverable

pytestmark = pytest.mark.slow

ENVIRONMENT = {"variant": "llvm_ad_rgb", "key": "0123456789ab"}
SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="diffuse"/></shape></scene>"""
SHOT = """shot: tiny
scene: scene.xml
frames: 1-3
resolution: [16, 9]
sampling: {first_spp: 2, max_spp: 4, target_error: 0.0001, guide: error, max_depth: 3}
denoise: {backend: kpcn, lambda: 2, lambda_by_shape: {ball: 6}}
"""


class Recorder:
    """A denoiser that leaves everything as it is, but for a brightness of λ, and notes what it was asked."""

    name = "recorder"
    radius = 1

    def __init__(self) -> None:
        self.asked: dict[int, tuple[list[int], Any]] = {}

    @property
    def windows(self) -> dict[int, list[int]]:
        return {frame: window for frame, (window, _) in self.asked.items()}

    def denoise(self, window: Any, centre: int, lambda_: Any) -> Denoised:
        frame = frame_of(window, centre)
        self.asked[centre] = (sorted(window), lambda_)
        around = sum(frame_of(window, number).beauty for number in sorted(window))
        scale = lambda_[..., None] if isinstance(lambda_, np.ndarray) else lambda_
        diffuse = (scale * around).astype(np.float32)
        return Denoised(frame.component("emission"), diffuse, frame.component("specular"), frame.alpha)


class Judge:
    """An error predictor to which a change of brightness is an error."""

    def predict(self, frame: Any, denoised: np.ndarray, metric: str) -> np.ndarray:
        change = np.abs(denoised - frame.beauty).mean(axis=-1)
        return (change / (change + 1)).astype(np.float32)


@dataclass(frozen=True)
class Plain:
    """A frame, as far as the judge looks at it."""

    beauty: np.ndarray


def surround(patch: pytest.MonkeyPatch, folder: Path) -> Recorder:
    """Ships weights, lets the recorder take the network's place, and allows guides that need one."""
    recorder = Recorder()
    (folder / "weights").mkdir(parents=True)
    for name in ("fast", "error-fast"):
        (folder / "weights" / f"{name}.safetensors").write_bytes(b"numbers")
        (folder / "weights" / f"{name}.json").write_text('{"metrics": ["smape"]}')
    patch.setattr(weights, "directory", lambda: folder / "weights")
    patch.setattr("pipeline.farm.recipes_frame.backend", lambda config, cache: recorder)
    patch.setattr("pipeline.denoise.error.shipped_estimator", lambda preset, metric, name: Judge())
    patch.setattr("pipeline.config.load.require_available", lambda *_: None)
    return recorder


class Bench:
    """A store with a rendered version, and what makes the tasks of others."""

    def __init__(self, directory: Path, recorder: Recorder) -> None:
        self.directory, self.recorder = directory, recorder
        self.store = LocalStore(directory / "renders")

    def submit(self, **overrides: Any) -> Job:
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        shot = load_shot(str(self.directory / "shot.yaml"), dotted)
        (claimed,) = submission.claim_all(submission.prepare([shot], self.store, ENVIRONMENT), self.store)
        return claimed.job

    def prepare(self, base: str = "tiny.v001", /, **overrides: Any) -> submission.Prepared:
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        return redenoise.prepare(jobs.load(self.store, base), self.store, dotted, ENVIRONMENT)

    def redenoise(self, base: str = "tiny.v001", /, **overrides: Any) -> Job:
        (claimed,) = submission.claim_all([self.prepare(base, **overrides)], self.store)
        return claimed.job

    def run(self, job: Job) -> list[str]:
        """Makes everything that is missing; the tasks in the order in which they were done."""
        context = Context(blobs=self.store.path(BLOBS), farm=Farm(feature_cache_bytes=0))
        products, done = self.products(job), list[str]()
        while tasks := plan.runnable(planned(job, products), products):
            for task in tasks:
                assert products.publish(task, *recipes.make(task, job, products, context))
                done.append(task)
        return done

    def products(self, job: Job | None = None) -> Products:
        return Products(self.store, job or jobs.load(self.store, "tiny.v001"))

    def page(self, job: Job, frame: int) -> deliverable.Deliverable:
        return deliverable.read(self.store.root / job.directory / f"frames/tiny.{names.frame_text(frame)}.exr")

    def paint(self, values: np.ndarray) -> str:
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Y": values.astype(np.float32)}).write(str(self.directory / "map.exr"))
        return str(self.directory / "map.exr")


def kinds(tasks: list[str]) -> set[str]:
    return {names.parse(task).kind for task in tasks}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the shot and its first version. To be copied, not to be changed."""
    directory = tmp_path_factory.mktemp("rendered")
    (directory / "scene.xml").write_text(SCENE)
    (directory / "shot.yaml").write_text(SHOT)
    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(directory, surround(patch, tmp_path_factory.mktemp("shipped")))
        bench.run(bench.submit())
        for frame, (_, lambda_) in bench.recorder.asked.items():
            np.save(directory / f"lambda.{frame}.npy", lambda_)
    yield directory


@pytest.fixture
def bench(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    shutil.copytree(rendered, tmp_path / "shot")
    return Bench(tmp_path / "shot", surround(monkeypatch, tmp_path))


def test_the_lambda_of_a_shape_reaches_the_denoiser_and_the_deliverable(bench: Bench) -> None:
    first = jobs.load(bench.store, "tiny.v001")
    page = bench.page(first, 2)
    asked = np.load(bench.directory / "lambda.2.npy")

    assert set(np.unique(asked)) == {2.0, 6.0} and asked[4, 8] == 6.0 and asked[0, 0] == 2.0
    np.testing.assert_array_equal(page.layers["lambda"], asked)
    assert page.lambda_ == pytest.approx(asked.mean()) and 2.0 < page.lambda_ < 6.0
    assert bench.products().facts(names.denoised(2, 1))["lambda"] == [2.0, 6.0]


def test_drafts_guide_the_rounds_and_the_delivered_picture_is_judged_anew(bench: Bench) -> None:
    job = bench.submit(denoise__intermediate_radius=0)
    tasks, products = bench.run(job), bench.products(job)

    drafts = [task for task in tasks if names.parse(task).kind == "draft"]
    assert sorted(drafts) == sorted(names.draft(frame, r) for frame in (1, 2, 3) for r in (0, 1))
    assert products.facts(names.draft(2, 0))["window"] == products.facts(names.draft(2, 1))["window"] == [2]
    assert products.facts(names.denoised(2, 1))["window"] == [1, 2, 3] and not products.exists(names.denoised(2, 0))
    whole = products.read(names.denoised(2, 1)).arrays
    page = bench.page(job, 2)
    judged = Judge().predict(Plain(page.layers["noisy"]), whole["emission"] + whole["diffuse"] + whole["specular"], "")
    np.testing.assert_allclose(page.layers["error"], judged, rtol=1e-2)
    draft = products.facts(names.error(2, 1))["mean"]
    assert products.facts(names.frame_product(2))["mean"] == pytest.approx(judged.mean(), rel=1e-2) != draft


def test_another_lambda_is_denoised_without_a_sample(bench: Bench) -> None:
    job = bench.redenoise(denoise__lambda=4.0)
    tasks = bench.run(job)

    assert (job.id, job.config["denoise"]["lambda"]) == ("tiny.v002", 4.0)
    assert kinds(tasks) == {"denoised", "error", "frames", "report"}
    assert not any(bench.store.list(f"{job.directory}/{kind}") for kind in ("samples", "passes", "buffers", "stop"))
    page = bench.page(job, 1)
    assert set(np.unique(page.layers["lambda"])) == {4.0, 6.0}
    assert page.lambda_ == pytest.approx(page.layers["lambda"].mean())
    first = jobs.load(bench.store, "tiny.v001")
    for frame in (1, 2, 3):
        before, after = bench.page(first, frame).layers, bench.page(job, frame).layers
        np.testing.assert_array_equal(before["noisy"], after["noisy"])
        assert not np.array_equal(before["diffuse"], after["diffuse"])


def test_the_stops_are_those_of_the_rendered_version_although_denoised_pictures_guide(bench: Bench) -> None:
    job = bench.redenoise(denoise__lambda=4.0)
    bench.run(job)

    assert job.denoises_every_round
    for frame in (1, 2, 3):
        stop = names.stop(frame)
        assert bench.products(job).facts(stop) == bench.products().facts(stop)
    report = json.loads((bench.store.root / job.directory / "report.json").read_text())
    assert report["replays"] == "tiny.v001"
    assert [entry["error"] is None for entry in report["frames"]["1"]["rounds"]] == [True, False]


def test_only_the_last_round_is_denoised(bench: Bench) -> None:
    tasks = bench.run(bench.redenoise(denoise__lambda=4.0))

    assert [task for task in tasks if names.parse(task).kind == "denoised"] == [names.denoised(f, 1) for f in (1, 2, 3)]


def test_the_same_again_is_the_same_version_and_goes_back_to_the_one_that_rendered(bench: Bench) -> None:
    first = bench.redenoise(denoise__lambda=4.0)
    again = bench.redenoise(denoise__lambda=4.0)
    from_it = bench.redenoise(first.id, denoise__lambda=4.0)
    other = bench.redenoise(first.id, denoise__lambda=5.0)

    assert first.id == again.id == from_it.id == "tiny.v002"
    assert other.id == "tiny.v003" and other.replay is not None and other.replay.job == "tiny.v001"
    assert kinds(bench.run(other)) == {"denoised", "error", "frames", "report"}


def test_a_part_of_the_frames_reads_its_neighbours_from_the_whole(bench: Bench) -> None:
    whole, part = bench.redenoise(denoise__lambda=4.0), bench.redenoise(denoise__lambda=5.0, frames="2")
    bench.run(whole)
    bench.run(part)

    assert part.frames == (2,)
    assert bench.recorder.asked[2][0] == [1, 2, 3]
    assert not bench.products(part).facts(names.frame_product(2))["degraded"]
    assert list((bench.store.root / part.directory / "frames").glob("*.exr")) == [
        bench.store.root / part.directory / "frames/tiny.0002.exr"
    ]


def test_another_window_is_read(bench: Bench) -> None:
    bench.run(bench.redenoise(denoise__temporal_radius=0))
    assert bench.recorder.windows == {1: [1], 2: [2], 3: [3]}
    bench.run(bench.redenoise(denoise__temporal_radius=2))
    assert bench.recorder.windows == {1: [1, 2, 3], 2: [1, 2, 3], 3: [1, 2, 3]}


def test_other_weights_are_another_version(bench: Bench) -> None:
    first = bench.redenoise()
    (weights.directory() / "fast.safetensors").write_bytes(b"better numbers")
    second = bench.redenoise()

    assert (first.id, second.id) == ("tiny.v002", "tiny.v003")
    assert first.weights != second.weights and first.rendering_key == second.rendering_key == ENVIRONMENT["key"]


def test_a_worker_whose_weights_were_changed_under_it_makes_nothing(bench: Bench) -> None:
    job = bench.redenoise(denoise__lambda=4.0)
    (weights.directory() / "fast.safetensors").write_bytes(b"better numbers")

    with pytest.raises(Exception, match="weights of fast were changed"):
        bench.run(job)


def test_a_painted_map_reaches_the_denoiser_under_the_shapes(bench: Bench) -> None:
    painted = np.linspace(0.0, 12.0, 16 * 9).reshape(9, 16)
    job = bench.redenoise(denoise__lambda_map=bench.paint(painted))
    (bench.directory / "map.exr").unlink()
    bench.run(job)
    asked = bench.recorder.asked[2][1]

    assert asked[0, 0] == 1.0 and asked[8, 15] == 10.0 and asked[4, 8] == 6.0
    np.testing.assert_array_equal(bench.page(job, 2).layers["lambda"], asked)


def test_a_map_that_says_one_number_is_given_as_a_number(bench: Bench) -> None:
    bench.run(bench.redenoise(denoise__lambda_map=bench.paint(np.full((9, 16), 6.0))))

    assert bench.recorder.asked[2][1] == 6.0 and isinstance(bench.recorder.asked[2][1], float)


def test_a_map_is_left_out_again(bench: Bench) -> None:
    job = bench.redenoise(denoise__lambda_map=bench.paint(np.full((9, 16), 6.0)))
    kept = bench.prepare(job.id, denoise__lambda=3.0)
    without = bench.prepare(job.id, denoise__lambda=3.0, denoise__lambda_map=None)

    assert kept.warnings == (
        "tiny: the λ map of tiny.v002 stands in place of --lambda; --lambda-map none leaves it out",
    )
    assert kept.frozen.config["denoise"]["lambda_map"] == job.config["denoise"]["lambda_map"]
    assert without.warnings == () and without.frozen.config["denoise"]["lambda_map"] is None


def test_a_map_of_another_size_is_refused_with_both_sizes(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"denoise\.lambda_map: the λ map is 8×9 pixels, the frame 16×9$"):
        bench.prepare(denoise__lambda_map=bench.paint(np.ones((9, 8))))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"denoise__lambda": 99.0}, "--lambda: denoise.lambda: must be at most 10, not 99.0"),
        ({"denoise__backend": "kpnc"}, "--backend: denoise.backend: must be"),
        ({"denoise__lambda_map": "nowhere.exr"}, "--lambda-map: denoise.lambda_map: λ map nowhere.exr does not exist"),
        ({"frames": "2-5"}, "frames: tiny.v001 has no frames 4-5 (it has 1-3)"),
    ],
)
def test_bad_input_is_one_line_and_claims_nothing(bench: Bench, overrides: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bench.prepare(**overrides)
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)
    assert jobs.jobs(bench.store) == ["tiny.v001"]


def lose(bench: Bench, name: str) -> None:
    bench.store.delete(f"tiny/v001/{name}")


def test_a_version_whose_buffers_were_deleted_is_refused(bench: Bench) -> None:
    lose(bench, names.buffers(3, 1))

    with pytest.raises(ConfigError, match=r"^tiny\.v001 has no buffers of frame 3 any more \(pipeline submit renders"):
        bench.prepare(denoise__lambda=4.0)
    with pytest.raises(ConfigError, match="has no buffers of frame 3 any more"):
        bench.prepare(denoise__lambda=4.0, frames="2")
    assert bench.prepare(denoise__lambda=4.0, frames="1").shot.frame_list == [1]


def test_a_frame_that_is_not_rendered_to_the_end_is_refused(bench: Bench) -> None:
    lose(bench, names.stop(2))

    with pytest.raises(ConfigError, match=r"tiny\.v001 has not rendered frame 2 to the end"):
        bench.prepare(denoise__lambda=4.0)


def test_a_frame_that_could_not_be_made_is_refused_and_its_neighbours_go_without_it(bench: Bench) -> None:
    for name in (names.stop(3), names.buffers(3, 0), names.buffers(3, 1)):
        lose(bench, name)
    bench.store.create(f"tiny/v001/{names.absent(3)}", b"{}")

    with pytest.raises(ConfigError, match=r"tiny\.v001 could not make frame 3 \(leave them out with --frames\)"):
        bench.prepare(denoise__lambda=4.0)
    job = bench.redenoise(denoise__lambda=4.0, frames="1-2")
    bench.run(job)
    assert bench.recorder.asked[2][0] == [1, 2]
    assert bench.products(job).facts(names.frame_product(2))["degraded"]


def test_what_is_lost_later_is_not_rendered_either(bench: Bench) -> None:
    job = bench.redenoise(denoise__lambda=4.0)
    lose(bench, names.buffers(2, 1))

    with pytest.raises(FarmError, match=r"tiny\.v001, which tiny\.v002 denoises anew, has lost what this is made of"):
        bench.run(job)
    assert not bench.store.list(f"{job.directory}/passes")


def test_a_rehearsal_is_refused(bench: Bench) -> None:
    frozen = Frozen({}, recipes_rehearsal.environment(), engine="rehearsal", rehearsal=Rehearsal())
    job, _ = jobs.claim(bench.store, "r", frozen, frames=[1])

    with pytest.raises(ConfigError, match=r"r\.v001 is a rehearsal"):
        bench.prepare(job.id)


def test_a_lambda_for_a_shape_that_no_scene_has_is_refused_at_submit(bench: Bench) -> None:
    told = r"tiny: denoise\.lambda_by_shape\.bal: no shape of the scene has this id \(did you mean ball\?\)"
    with pytest.raises(SceneError, match=told):
        bench.submit(denoise__lambda_by_shape={"bal": 3.0})
