"""The cache of renders: samples are taken once, and a render goes on where it stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import denoise_renders
from benchmarks.denoise_renders import Renders, standing_still
from benchmarks.denoise_sequences import Clip, clips
from pipeline.config.shot import Shot

SCENE = """
<scene version="3.0.0">
  <sensor type="perspective"><float name="fov" value="40"/></sensor>
  <shape type="sphere" id="ball"><point name="center" x="0" y="0" z="4"/></shape>
  <emitter type="constant"/>
</scene>
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    (folder / "scene.xml").write_text(SCENE)
    keys: dict[str, Any] = {"shot": "ball", "scene": "scene.xml", "frames": "1-9"}
    moves = {1: {"translate": [0, 0, 0]}, 9: {"translate": [0.8, 0, 0]}}
    return Clip(Shot(**keys, animate={"ball": moves}).at(folder), 5, "a ball")


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Renders:
    return Renders((16, 9), tmp_path_factory.mktemp("cache"), said.append)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(denoise_renders, "CHUNK", 8)
    said.clear()


def test_more_samples_go_on_from_fewer(clip: Clip, renders: Renders, said: list[str]) -> None:
    renders.buffers(clip, 5, 4, 0)
    parts = renders.buffers(clip, 5, 16, 0)
    assert len(said) == 3  # 4, 12 and 16 samples

    again = renders.buffers(clip, 5, 16, 0)
    assert len(said) == 3
    np.testing.assert_array_equal(again.beauty, parts.beauty)
    assert not list(renders.folder.rglob("unfinished.npz"))

    for path in renders.folder.rglob("s0/*.npz"):
        path.unlink()
    whole = renders.buffers(clip, 5, 16, 0)
    np.testing.assert_allclose(parts.beauty, whole.beauty, rtol=1e-5)


def test_an_interrupted_render_goes_on(
    clip: Clip, renders: Renders, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = denoise_renders._replace
    saves = [replace, replace]

    def until_the_power_fails(*arguments: Any) -> None:
        if not saves:
            raise OSError
        saves.pop()(*arguments)

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(denoise_renders, "_replace", until_the_power_fails)
        renders.truth(clip, 5, 64)
    said.clear()
    truth = renders.truth(clip, 5, 64)

    assert len(said) == 2 + 4  # two of the first half's four chunks were kept
    assert truth.both.count.mean() == 64
    assert truth.beauty.noise > 0
    np.testing.assert_array_equal(truth.both.ids, truth.a.ids)


def test_shapes_that_move_by_themselves_are_known(clip: Clip, renders: Renders) -> None:
    assert renders.moving(clip, 5) == {1}
    frame = renders.buffers(clip, 5, 4, 1)
    assert frame.forward.any()
    still = standing_still(frame)
    assert not still.forward.any() and not still.backward.any() and still.forward_valid.all()


def test_scenes_of_several_frames_stand_side_by_side(clip: Clip, renders: Renders) -> None:
    found = renders.programs(clip, (5, 6))
    assert [program.fs.frame for program in found.values()] == [5, 6]
    assert (found[5].fs.width, found[5].fs.height) == renders.resolution
    assert found[5].fs.scene is not found[6].fs.scene
    assert renders.name(clip, 5) != renders.name(clip, 6)


def test_clips_have_the_frames_that_a_window_needs() -> None:
    names = [clip.name for clip in clips()]
    assert {"shot_010", "shot_020", "still_life", "courtyard"} <= set(names) and len(set(names)) == len(names)
    clip = clips()[-1]
    assert list(clip.frames(1)) == [clip.centre - 1, clip.centre, clip.centre + 1, clip.centre + 2]
    assert clip.judged == (clip.centre, clip.centre + 1)
