"""A tiny job that asks for everything at once: blur, a filter, overscan, groups of lights, mattes and AOVs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.farm import Farm
from pipeline.config.load import load_shot
from pipeline.errors import SceneError
from pipeline.farm import plan, recipes, submission
from pipeline.farm.context import Context
from pipeline.farm.products import Products
from pipeline.farm.recipes_frame import planned
from pipeline.farm.store import BLOBS, LocalStore
from pipeline.images import cryptomatte, deliverable

pytestmark = pytest.mark.slow

SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant" id="sky"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="roughplastic" id="paint"/></shape>
<shape type="rectangle" id="lamp"><transform name="to_world"><rotate x="1" angle="60"/><translate y="1.2" z="-1"/>
</transform><emitter type="area"><rgb name="radiance" value="4"/></emitter></shape></scene>"""
SHOT = """shot: tiny
scene: scene.xml
frames: 1
resolution: [24, 16]
shutter: [-0.25, 0.25]
film: {filter: gaussian, overscan: [3, 2, 1, 0], shutter_steps: 4}
layers: {lights: {key: [lamp]}, cryptomatte: [object, material], aovs: [position]}
animate: {ball: {1: {translate: [0, 0, 0]}, 2: {translate: [0.4, 0, 0]}}}
sampling: {first_spp: 8, max_spp: 8, target_error: 0.0001, guide: variance, max_depth: 4}
denoise: {backend: none}
"""
ENVIRONMENT = {"variant": "llvm_ad_rgb", "key": "0123456789ab"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scene.xml").write_text(SCENE)
    (tmp_path / "shot.yaml").write_text(SHOT)
    return tmp_path


def test_everything_that_is_asked_for_is_in_the_file(folder: Path) -> None:
    store = LocalStore(folder / "renders")
    prepared = submission.prepare([load_shot(str(folder / "shot.yaml"))], store, ENVIRONMENT)
    job = submission.claim_all(prepared, store)[0].job
    products, context = Products(store, job), Context(blobs=store.path(BLOBS), farm=Farm())
    while tasks := plan.runnable(planned(job, products), products):
        for task in tasks:
            products.publish(task, *recipes.make(task, job, products, context))
    page = deliverable.read(store.root / job.directory / "frames/tiny.0001.exr")

    assert page.window == (-3, -2, 24, 16)
    assert page.shape == (18, 28)
    with Image.open(store.root / job.directory / "review/tiny.0001.png") as shown:
        assert shown.size == (24, 16)  # without overscan
    extras = {extra.layer.name: extra for extra in page.extras}
    assert list(extras) == ["light.key", "light.others", "aov.position", "CryptoObject", "CryptoMaterial"]
    lights = extras["light.key"].values + extras["light.others"].values
    bright = page.beauty > 1e-3
    np.testing.assert_allclose(lights[bright], page.beauty[bright], rtol=1e-3)
    matte = extras["CryptoObject"]
    (names,) = (json.loads(text) for key, text in matte.attributes.items() if key.endswith("/manifest"))
    assert set(names) == {"ball", "lamp"}
    bits = np.ascontiguousarray(matte.values).view(np.uint32)
    covered = sum(matte.values[..., k + 1] * (bits[..., k] == cryptomatte.id_of("ball")) for k in range(0, 12, 2))
    assert covered[10, 14] == 1.0  # in the middle of the ball
    assert 0 < covered[:, 4:].mean() < 1


def test_lights_and_windows_that_are_not_there_are_told_at_submit(folder: Path) -> None:
    shot = load_shot(str(folder / "shot.yaml"), {"layers": {"lights": {"key": ["lmap"]}}})
    with pytest.raises(SceneError, match=r"layers\.lights\.key: no light of .*lmap.*lamp"):
        submission.prepare([shot], LocalStore(folder / "renders"), ENVIRONMENT)
    shot = load_shot(str(folder / "shot.yaml"), {"resolution": None, "film": {"crop": [0, 0, 5000, 10]}})
    with pytest.raises(SceneError, match=r"film\.crop .* reaches out of the frame, which is 768×576"):
        submission.prepare([shot], LocalStore(folder / "renders"), ENVIRONMENT)
