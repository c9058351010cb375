"""Textures by differentiation."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest

from pipeline.config.shot import Shot

SCENE = """<scene version="3.0.0"><integrator type="path"><integer name="max_depth" value="2"/></integrator>
<sensor type="perspective"><float name="fov" value="33"/>
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<bsdf type="diffuse" id="canvas"><texture type="bitmap" name="reflectance"><boolean name="raw" value="true"/>
<string name="filename" value="canvas.exr"/><string name="filter_type" value="nearest"/></texture></bsdf>
<shape type="rectangle" id="board"><ref id="canvas"/></shape>
<emitter type="constant" id="sky"><rgb name="radiance" value="1"/></emitter></scene>"""


def test_texels_are_found_with_the_light_as_it_is_overridden(tmp_path):
    pytest.importorskip("mitsuba").set_variant("llvm_ad_rgb")
    from pipeline.match.plate import Plate
    from pipeline.match.renders import Renders
    from pipeline.match.texels import fit
    from pipeline.scene.freeze import freeze

    (tmp_path / "scene.xml").write_text(SCENE)
    grey = {"Y": np.full((4, 4), 0.5, np.float32)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, grey).write(str(tmp_path / "canvas.exr"))
    shot = Shot(shot="board", scene="scene.xml", frames="1").at(tmp_path)
    frozen = freeze(shot, [1], tmp_path / "blobs")
    config = shot.model_dump(mode="json", by_alias=True)
    renders = Renders(config, frozen, 1, tmp_path / "blobs", ["canvas.texture", "sky.intensity"], (16, 16))
    truth = np.append(np.random.default_rng(0).uniform(0.2, 0.8, 16), 1.0)  # the sky twice as bright
    image = renders.images(truth[None], spp=32, seed=1)[0].mean(axis=0)[..., :3].astype(np.float64)
    start = np.append(np.full(16, 0.5), 1.0)
    whole = renders.at(start)
    found = fit(
        whole.scene,
        whole.sensor,
        {"canvas": renders.overrides(start)["canvas"]["texture"]},
        Plate(image, np.ones((16, 16)), None),
        max_depth=whole.max_depth,
        steps=60,
        spp=4,
    )
    np.testing.assert_allclose(found.values["canvas"].ravel(), truth[:16], atol=0.03)
    assert found.evaluations == 120
