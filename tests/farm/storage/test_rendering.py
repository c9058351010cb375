"""A real job in a bucket: one machine freezes the scene, another one renders it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config.farm import Farm
from pipeline.config.load import load_shot
from pipeline.device import environment, environment_key
from pipeline.farm import blob_mirror, submission
from pipeline.farm.object_store import ObjectStore
from pipeline.images import deliverable

pytestmark = pytest.mark.slow

SCENE = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="diffuse">
<texture name="reflectance" type="bitmap"><string name="filename" value="paint.png"/></texture>
</bsdf></shape></scene>"""
SHOT = """shot: tiny
scene: scene.xml
frames: 1
resolution: [16, 9]
sampling: {first_spp: 2, max_spp: 2, target_error: 0.0001, guide: variance, max_depth: 3}
denoise: {backend: none}
"""


def test_a_job_is_rendered_in_a_bucket_by_a_machine_that_has_nothing_but_the_bucket(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4), (200, 30, 30)).save(tmp_path / "paint.png")
    (tmp_path / "scene.xml").write_text(SCENE)
    (tmp_path / "shot.yaml").write_text(SHOT)
    here = environment()
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "artist"))
    shots = [load_shot(str(tmp_path / "shot.yaml"), {})]
    prepared = submission.prepare(shots, store, {**here, "key": environment_key(here)})
    claimed = submission.claim_all(prepared, store)
    (tmp_path / "paint.png").unlink()
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "node"))

    (result,) = submission.render(claimed, store, Farm(store=store.url, sweep_seconds=30.0), workers=1)

    assert result.state == "done"
    assert result.frames["1"].startswith(store.url)
    files = blob_mirror.blobs_of_frame(claimed[0].job, 1)
    assert {Path(name).suffix for name in files} == {".xml", ".png"}
    assert files <= {path.name for path in blob_mirror.directory(store).iterdir()}
    picture = tmp_path / "frame.exr"
    picture.write_bytes(store.read(result.frames["1"].removeprefix(f"{store.url}/")))
    red, green, _ = np.moveaxis(deliverable.read(picture).layers["beauty"][4, 8, :3], -1, 0)
    assert red > 3 * green > 0
