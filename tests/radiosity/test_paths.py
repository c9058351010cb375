"""Camera paths, sizes of pictures, views of the browser and keyframes: all without a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.shot import Shot
from pipeline.errors import ConfigError
from pipeline.radiosity.cameras import View
from pipeline.radiosity.key_frames import between, key_frames
from pipeline.radiosity.paths import from_file, orbit
from pipeline.radiosity.saved_views import save_view, with_keyframe
from pipeline.radiosity.viewer_pace import Accumulation, Pace, from_browser, to_browser
from pipeline.scene.animation import look_at

VIEW = View(look_at((1.0, 2.0, 4.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0)), 50.0, 320, 180)


def test_an_orbit_begins_with_the_view_and_keeps_looking_at_its_target() -> None:
    distance = float(np.linalg.norm([1.0, 1.0, 4.0]))
    stops = orbit(VIEW, distance, 7, 8)
    assert np.allclose(stops[0].view.to_world, VIEW.to_world)
    for stop in stops:
        assert stop.frame == 7
        assert np.allclose(stop.view.origin + distance * stop.view.forward, (0.0, 1.0, 0.0), atol=1e-9)


def test_a_path_file_is_interpolated_and_its_mistakes_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "path.yaml"
    file.write_text(
        "keyframes:\n  1: {origin: [0, 0, 4], target: [0, 0, 0]}\n  5: {origin: [4, 0, 4], target: [0, 0, 0]}\n"
    )
    stops = from_file(file, VIEW, 3)
    assert len(stops) == 5 and np.allclose(stops[2].view.origin, (2.0, 0.0, 4.0))
    file.write_text("keyframes:\n  1: {orign: [0, 0, 4], target: [0, 0, 0]}\n")
    with pytest.raises(ConfigError, match=r"path\.yaml:2: .*origin"):
        from_file(file, VIEW, 3)


def test_the_browsers_camera_and_back_is_the_same_view() -> None:
    rotation, position, fov = to_browser(VIEW, 16 / 9)
    back = from_browser(rotation, position, fov, 320, 180)
    assert np.allclose(back.to_world, VIEW.to_world) and back.fov == pytest.approx(VIEW.fov)


def test_pictures_shrink_until_they_are_in_time_while_the_camera_moves() -> None:
    pace = Pace()
    for _ in range(20):
        width, height = pace.size(1280, 720, moving=True)
        pace.note(width * height, width * height * 2e-6)
    assert width * height * 2e-6 == pytest.approx(1 / 12, rel=0.05)
    assert pace.size(1280, 720, moving=False)[0] > width
    assert pace.size(32, 18, moving=True) == (32, 18)


def test_samples_of_a_resting_camera_are_averaged_and_another_size_begins_anew() -> None:
    mean = Accumulation()
    mean.add(np.full((2, 2, 3), 1.0, np.float32))
    assert np.allclose(mean.add(np.full((2, 2, 3), 3.0, np.float32)), 2.0) and mean.samples == 2
    mean.add(np.zeros((4, 4, 3), np.float32))
    assert mean.samples == 1


SHOT = "shot: s  # a comment\nscene: scene.xml\nframes: 1-20\n"
CAMERA = "camera:\n  fov: 40\n  keyframes:\n    # first\n    1: {origin: [0, 0, 4], target: [0, 0, 0]}\npriority: 5\n"
SCENE = "<scene version='3.0.0'><shape type='sphere'/></scene>"


FLOW = "camera: {fov: 40, keyframes: {1: {origin: [0, 0, 4], target: [0, 0, 0]}}}\n"


@pytest.mark.parametrize("text", [SHOT + CAMERA, SHOT, SHOT + FLOW])
def test_a_saved_view_is_a_keyframe_and_the_rest_of_the_file_stays(tmp_path: Path, text: str) -> None:
    from pipeline.config.load import load_shot

    file = tmp_path / "shot.yaml"
    file.write_text(text)
    (tmp_path / "scene.xml").write_text(SCENE)
    save_view(file, 9, VIEW, 2.0)
    save_view(file, 9, VIEW, 3.0)  # in place of the first
    loaded = load_shot(file)
    assert loaded.camera is not None
    assert loaded.camera.keyframes[9].origin == pytest.approx((1.0, 2.0, 4.0))
    assert np.allclose(loaded.camera.keyframes[9].target, VIEW.origin + 3.0 * VIEW.forward, atol=1e-4)
    assert "# a comment" in file.read_text() and ("# first" in file.read_text()) == ("# first" in text)


def test_a_keyframe_at_the_end_of_a_block_keeps_its_line_end() -> None:
    once = with_keyframe(SHOT + CAMERA, 1, VIEW, 2.0)
    assert once.endswith("}\npriority: 5\n") and once.count("1: {") == 1


def test_key_frames_are_dense_only_where_something_moves() -> None:
    still = Shot(shot="s", scene="scene.xml", frames="1-30")
    moving = Shot(shot="s", scene="scene.xml", frames="1-30", animate={"ball": {5: {"translate": [0, 0, 1]}}})
    assert key_frames(still) == [1]
    assert key_frames(moving) == [1, 5, 13, 21, 29, 30]
    caches = {1: "a", 5: "b"}
    assert between(caches, 5) == "b" and between(caches, 9) == "b"
    blend = between(caches, 2)
    assert (blend.before, blend.after, blend.weight) == ("a", "b", 0.25)
