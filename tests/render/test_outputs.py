"""Light groups, AOVs and ballots: what they say, and that nothing else changes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.light_shares import split_by_light
from pipeline.errors import SceneError

SCENE = """<emitter type="constant" id="sky"><rgb name="radiance" value="0.2, 0.3, 0.5"/></emitter>
<emitter type="point" id="bulb"><point name="position" x="2" y="2" z="3"/>
<rgb name="intensity" value="9, 4, 1"/></emitter>
<shape type="rectangle" id="panel"><transform name="to_world"><scale value="0.5"/><rotate x="1" angle="90"/>
<translate y="1.6" z="0.5"/></transform><emitter type="area"><rgb name="radiance" value="5"/></emitter></shape>
<shape type="rectangle" id="set/wall"><transform name="to_world"><scale value="3"/><translate z="-1"/></transform>
<bsdf type="diffuse" id="paint"><rgb name="reflectance" value="0.7, 0.5, 0.3"/></bsdf></shape>
<shape type="sphere" id="set/ball"><float name="radius" value="0.7"/><bsdf type="roughconductor"/></shape>
<shape type="sphere" id="glass"><point name="center" x="1" y="0" z="0.5"/><float name="radius" value="0.4"/>
<bsdf type="dielectric"/></shape>"""
GROUPS = {"warm": ["bulb"], "soft": ["panel"]}


@pytest.fixture
def moments(program_of: Callable[..., Any], render: Any) -> Callable[..., Any]:
    def make(samples: int = 64, **layers: Any) -> Any:
        return render(program_of(SCENE, layers=layers, max_depth=6), samples)

    return make


def combined(found: Any) -> tuple[Any, Any]:
    from pipeline.render.moments import add_round, combine

    whole = add_round(None, found)
    return whole, combine(whole)


def test_what_is_asked_for_changes_nothing_else(moments: Any) -> None:
    plain, asked = (
        moments(),
        moments(lights=GROUPS, aovs=["position"], cryptomatte=["object"]),
    )
    assert set(asked.sums) - set(plain.sums) == {"lights", "aovs"}
    for name, value in plain.sums.items():
        np.testing.assert_allclose(asked.sums[name], value, rtol=1e-5, atol=1e-5)
    assert np.array_equal(asked.votes[:, :8], plain.votes)
    assert asked.votes.shape[1] == 32


def test_groups_of_lights_add_up_to_the_picture_before_and_after_denoising(
    moments: Any,
) -> None:
    from pipeline.render.moments import light_means

    whole, frame = combined(moments(lights=GROUPS))
    groups = light_means(whole)
    bright = frame.beauty > 1e-3
    np.testing.assert_allclose(groups.sum(2)[bright], frame.beauty[bright], rtol=1e-3)
    clean = np.stack([frame.beauty[..., c] * 0.9 + 0.01 for c in range(3)], -1)
    for smooth in (True, False):
        after = split_by_light(groups, frame, clean, smooth=smooth)
        assert (after >= 0).all()
        np.testing.assert_allclose(after.sum(2), clean, rtol=1e-5)


def test_a_group_is_what_its_light_alone_gives(program_of: Any, render: Any, moments: Any) -> None:
    from pipeline.render.moments import light_means

    groups = light_means(combined(moments(512, lights=GROUPS))[0])
    sky, bulb, panel = (
        'value="0.2, 0.3, 0.5"',
        'value="9, 4, 1"',
        'name="radiance" value="5"',
    )
    off = 'value="0"', 'value="0"', 'name="radiance" value="0"'
    for group, others in ((0, (0, 2)), (2, (1, 2))):
        scene = SCENE
        for each in others:
            scene = scene.replace((sky, bulb, panel)[each], off[each])
        alone = combined(render(program_of(scene, max_depth=6), 512))[1]
        np.testing.assert_allclose(groups[:, :, group].mean((0, 1)), alone.beauty.mean((0, 1)), rtol=0.02)


def test_a_group_without_a_light_is_refused(program_of: Any) -> None:
    with pytest.raises(
        SceneError,
        match=r"layers\.lights\.warm: lamp is no light of the scene \(bulb, panel, sky\)",
    ):
        program_of(SCENE, layers={"lights": {"warm": ["lamp"]}})
    with pytest.raises(SceneError, match="use path"):
        program_of(SCENE, layers={"lights": GROUPS}, integrator="volpath")


def test_aovs_are_those_of_mitsuba(moments: Any) -> None:
    from pipeline.render.moments import aov_means

    whole, frame = combined(moments(aovs=["position", "uv"]))
    found = aov_means(whole)
    assert found.shape == (9, 16, 5)
    row, column = 1, 0  # the wall alone
    np.testing.assert_allclose(found[row, column, 2], -1, atol=1e-5)
    eye = found[row, column, :3] - np.array([0, 0, 4])
    np.testing.assert_allclose(np.linalg.norm(eye), frame.depth[row, column], rtol=1e-3)
    np.testing.assert_allclose(found[row, column, 3:], found[row, column, :2] / 6 + 0.5, atol=1e-4)


def test_mattes_go_by_the_names_of_objects_materials_and_assets(
    program_of: Any,
) -> None:
    from pipeline.render.outputs import matte_names

    names = matte_names(program_of(SCENE).fs)
    assert names["object"] == ["panel", "set/wall", "set/ball", "glass"]
    assert names["asset"] == ["panel", "set", "set", "glass"]
    assert names["material"][1] == "paint"
