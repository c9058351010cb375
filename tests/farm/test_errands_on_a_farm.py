"""Errands on real workers: chains that survive a worker, a folder of photographs, a preview's training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes_rehearsal
from pipeline.farm.context import Context
from pipeline.farm.errands import Errand, numbered
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.progress import snapshot
from pipeline.farm.store import open_store

SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="diffuse"/></shape></scene>"""
SHOT = "shot: tiny\nscene: scene.xml\nframes: 1\nresolution: [16, 9]\n"


def rehearsed(rig: Any, name: str, parts: int, *, chained: bool, seconds: float = 0.1) -> Job:
    items = numbered([{"name": str(number)} for number in range(parts)])
    errand = Errand(kind="preview" if chained else "capture", settings={}, items=items, chained=chained)
    rehearsal = Rehearsal(task_seconds=seconds)
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal, errand=errand)
    job, _ = jobs.claim(rig.store, name, frozen, frames=errand.parts)
    rig.farm.submit(job)
    return job


def numbers(store: Any, job: Job) -> list[list[int]]:
    products = Products(store, job)
    return [products.read(names.part(part)).arrays["numbers"].tolist() for part in job.frames]


def made_here(directory: Path, job: Job) -> list[list[int]]:
    store = open_store(directory)
    frozen = Frozen({}, job.environment, {}, "rehearsal", job.rehearsal, errand=job.errand)
    copy = jobs.claim(store, job.shot, frozen, frames=job.frames)[0]
    products = Products(store, copy)
    while ready := plan.runnable(JobPlan.of(copy), products):
        for task in ready:
            products.publish(task, *recipes_rehearsal.make(task, copy, products, Context()))
    return numbers(store, copy)


def test_a_chain_ends_the_same_though_a_worker_is_killed_over_it(rig: Any, tmp_path: Path) -> None:
    rig.start("three")
    job = rehearsed(rig, "preview.chain", 6, chained=True, seconds=0.5)
    rig.wait_for(lambda: [held for held in rig.farm.running(job) if held.ticket.task == names.part(2)])
    rig.kill("three")

    assert rig.finish(job) == "done"
    assert numbers(rig.store, job) == made_here(tmp_path, job)
    assert rig.attempts(job).count(names.part(6)) == 1


def test_an_errand_is_cancelled_between_its_parts_and_goes_on_when_it_is_asked_to(rig: Any) -> None:
    job = rehearsed(rig, "capture.folder", 12, chained=False, seconds=0.5)
    rig.wait_for(lambda: snapshot(rig.store, job).done)
    rig.farm.cancel(job)

    assert rig.finish(job) == "cancelled"
    seen = snapshot(rig.store, job)
    assert (seen.state, seen.errand) == ("cancelled", "capture") and 0 < seen.done < 12
    rig.farm.resume(job)
    assert rig.finish(job) == "done"


# --- what they are for --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A farm with one worker that has Mitsuba and torch."""
    pytest.importorskip("torch")
    pytest.importorskip("cv2")
    from tests.farm.conftest import Rig

    made = Rig(tmp_path_factory.mktemp("studio"), max_raises=1)
    try:
        made.start("one", options=("--engine", "mitsuba", "--device", "cpu"))
        yield made
    finally:
        made.close()


@pytest.fixture
def on_the_studio(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The studio's farm, as the environment of commands names it."""
    monkeypatch.setenv("PIPELINE_BROKER_URL", studio.config.broker_url)
    monkeypatch.setenv("PIPELINE_STORE", studio.store.url)
    monkeypatch.chdir(tmp_path)
    return studio


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Runs a command; its exit code, and the document that it prints."""

    def ask(*words: str) -> tuple[int, Any]:
        from pipeline.cli.main import run

        code, said = run(list(words)), capsys.readouterr()
        assert said.out, said.err
        return code, json.loads(said.out)

    return ask


def photograph(path: Path, seed: int) -> None:
    import cv2
    import numpy as np

    from pipeline.capture.flash import srgb, studio
    from pipeline.capture.materials.generate import material

    seen = srgb(studio(material(seed, 64)).pixels[0, 0]).permute(1, 2, 0).numpy()
    cv2.imwrite(str(path), (seen[..., ::-1] * 255 + 0.5).astype(np.uint8))


@pytest.mark.slow
def test_a_folder_of_photographs_becomes_a_folder_of_materials(on_the_studio: Any, told: Any, tmp_path: Path) -> None:
    from pipeline.scene.captured_asset import read

    photos = tmp_path / "photos"
    photos.mkdir()
    photograph(photos / "oak.png", 3)
    (photos / "text.png").write_text("no picture")
    words = ["capture", str(photos), "--each", "--on-farm", "--out", "wood", "--method", "descent", "--no-movie"]
    words += ["--resolution", "64", "--json"]

    code, made = told(*words)

    assert (code, made["job"], made["state"]) == (1, "capture.wood.v001", "failed")
    assert "not an image" in made["refused"]["text.png"]
    assert [material["photographs"][0]["file"] for material in made["materials"]] == ["oak.png"]
    assert read(tmp_path / "wood" / "oak").width == 64 and not (tmp_path / "wood" / "text").exists()

    (photos / "text.png").unlink()
    photograph(photos / "ash.png", 4)
    code, made = told(*words)
    assert (code, made["job"], len(made["materials"])) == (0, "capture.wood.v002", 2)
    second = jobs.load(on_the_studio.store, "capture.wood.v002")
    assert len(on_the_studio.attempts(second)) == 2, "the oak and the ash: one of them, and the report"


@pytest.mark.slow
def test_a_preview_is_trained_in_stretches_and_goes_on_here(
    on_the_studio: Any, told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.radiosity.stretch.STRETCHES", 1500)  # two steps each
    folder = tmp_path / "shots" / "tiny"
    folder.mkdir(parents=True)
    (folder / "scene.xml").write_text(SCENE)
    (folder / "shot.yaml").write_text(SHOT)
    words = ["preview", "tiny", "--on-farm", "--steps", "4", "--no-serve", "--json"]

    code, made = told(*words)

    assert (code, made["step"], made["origin"], made["seconds"] > 0) == (0, 4, "resumed", True)
    job = jobs.load(on_the_studio.store, "preview.tiny.v001")
    assert sorted(on_the_studio.attempts(job)) == [names.part(1), names.part(2), names.REPORT]
    assert told(*words, "--detach") == (0, {"shot": "tiny", "jobs": []}), "there is nothing left to train"
