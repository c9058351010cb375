"""Submitting: everything that is wrong is found before anything is claimed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, FarmError, SceneError, StoreError
from pipeline.farm import job as jobs
from pipeline.farm import submission
from pipeline.farm.limits import Limits
from pipeline.farm.progress import FrameSnapshot
from pipeline.farm.store import LocalStore

ENVIRONMENT = {"variant": "llvm_ad_rgb", "key": "0123456789ab"}
SCENE = """<scene version="3.0.0">
  <sensor type="perspective">
    <transform name="to_world"><lookat origin="0,0,4" target="0,0,0" up="0,1,0"/></transform>
    <film type="hdrfilm"><integer name="width" value="8"/><integer name="height" value="6"/></film>
  </sensor>
  <emitter type="constant"/>
  <shape type="sphere" id="ball"><bsdf type="diffuse" id="clay">{texture}</bsdf></shape>
</scene>
"""
MISSING = '<texture type="bitmap" name="reflectance"><string name="filename" value="gone.png"/></texture>'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three shots, the last of which lacks a texture."""
    for name, texture in (("shot_a", ""), ("shot_b", ""), ("shot_c", MISSING)):
        folder = tmp_path / "shots" / name
        folder.mkdir(parents=True)
        (folder / "scene.xml").write_text(SCENE.format(texture=texture))
        (folder / "shot.yaml").write_text(
            f"shot: {name}\nscene: scene.xml\nframes: 1-2\nsampling: {{guide: variance}}\ndenoise: {{backend: none}}\n"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(place: Path) -> LocalStore:
    return LocalStore(place / "renders")


def test_frames_that_stopped_above_their_target_are_one_warning_for_each_reason() -> None:
    frames = [
        FrameSnapshot(frame, "done", error=error, error_p99=error, reason=reason)
        for frame, error, reason in (
            (1001, 0.05, "max_spp"),
            (1002, 0.05, "max_spp"),
            (1003, 0.01, "target"),
            (1004, 0.04, "budget"),
            (1005, 0.02, "max_spp"),
        )
    ]

    assert submission.above_target(Limits(16, 64, 32, 0.02), frames) == [
        "2 of 5 frames stopped at max_spp above target_error: 1001-1002",
        "1 of 5 frames stopped at the end of budget_spp above target_error: 1004",
    ]
    assert submission.above_target(Limits(1, 4), frames) == []


def test_shots_are_found_by_name_by_directory_and_by_file_in_the_order_named(place: Path) -> None:
    shots, _ = submission.resolve(["shot_c", "shots/shot_a", "shots/shot_b/shot.yaml"], {})
    assert [shot.shot for shot in shots] == ["shot_c", "shot_a", "shot_b"]


def test_options_stand_above_every_shot(place: Path) -> None:
    shots, _ = submission.resolve(["shot_a", "shot_b"], {"frames": "5", "sampling.max_spp": 64})
    assert [(shot.frame_list, shot.sampling.max_spp) for shot in shots] == [([5], 64)] * 2


def test_a_shot_that_is_named_twice_is_submitted_once(place: Path) -> None:
    shots, _ = submission.resolve(["shot_a", "shots/shot_a"], {})
    assert [shot.frame_list for shot in shots] == [[1, 2]]


def test_an_edit_stands_for_its_shots_and_joins_their_frames(place: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    timeline = otio.schema.Timeline("cut")
    track = otio.schema.Track("V1")
    for shot, first in (("shot_a", 2), ("shot_b", 1)):
        span = otio.opentime.TimeRange(otio.opentime.RationalTime(first, 24), otio.opentime.RationalTime(3, 24))
        track.append(otio.schema.Clip(shot, source_range=span, metadata={"penumbra": {"shot": shot}}))
    timeline.tracks.append(track)
    otio.adapters.write_to_file(timeline, "cut.otio")
    shots, _ = submission.resolve(["shot_a", "cut.otio"], {})
    assert {shot.shot: shot.frame_list for shot in shots} == {"shot_a": [1, 2, 3, 4], "shot_b": [1, 2, 3]}


def test_problems_of_all_sources_are_told_at_once(place: Path) -> None:
    Path("shots/shot_b/shot.yaml").write_text("shot: shot_b\nscene: scene.xml\nframes: 9-1\n")
    with pytest.raises(ConfigError) as caught:
        submission.resolve(["shot_x", "shot_b", "cut.otio"], {})
    assert all(word in str(caught.value) for word in ("shot_x", "9-1", "cut.otio"))
    assert caught.value.exit_code == 2


def test_preparing_freezes_the_scene_by_content(place: Path, store: LocalStore) -> None:
    shots, _ = submission.resolve(["shot_a"], {})
    (prepared,) = submission.prepare(shots, store, ENVIRONMENT)
    frozen = prepared.frozen.scenes["*"]["xml"]
    assert (store.root / "blobs" / frozen).is_file()
    assert prepared.frozen.environment == ENVIRONMENT


def test_a_missing_texture_in_the_last_shot_leaves_nothing_claimed(place: Path, store: LocalStore) -> None:
    shots, _ = submission.resolve(["shot_a", "shot_b", "shot_c"], {})
    with pytest.raises(SceneError, match=r"gone\.png"):
        submission.prepare(shots, store, ENVIRONMENT)
    assert jobs.jobs(store) == [] and jobs.active(store) == []


def test_claiming_makes_a_version_and_claiming_again_attaches_to_it(place: Path, store: LocalStore) -> None:
    shots, _ = submission.resolve(["shot_a"], {})
    prepared = submission.prepare(shots, store, ENVIRONMENT)
    (first,) = submission.claim_all(prepared, store)
    (second,) = submission.claim_all(prepared, store)
    assert (first.job.id, first.attached) == ("shot_a.v001", False)
    assert (second.job.id, second.attached) == ("shot_a.v001", True)
    assert jobs.active(store) == ["shot_a.v001"]


def test_the_trial_of_the_store_leaves_nothing_behind(store: LocalStore) -> None:
    submission.check_store(store)
    assert store.list("") == []


def test_a_store_below_a_file_is_refused(place: Path) -> None:
    (place / "renders").write_text("in the way")
    with pytest.raises(StoreError, match="a part of the path is a file"):
        submission.check_store(LocalStore(place / "renders"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_refused(store: LocalStore) -> None:
    store.root.mkdir()
    store.root.chmod(0o500)
    with pytest.raises(StoreError, match="permission is denied"):
        submission.check_store(store)


def test_every_expected_error_before_the_claim_is_bad_input() -> None:
    for error in (FarmError("broker down"), StoreError("read-only")):
        with pytest.raises(type(error)) as caught, submission.refusing():
            raise error
        assert caught.value.exit_code == 2
    assert FarmError.exit_code == StoreError.exit_code == 1
