"""Painted maps travel with the job: they are frozen by content, and refused by name when they do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pipeline.config.load import load_shot
from pipeline.errors import AssetError, ConfigError
from pipeline.farm.store import open_store
from pipeline.farm.submission import prepare
from pipeline.scene.blobs import is_blob

SCENE = """<scene version="3.0.0"><sensor type="perspective"/><shape type="sphere" id="ball"/>
<emitter type="constant"/></scene>"""


@pytest.fixture
def shot_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "painted"
    directory.mkdir()
    (directory / "scene.xml").write_text(SCENE)
    (directory / "shot.yaml").write_text(
        "shot: painted\nscene: scene.xml\nframes: 1\nresolution: [8, 4]\nsampling: {importance: mask.png}\n"
    )
    return directory


def paint(path: Path, *, width: int, height: int) -> None:
    Image.fromarray(np.full((height, width), 128, np.uint8)).save(path)


def test_an_importance_mask_is_frozen_by_content(shot_directory: Path, tmp_path: Path) -> None:
    paint(shot_directory / "mask.png", width=8, height=4)
    store = open_store(str(tmp_path / "out"))
    prepared = prepare([load_shot(shot_directory)], store, {"key": "0"})[0]
    name = prepared.frozen.config["sampling"]["importance"]
    shutil.rmtree(shot_directory)
    assert is_blob(name) and store.exists(f"blobs/{name}")


def test_a_mask_of_another_size_is_refused_with_both_sizes(shot_directory: Path, tmp_path: Path) -> None:
    paint(shot_directory / "mask.png", width=9, height=4)
    with pytest.raises(AssetError, match=r"9×4 pixels, the frame 8×4"):
        prepare([load_shot(shot_directory)], open_store(str(tmp_path / "out")), {"key": "0"})


def test_a_mask_that_is_no_image_is_refused_by_name(shot_directory: Path, tmp_path: Path) -> None:
    (shot_directory / "mask.png").write_text("not a picture")
    with pytest.raises(AssetError, match=r"mask\.png"):
        prepare([load_shot(shot_directory)], open_store(str(tmp_path / "out")), {"key": "0"})


def paint_lambda(path: Path, *, width: int, height: int) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Y": np.full((height, width), 2, np.float32)}).write(str(path))


STEERED = {"sampling.importance": None, "denoise.lambda_map": "lambda.exr"}


def test_a_lambda_map_is_frozen_by_content(shot_directory: Path, tmp_path: Path) -> None:
    paint_lambda(shot_directory / "lambda.exr", width=8, height=4)
    store = open_store(str(tmp_path / "out"))
    prepared = prepare([load_shot(shot_directory, STEERED)], store, {"key": "0"})[0]
    name = prepared.frozen.config["denoise"]["lambda_map"]
    shutil.rmtree(shot_directory)
    assert is_blob(name) and store.exists(f"blobs/{name}")


def test_a_lambda_map_of_another_size_is_refused_with_both_sizes(shot_directory: Path, tmp_path: Path) -> None:
    paint_lambda(shot_directory / "lambda.exr", width=8, height=5)
    with pytest.raises(ConfigError, match=r"lambda\.exr: denoise\.lambda_map: the λ map is 8×5 pixels, the frame 8×4$"):
        prepare([load_shot(shot_directory, STEERED)], open_store(str(tmp_path / "out")), {"key": "0"})


def test_a_lambda_map_that_is_no_exr_is_refused_by_name(shot_directory: Path, tmp_path: Path) -> None:
    paint(shot_directory / "lambda.exr.png", width=8, height=4)
    (shot_directory / "lambda.exr.png").rename(shot_directory / "lambda.exr")
    with pytest.raises(ConfigError, match=r"lambda\.exr: denoise\.lambda_map: the λ map cannot be read as an EXR"):
        prepare([load_shot(shot_directory, STEERED)], open_store(str(tmp_path / "out")), {"key": "0"})
