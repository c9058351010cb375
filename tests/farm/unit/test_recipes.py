"""A whole tiny job, task by task in one process: what the recipes make, and that it is the same however it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.config.farm import Farm
from pipeline.config.load import load_shot
from pipeline.errors import ProductError
from pipeline.farm import names, plan, product, recipes, submission
from pipeline.farm.context import Cancelled, Context
from pipeline.farm.job import Job
from pipeline.farm.products import Products, validate
from pipeline.farm.recipes_frame import planned
from pipeline.farm.store import BLOBS, LocalStore
from pipeline.images import deliverable
from pipeline.render.moments import Moments, combine

pytestmark = pytest.mark.slow

ENVIRONMENT = {"variant": "llvm_ad_rgb", "key": "0123456789ab"}
WIDTH, HEIGHT = 32, 18
SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="roughplastic"/></shape>
<shape type="rectangle" id="lamp"><transform name="to_world"><rotate x="1" angle="60"/><translate y="1.2" z="-1"/>
</transform><emitter type="area"><rgb name="radiance" value="4"/></emitter></shape></scene>"""
SHOT = """shot: tiny
scene: scene.xml
frames: 1-2
resolution: [32, 18]
animate: {ball: {1: {translate: [0, 0, 0]}, 2: {translate: [0.2, 0, 0]}}}
sampling: {first_spp: 4, max_spp: 16, target_error: 0.0001, guide: variance, max_depth: 4}
denoise: {backend: none}
"""


