"""Neural maps fitted: quality after rounding, environments, seeds, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import AssetError, ConfigError
from pipeline.images import neural_map
from pipeline.images.neural_map import HALF_TOP
from pipeline.optim.assets.encode import Settings, encode
from pipeline.optim.assets.source import Source, read_source
from pipeline.optim.assets.tiled import TiledField, tiles_of

TINY = {"steps": 150, "width": 16, "depth": 2, "tile": 32, "margin": 2}


def waves(height: int, width: int) -> np.ndarray:
    """A smooth picture in [0, 1], H×W×3, that goes round in its columns."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    phases = np.array([0.0, 1.0, 2.0])
    return 0.5 + 0.4 * np.sin(2 * np.pi * (2 * x + 1.5 * y)[..., None] + phases)


@pytest.fixture
def picture() -> Source:
    return Source("waves.png", np.rint(waves(48, 64) * 65535).astype(np.uint16), "display", 9216)


def test_the_decoded_map_is_the_picture(picture):
    stored, fit = encode(picture, Settings(**TINY))
    error = neural_map.decode(stored).astype(float) - picture.codes
    assert fit.psnr == pytest.approx(-10 * np.log10(np.mean((error / 65535) ** 2)), abs=1e-6)
    assert fit.psnr > 29
    assert fit.energy == pytest.approx(1.0, abs=0.01)
    assert fit.optimizer == "esgd" and "smooth" in fit.reason
    assert stored.provenance["source"] == "waves.png"


def test_rounding_to_integers_costs_next_to_nothing(picture):
    values = picture.codes.astype(np.float32) / 65535 * 2 - 1
    places, targets = tiles_of(values, tile=64, margin=0, wraps=False)
    field = TiledField(len(targets), 3, width=16, depth=3)
    with torch.no_grad():
        floats = field(torch.from_numpy(places))[0].reshape(64, 64, 3).numpy()[:48]
    stored, _ = encode(picture, Settings(steps=1, width=16, depth=3, tile=64, margin=0, rate=1e-12))
    codes = neural_map.decode(stored) / 65535 * 2 - 1
    assert np.abs(codes - np.clip(floats, -1, 1)).max() < 4e-3


def test_an_environment_keeps_its_sun_its_seam_and_its_energy():
    sky = waves(32, 64).astype(np.float32)
    sky[5, 20:22] = 5000.0
    codes = sky.astype(np.float16).view(np.uint16)
    source = Source("sky.exr", codes, "half", 12345)
    stored, fit = encode(source, Settings(kind="environment", **TINY))
    found = neural_map.decode(stored).view(np.float16).astype(float)
    np.testing.assert_allclose(found[5, 20:22], 5000.0, rtol=1e-3)
    assert fit.energy == pytest.approx(1.0, abs=0.02)
    seam, inside = (np.abs(found[:, a] - found[:, b]).mean() for a, b in ((0, 63), (40, 41)))
    assert seam < 3 * inside
    assert stored.top == HALF_TOP and stored.wraps


def test_equal_seeds_give_equal_maps(picture):
    settings = Settings(**{**TINY, "steps": 20})
    one, two = (encode(picture, settings)[0] for _ in range(2))
    np.testing.assert_array_equal(neural_map.decode(one), neural_map.decode(two))


def test_files_are_read_as_codes(tmp_path: Path):
    import OpenEXR

    Image.fromarray(np.full((8, 9), 100, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((8, 9, 4), 200, np.uint8)).save(tmp_path / "alpha.png")
    grey, alpha = (read_source(tmp_path / name) for name in ("grey.png", "alpha.png"))
    assert grey.codes.shape == (8, 9, 1) and grey.codes.max() == 25700 and grey.coding == "display"
    assert alpha.codes.shape == (8, 9, 4)
    channels = {name: np.full((8, 9), 1.5, np.float32) for name in "RGB"}
    OpenEXR.File({}, channels).write(str(tmp_path / "linear.exr"))
    linear = read_source(tmp_path / "linear.exr")
    assert linear.coding == "half" and (linear.codes.view(np.float16) == 1.5).all()


def write_exr(path: Path, value: float) -> None:
    import OpenEXR

    OpenEXR.File({}, {name: np.full((8, 9), value, np.float32) for name in "RGB"}).write(str(path))


def test_bad_maps_are_refused_with_the_reason(tmp_path: Path):
    def said(name: str) -> str:
        with pytest.raises(AssetError) as refused:
            read_source(tmp_path / name)
        assert refused.value.exit_code == 2
        return str(refused.value)

    write_exr(tmp_path / "negative.exr", -0.5)
    write_exr(tmp_path / "infinite.exr", float("inf"))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "done.neural").write_bytes(b"x")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "tiny.png")
    assert "missing file" in said("none.png")
    assert "negative" in said("negative.exr") and "not finite" in said("infinite.exr")
    assert "cannot be read" in said("broken.png") and "one of .png" in said("notes.txt")
    assert "encoded already" in said("done.neural") and "too few" in said("tiny.png")


def test_settings_that_make_no_network_or_no_environment_are_refused(picture):
    with pytest.raises(AssetError, match="width 4"):
        Settings(width=1)
    with pytest.raises(AssetError, match="tile 16"):
        Settings(tile=2)
    with pytest.raises(AssetError, match="twice as wide"):
        encode(picture, Settings(kind="environment"))
    with pytest.raises(ConfigError, match="no optimizer"):
        encode(picture, Settings(optimizer="lion"))
