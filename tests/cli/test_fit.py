"""`pipeline fit`: optimisers side by side, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

pytest.importorskip("torch")

from pipeline.cli.fit import fit
from pipeline.errors import AssetError, ConfigError

SMALL = ("--steps", "40", "--batch", "64", "--width", "16", "--depth", "2", "--threads", "1")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:16, 0:24] / 16
    pixels = np.stack([x / 1.5, y, 0.5 + 0.5 * np.sin(6 * x)], axis=-1)
    Image.fromarray(np.uint8(255 * pixels)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(fit, [*SMALL, *arguments], standalone_mode=False, catch_exceptions=True)


def test_optimisers_are_compared_from_the_same_start_and_the_best_field_is_written(picture: Path) -> None:
    out = picture.with_name("b.png")
    done = ran(str(picture), "--optimizer", "auto", "--optimizer", "adam", "--out", str(out), "--json")
    assert done.exception is None and done.return_value == 0
    document = json.loads(done.stdout)
    assert [run["optimizer"] for run in document["runs"]] == ["esgd", "adam"]
    assert all(run["looks"][-1]["step"] == 40 for run in document["runs"])
    assert "optimizer esgd: sine is smooth" in done.stderr
    best = max(run["looks"][-1]["quality"] for run in document["runs"])
    error = np.asarray(Image.open(out), float) / 255 - np.asarray(Image.open(picture), float) / 255
    assert -10 * np.log10(np.mean(error**2)) == pytest.approx(best, abs=0.3)


def test_weights_carry_what_rebuilds_the_field(picture: Path) -> None:
    from safetensors import safe_open

    from pipeline.optim.fields.coordinate import CoordinateField

    out = picture.with_name("b.safetensors")
    assert ran(str(picture), "--activation", "gaussian", "--out", str(out)).return_value == 0
    with safe_open(out, "pt") as file:
        shape = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    sizes = {"width": int(shape["width"]), "depth": int(shape["depth"])}
    CoordinateField(2, 3, activation=shape["activation"], **sizes).load_state_dict(weights)


def test_a_training_that_diverges_fails_and_writes_nothing(picture: Path) -> None:
    out = picture.with_name("b.png")
    done = ran(str(picture), "--optimizer", "sgd", "--rate", "1e30", "--out", str(out))
    assert done.return_value == 1 and "lower --rate" in done.stderr and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--activation", "sin"), ConfigError, "did you mean 'sine'"),
        (("--optimizer", "adamm"), ConfigError, "did you mean 'adam'"),
        (("--out", "b.jpg"), ConfigError, "must end in .safetensors or .png"),
    ],
)
def test_bad_input_is_refused(picture: Path, arguments: Any, error: Any, message: str) -> None:
    done = ran(str(picture), *arguments)
    assert isinstance(done.exception, error) and message in str(done.exception)


def test_what_is_neither_image_nor_mesh_is_refused(tmp_path: Path) -> None:
    done = ran(str(tmp_path / "a.txt"))
    assert isinstance(done.exception, AssetError) and "neither an image nor a mesh" in str(done.exception)