class Bench:
    """Submits the shot, and makes what the plan says in one process."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.store = directory, LocalStore(directory / "renders")
        (directory / "scene.xml").write_text(SCENE)
        (directory / "shot.yaml").write_text(SHOT)

    def submit(self, **overrides: Any) -> Job:
        """Claims a version, with values by dotted key laid over the shot."""
        dotted = {key.replace("__", "."): value for key, value in overrides.items()}
        shot = load_shot(str(self.directory / "shot.yaml"), dotted)
        (claimed,) = submission.claim_all(submission.prepare([shot], self.store, ENVIRONMENT), self.store)
        return claimed.job

    def context(self, **farm: Any) -> Context:
        return Context(blobs=self.store.path(BLOBS), farm=Farm(**farm))

    def run(
        self, job: Job, *, turn: Callable[[list[str]], list[str]] = list, limit: int | None = None, **farm: Any
    ) -> list[str]:
        """Makes everything that is missing; the tasks in the order in which they were done."""
        context, products, done = self.context(**farm), Products(self.store, job), list[str]()
        while tasks := plan.runnable(planned(job, products), products):
            for task in turn(tasks):
                made = recipes.make(task, job, products, context)
                assert products.publish(task, *made)
                done.append(task)
                if len(done) == limit:
                    return done
        return done

    def pixels(self, job: Job) -> dict[int, dict[str, np.ndarray]]:
        """What the deliverables show."""
        folder = self.store.root / job.directory / "frames"
        return {f: dict(deliverable.read(folder / f"tiny.{names.frame_text(f)}.exr").layers) for f in job.frames}


def same(a: dict[int, dict[str, np.ndarray]], b: dict[int, dict[str, np.ndarray]]) -> bool:
    return all(np.array_equal(a[frame][layer], b[frame][layer]) for frame in a for layer in a[frame])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Job, list[str]]:
    """A job that was run to its end, and its tasks. Not to be changed."""
    bench = Bench(tmp_path_factory.mktemp("done"))
    job = bench.submit()
    return bench, job, bench.run(job)


def test_three_rounds_of_two_frames_make_these_products(done) -> None:
    _, _, tasks = done
    kinds = [names.parse(task).kind for task in tasks]

    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        **{"samples": 8, "passes": 6, "buffers": 6, "error": 6},
        **{"stop": 2, "denoised": 2, "frames": 2, "report": 1},
    }
    assert tasks[-1] == names.REPORT


def test_every_product_is_fit_to_be_published_and_reads_back(done) -> None:
    bench, job, tasks = done
    for task in tasks:
        validate(task, Products(bench.store, job).read(task))


def test_samples_double_from_round_to_round_up_to_the_cap(done) -> None:
    bench, job, _ = done
    products = Products(bench.store, job)
    plans = [products.read(names.samples(1, r)) for r in range(4)]

    assert [p.facts["samples"] for p in plans] == [n * WIDTH * HEIGHT for n in (4, 4, 8, 0)]
    assert plans[3].facts["reason"] == "max_spp" and plans[3].facts["slices"] == 0
    assert products.facts(names.stop(1))["round"] == 2
    assert plans[2].arrays["map"].max() > 2 * plans[2].arrays["map"].min()
    np.testing.assert_array_equal(plans[2].arrays["start"], plans[0].arrays["map"] + plans[1].arrays["map"])


def test_the_sums_hold_the_samples_of_all_rounds(done) -> None:
    bench, job, _ = done
    made = Products(bench.store, job).read(names.buffers(2, 2))
    frame = combine(Moments.from_arrays(made.arrays))

    assert frame.count.sum() == made.facts["samples"] == 16 * WIDTH * HEIGHT
    assert made.facts["dropped"] == made.facts["clipped"] == 0
    assert made.facts["splits"] and made.facts["shapes"] == ["ball", "lamp"]
    assert set(np.unique(frame.ids)) == {0, 1, 2}
    assert np.abs(frame.backward).max() > 0.5 and not np.abs(frame.forward).max() > 1e-3


def test_the_deliverable_says_what_it_is_and_shows_the_frame(done) -> None:
    bench, job, _ = done
    products = Products(bench.store, job)
    facts = products.facts(names.frame_product(1))
    path = bench.store.root / job.directory / facts["exr"]
    found = deliverable.read(path)
    frame = combine(Moments.from_arrays(products.read(names.buffers(1, 2)).arrays))

    assert path.name == "tiny.0001.exr"
    assert (found.shot, found.frame, found.job_hash) == ("tiny", 1, job.hash)
    assert found.samples_per_pixel == 16 and found.shape == (HEIGHT, WIDTH)
    np.testing.assert_allclose(found.beauty, frame.beauty, rtol=1e-3)
    np.testing.assert_array_equal(found.layers["variance"], frame.variance["beauty"])
    assert found.world_to_camera is not None and found.world_to_ndc is not None
    with Image.open(bench.store.root / job.directory / facts["png"]) as picture:
        assert picture.size == (WIDTH, HEIGHT)


def test_the_manifest_has_proxies_and_the_review_page_stands_beside_the_movie(done) -> None:
    bench, job, _ = done
    folder = bench.store.root / job.directory
    made = Products(bench.store, job).read(names.frame_product(1))
    layers = bench.pixels(job)[1]

    assert made.facts["size"] == [WIDTH, HEIGHT]
    assert np.array_equal(made.arrays["beauty"], layers["beauty"])  # so small a frame is its own proxy
    assert np.array_equal(made.arrays["samples"][..., 0], layers["samples"])
    assert "data:text/javascript" in (folder / "review" / "index.html").read_text()
    document = json.loads((folder / "review/data/document.js").read_text().partition(", ")[2].removesuffix(");\n"))
    assert (document["state"], len(document["frames"])) == ("done", 2)
    assert sorted(file.name for file in (folder / "review/data/2").iterdir()) == ["layers.js", "thumbnail.jpg"]


def test_report_and_contact_sheet_speak_of_all_frames(done) -> None:
    bench, job, _ = done
    folder = bench.store.root / job.directory
    report = json.loads((folder / "report.json").read_text())

    assert report["state"] == "done" and sorted(report["frames"]) == ["1", "2"]
    assert report["samples"] == 2 * 16 * WIDTH * HEIGHT
    assert [entry["spp"] for entry in report["frames"]["1"]["rounds"]] == [4, 8, 16]
    assert report["frames"]["1"]["rounds"][2]["error"] < report["frames"]["1"]["rounds"][0]["error"]
    assert report["above_target"] == [1, 2]
    with Image.open(folder / "review" / "contact_sheet.png") as sheet:
        assert sheet.width > 2 * WIDTH


def test_a_finished_job_has_nothing_left_to_do(done) -> None:
    bench, job, _ = done
    assert bench.run(job) == []
    assert plan.is_done(planned(job, Products(bench.store, job)), Products(bench.store, job))


def test_another_order_other_slices_and_smaller_waves_give_the_same_pixels(bench: Bench, done) -> None:
    first, job, _ = done
    other = bench.submit()
    slicing = {"target_task_seconds": 1, "assumed_samples_per_second": 500, "min_slice_samples": 500}
    tasks = bench.run(other, turn=lambda tasks: tasks[::-1], wave_samples=1024, **slicing)

    assert "passes/0001/r00.s02" in tasks
    assert other.hash == job.hash
    assert same(first.pixels(job), bench.pixels(other))


VICTIMS = ["samples/0001/r01", "passes/0001/r01.s00", "buffers/0001/r00", "rounds/0001/r02/error"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_damaged_product_is_moved_aside_and_made_anew(bench: Bench, done, victim: str) -> None:
    first, original, tasks = done
    job = bench.submit()
    bench.run(job, limit=tasks.index(victim) + 1)
    path = bench.store.root / job.directory / victim
    path.write_bytes(path.read_bytes()[:-1])
    again = run_through_damage(bench, job)

    assert victim in again
    assert len(bench.store.list("damaged")) == 1
    assert same(first.pixels(original), bench.pixels(job))


def run_through_damage(bench: Bench, job: Job) -> list[str]:
    """As `Bench.run`; a task that meets a damaged input is planned again, as a worker's is."""
    context, products, done = bench.context(), Products(bench.store, job), list[str]()
    for _ in range(100):
        tasks = plan.runnable(planned(job, products), products)
        if not tasks:
            return done
        try:
            made = recipes.make(tasks[0], job, products, context)
        except ProductError:
            continue
        products.publish(tasks[0], *made)
        done.append(tasks[0])
    raise AssertionError("the job does not come to an end")


