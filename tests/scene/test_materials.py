"""Captured materials in a shot: what the frozen scene holds, what it looks like, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from pipeline.config.shot import Shot  # noqa: E402
from pipeline.errors import SceneError  # noqa: E402
from pipeline.scene import spec  # noqa: E402
from pipeline.scene.captured_asset import FORMAT  # noqa: E402
from pipeline.scene.freeze import freeze  # noqa: E402

SIZE = 48
LIGHT = (0.5, 0.4, 1.9)

SCENE = """<scene version="3.0.0">
<integrator type="path"/>
<sensor type="perspective"><float name="fov" value="53.1301"/>
<transform name="to_world"><lookat origin="0, 0, 2" target="0, 0, 0" up="0, 1, 0"/></transform>
<film type="hdrfilm"><integer name="width" value="24"/><integer name="height" value="24"/></film></sensor>
<bsdf type="twosided" id="wall"><bsdf type="diffuse"><texture type="bitmap" name="reflectance">
<string name="filename" value="old.png"/>{placed}</texture></bsdf></bsdf>
<shape type="rectangle" id="plate"><ref id="wall"/></shape>
<emitter type="point"><point name="position" x="0.5" y="0.4" z="1.9"/><rgb name="intensity" value="12"/></emitter>
</scene>"""

UPRIGHT = '<transform name="to_uv"><scale x="1" y="-1"/><translate y="1"/></transform>'
QUARTER = '<transform name="to_uv"><rotate z="1" angle="90"/><translate x="1"/></transform>'


@pytest.fixture
def maps():
    """Smooth maps that differ in all directions, with slopes."""
    from pipeline.capture.maps import Maps

    y, x = torch.meshgrid(torch.linspace(1, -1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    ones = torch.ones(SIZE, SIZE)
    normal = torch.nn.functional.normalize(torch.stack([0.25 * x + 0.1, 0.3 * torch.sin(2 * y) + 0.15, ones]), dim=0)
    diffuse = torch.stack([0.4 + 0.3 * x, 0.4 + 0.3 * y, 0.3 * ones])
    return Maps(diffuse[None], 0.05 * torch.ones(1, 3, SIZE, SIZE), normal[None], (0.6 + 0.2 * x)[None, None])


@pytest.fixture
def shot(tmp_path: Path, maps):
    """A placement → a shot whose plate wears the maps."""
    from PIL import Image

    from pipeline.capture.asset.files import write_maps

    (tmp_path / "oak").mkdir()
    write_maps(tmp_path / "oak", maps)
    (tmp_path / "oak" / "asset.yaml").write_text(f"format: {FORMAT}\n")
    Image.new("RGB", (4, 4)).save(tmp_path / "old.png")

    def make(placed: str = "") -> Shot:
        (tmp_path / "scene.xml").write_text(SCENE.format(placed=placed))
        return Shot(shot="a", scene="scene.xml", frames="1", materials={"wall": "oak"}).at(tmp_path)

    return make


def wanted(maps) -> np.ndarray:
    """What the torch renderer shows of maps under the scene's light and camera."""
    from pipeline.capture.shading import Shot as Taken
    from pipeline.capture.shading import render

    light, camera = torch.tensor([[LIGHT]]), torch.tensor([[[0.0, 0.0, 2.0]]])
    seen = render(maps, Taken(light, camera, torch.full((1, 1, 3), 12.0)))[0, 0]
    return torch.nn.functional.avg_pool2d(seen, SIZE // 24).permute(1, 2, 0).numpy()


def turned(maps, rows_to_rows, vector):
    """Maps whose picture is turned, and the x and y of whose normals are."""
    from pipeline.capture.maps import Maps

    moved = maps.map(rows_to_rows)
    x, y, z = (moved.normal[:, k : k + 1] for k in range(3))
    return Maps(moved.diffuse, moved.specular, torch.cat([*vector(x, y), z], 1), moved.roughness)


def test_a_shot_renders_its_material_as_it_was_fitted_however_it_is_placed(mitsuba, shot, maps, blob_directory):
    from pipeline.scene.load import load

    upside_down = turned(maps, lambda each: each.flip(-2), lambda x, y: (x, -y))
    # (u, v) → (1 − v, u): the picture's right is down on the plate, and its top, v = 0, to the left
    on_its_side = turned(maps, lambda each: each.transpose(-1, -2), lambda x, y: (-y, -x))
    for placed, expected in (("", upside_down), (UPRIGHT, maps), (QUARTER, on_its_side)):
        taken = shot(placed)
        frozen = freeze(taken, taken.frame_list, blob_directory)
        names = frozen["*"].files.values()
        assert sorted(Path(name).name for name in names) == [
            "albedo.exr",
            "normal.exr",
            "roughness.exr",
            "specular.exr",
        ]
        assert "wall" in frozen["*"].bsdfs
        fs = load(spec.of(taken.model_dump(mode="json", by_alias=True), frozen, 1), 1, blob_directory)
        seen = np.array(mitsuba.render(fs.scene, spp=64, seed=1))[..., :3]
        seen, truth = seen[1:-1, 1:-1], wanted(expected)[1:-1, 1:-1]  # at the borders textures go round
        error = np.abs(seen - truth) / truth
        assert error.mean() < 0.01, placed
        assert math.isclose(seen.mean(), truth.mean(), rel_tol=5e-3)


def test_assets_that_cannot_be_used_refuse_the_shot(shot, blob_directory):
    taken = shot()
    (taken.directory / "oak" / "normal.exr").unlink()
    with pytest.raises(SceneError, match=r"materials\.wall: missing map .*normal\.exr"):
        freeze(taken, taken.frame_list, blob_directory)
