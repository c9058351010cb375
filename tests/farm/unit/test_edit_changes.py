"""Of an edit that changed: new frames of shots that are the same are rendered, and all frames of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from opentimelineio.opentime import RationalTime, TimeRange

from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.load import load_shot
from pipeline.farm import job as jobs
from pipeline.farm import names, submission
from pipeline.farm.edit_changes import rendered_frames, submit_changes, to_render, write_back
from pipeline.farm.job import Frozen
from pipeline.farm.products import Products
from pipeline.farm.store import LocalStore
from pipeline.farm.submission import Prepared, Result

ENVIRONMENT = {"variant": "test", "key": "0123456789ab"}


@pytest.fixture
def prepared(tmp_path: Path) -> Any:
    """Makes a prepared shot with so many frames."""
    (tmp_path / "scene.xml").write_text("<scene/>")

    def make(name: str, frames: str, **overrides: Any) -> Prepared:
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"shot: {name}\nscene: scene.xml\nframes: 1\nsampling: {{guide: variance}}\n")
        shot = load_shot(str(file), {"frames": frames, "denoise.backend": "none", **overrides})
        return Prepared(shot, Frozen(shot.model_dump(mode="json", by_alias=True), ENVIRONMENT, {}))

    return make


def claimed(store: LocalStore, each: Prepared) -> jobs.Job:
    return jobs.claim(store, each.shot.shot, each.frozen, frames=each.shot.frame_list)[0]


def test_a_shot_that_is_the_same_is_rendered_at_its_new_frames(tmp_path: Path, prepared: Any) -> None:
    store = LocalStore(tmp_path / "renders")
    before, after = prepared("a", "1-8"), prepared("a", "1-10")
    claimed(store, before)

    (left,) = to_render([after], {"a": after.shot.frames.of([9, 10])}, store)

    assert str(left.shot.frames) == "9-10"
    assert list(to_render([after], {"a": None}, store)) == []


def test_a_shot_that_changed_or_is_new_is_rendered_as_a_whole(tmp_path: Path, prepared: Any) -> None:
    store = LocalStore(tmp_path / "renders")
    claimed(store, prepared("a", "1-8"))
    other, new = prepared("a", "1-8", **{"sampling.seed": 7}), prepared("b", "1-4")

    found = to_render([other, new], {"a": None, "b": None}, store)

    assert [(each.shot.shot, str(each.shot.frames)) for each in found] == [("a", "1-8"), ("b", "1-4")]


def edit(path: Path, shot: str, first: int, count: int) -> Path:
    """An edit of one clip."""
    shown = TimeRange(RationalTime(first, 24), RationalTime(count, 24))
    clip = otio.schema.Clip(shot, source_range=shown, metadata={"penumbra": {"shot": shot}})
    timeline = otio.schema.Timeline("cut")
    timeline.tracks.append(otio.schema.Track("V1", children=[clip]))
    otio.adapters.write_to_file(timeline, str(path))
    return path


def test_submitting_what_changed_claims_the_new_frames_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "scene.xml").write_text("<scene/>")
    (tmp_path / "a" / "shot.yaml").write_text("shot: a\nscene: scene.xml\nframes: 1\ndenoise: {backend: none}\n")
    monkeypatch.setattr(submission, "freeze", lambda shot, frames, blobs: {})
    monkeypatch.setattr(submission, "environment_for", lambda farm: ENVIRONMENT)
    monkeypatch.setattr(
        submission,
        "render",
        lambda claimed, *rest, **more: [
            Result(each.job.id, "a", 1, "done", "", {str(frame): "" for frame in each.frames}, []) for each in claimed
        ],
    )
    old, new = edit(tmp_path / "old.otio", "a", 1001, 4), edit(tmp_path / "new.otio", "a", 1003, 4)
    farm: dict[str, Any] = {"settings": FarmConfig(), "out": str(tmp_path / "renders")}
    guide = {"sampling.guide": "variance"}

    (first,) = submission.submit([str(old)], guide, **farm)
    (changed,) = submit_changes(new, old, guide, **farm)

    assert (first.job, list(first.frames)) == ("a.v001", ["1001", "1002", "1003", "1004"])
    assert (changed.job, list(changed.frames)) == ("a.v001", ["1005", "1006"])
    assert submit_changes(new, new, guide, **farm) == []


def test_the_edit_comes_back_with_the_frames_that_are_there(tmp_path: Path, prepared: Any) -> None:
    store = LocalStore(tmp_path / "renders")
    job = claimed(store, prepared("a", "1001-1004"))
    assert rendered_frames(store, job) is None
    products = Products(store, job)
    for frame in (1001, 1003):
        products.publish(names.frame_product(frame), {"exr": f"frames/a.{frame}.exr"})

    (written,) = write_back(
        [edit(tmp_path / "cut.otio", "a", 1001, 4)], store, [Result(job.id, "a", 1, "done", "", {}, [])]
    )

    media = next(iter(otio.adapters.read_from_file(str(written)).find_clips())).media_reference
    assert written == tmp_path / "renders" / "cut.rendered.otio"
    assert media.target_url_for_image_number(0) == (tmp_path / "renders/a/v001/frames").as_uri() + "/a.1001.exr"
    assert media.available_range.duration.value == 3