def test_another_lambda_is_a_version_that_renders_nothing(bench: Bench) -> None:
    first = bench.submit()
    bench.run(first)
    second = bench.submit(denoise__lambda=2.0)
    tasks = bench.run(second)

    assert second.version == 2
    assert {names.parse(task).kind for task in tasks} == {"denoised", "frames", "report"}
    assert deliverable.read(bench.store.root / second.directory / "frames/tiny.0001.exr").lambda_ == 2.0
    np.testing.assert_array_equal(bench.pixels(first)[1]["noisy"], bench.pixels(second)[1]["noisy"])


def test_a_lower_target_goes_on_from_the_rounds_that_are_there(bench: Bench) -> None:
    first = bench.submit(sampling__max_spp=8)
    bench.run(first)
    second = bench.submit(sampling__max_spp=16)
    tasks = bench.run(second)

    assert [task for task in tasks if names.parse(task).kind == "passes"] == [
        "passes/0001/r02.s00",
        "passes/0002/r02.s00",
    ]


def test_a_frame_that_reaches_its_target_stops_there(bench: Bench) -> None:
    job = bench.submit(sampling__target_error=0.5)
    bench.run(job)
    facts = Products(bench.store, job).facts(names.stop(1))
    assert (facts["round"], facts["reason"]) == (0, "target")


def test_frames_share_a_budget_to_the_last_sample(bench: Bench) -> None:
    job = bench.submit(sampling__budget_spp=10)
    tasks = bench.run(job)
    products = Products(bench.store, job)
    report = json.loads((bench.store.root / job.directory / "report.json").read_text())

    assert tasks.index("budget/r01") > tasks.index("rounds/0002/r00/error")
    assert report["samples"] == 2 * 10 * WIDTH * HEIGHT
    assert {page["reason"] for page in report["frames"].values()} == {"budget"} and report["above_target"] == [1, 2]
    assert products.facts("budget/r01")["frames"]["1"]["rate"] > 0.0


def test_rounds_are_combined_without_bias_where_the_shot_asks_for_it(bench: Bench) -> None:
    job = bench.submit(sampling__combination="unbiased")
    bench.run(job)
    products = Products(bench.store, job)
    moments = Moments.from_arrays(products.read(names.buffers(1, 2)).arrays)
    noisy = bench.pixels(job)[1]["noisy"]

    np.testing.assert_allclose(noisy, combine(moments, "unbiased").beauty, rtol=1e-3, atol=1e-6)
    assert not np.allclose(noisy, combine(moments, "pooled").beauty, rtol=1e-3, atol=1e-6)
    assert products.read(names.samples(1, 2)).arrays["map"].min() >= 1


def test_a_cancelled_task_lets_go_between_waves(bench: Bench) -> None:
    job = bench.submit()
    bench.run(job, limit=1)
    products = Products(bench.store, job)
    told: list[int] = []
    context = Context(
        blobs=bench.store.path(BLOBS),
        farm=Farm(wave_samples=1024),
        progress=lambda done, total: told.append(done),
        cancelled=lambda: bool(told),
    )
    (task,) = (task for task in plan.runnable(planned(job, products), products) if task.startswith("passes/"))
    with pytest.raises(Cancelled):
        recipes.make(task, job, products, context)
    assert told == [1024]
    assert not products.exists(task)


def test_what_no_task_makes_is_refused(done) -> None:
    bench, job, _ = done
    with pytest.raises(ProductError, match="no task makes this"):
        recipes.make("absent/0001", job, Products(bench.store, job), bench.context())


def test_products_of_another_job_are_refused(bench: Bench, done) -> None:
    _, other, _ = done
    job = bench.submit(sampling__seed=7)
    bench.run(job, limit=1)
    stored = bench.store.read(f"{job.directory}/samples/0001/r00")
    with pytest.raises(ProductError, match="job"):
        product.decode(stored, name="samples/0001/r00", job_hash=other.hash)
