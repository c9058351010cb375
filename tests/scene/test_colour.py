"""A rendering space: what a chart shows is what OpenColorIO makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
import pytest
from pydantic import ValidationError

from pipeline.config.colour import Colour
from pipeline.scene import blobs
from pipeline.scene.spec import SceneSpec

CHART = np.array(
    [
        [[40, 60, 200], [255, 0, 0], [0, 255, 0], [10, 10, 10]],
        [[255, 255, 255], [250, 220, 0], [128, 128, 128], [0, 0, 255]],
    ],
    np.uint8,
)


def ocio_converts(rgb: np.ndarray, source: str) -> np.ndarray:
    config = ocio.Config.CreateFromBuiltinConfig("cg-config-v2.1.0_aces-v1.3_ocio-v2.3")
    pixels = np.ascontiguousarray(rgb, np.float32)
    config.getProcessor(source, "ACEScg").getDefaultCPUProcessor().applyRGB(pixels)
    return pixels


def flat(mitsuba: Any, directory: Path, colour: dict[str, str], radiance: str) -> np.ndarray:
    """What a camera sees of a rectangle that fills its view and shines: 2×4×3."""
    name = blobs.put_text(
        directory,
        f"""<scene version="3.0.0"><sensor type="orthographic"><transform name="to_world"><scale x="-1" y="1"/>
<lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<shape type="rectangle"><transform name="to_world"><scale y="0.5"/></transform>
<emitter type="area">{radiance}</emitter></shape></scene>""",
        "xml",
    )
    from pipeline.scene.load import load

    fs = load(SceneSpec(xml=name, resolution=(40, 20), colour=colour), 1, directory)
    path = mitsuba.load_dict({"type": "path"})
    image = np.array(mitsuba.render(fs.scene, sensor=fs.sensor, integrator=path, spp=1))[..., :3]
    return image[5::10, 5::10]


@pytest.fixture
def seen(mitsuba: Any, blob_directory: Path) -> Callable[..., np.ndarray]:
    return lambda radiance, **colour: flat(mitsuba, blob_directory, colour, radiance)


def texture(mitsuba: Any, directory: Path, pixels: np.ndarray, kind: str) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / f"chart.{kind}"
    mitsuba.Bitmap(pixels).write(str(path))
    name = blobs.put(directory, path)
    nearest = '<string name="filter_type" value="nearest"/>'
    return f'<texture type="bitmap" name="radiance"><string name="filename" value="{name}"/>{nearest}</texture>'


def same(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """The camera of `flat` is upside down and sees from right to left."""
    return np.allclose(found, wanted[::-1, ::-1], atol=tolerance)


def test_a_chart_of_8_bits_is_converted_as_ocio_does(mitsuba: Any, seen: Any, blob_directory: Path) -> None:
    chart = texture(mitsuba, blob_directory, CHART, "png")
    found = seen(chart, rendering="acescg")
    assert same(found, ocio_converts(CHART / 255.0, "sRGB - Texture"), 1e-3)
    plain = seen(chart)
    assert not np.allclose(found, plain, atol=0.05)
    declared = seen(chart, rendering="acescg", textures="sRGB Encoded AP1 - Texture")
    assert same(declared, ocio_converts(CHART / 255.0, "sRGB Encoded AP1 - Texture"), 1e-3)


def test_values_and_float_textures_are_converted(mitsuba: Any, seen: Any, blob_directory: Path) -> None:
    linear = (CHART / 255.0 * 3).astype(np.float32)
    found = seen(texture(mitsuba, blob_directory, linear, "exr"), rendering="acescg")
    assert same(found, ocio_converts(linear, "Linear Rec.709 (sRGB)"), 3e-3)
    white = seen('<rgb name="radiance" value="1"/>', rendering="acescg")
    np.testing.assert_allclose(white, 1.0, atol=1e-5)
    rgb = seen('<rgb name="radiance" value="0.2, 0.5, 0.9"/>', rendering="acescg")
    wanted = ocio_converts(np.array([[[0.2, 0.5, 0.9]]]), "Linear Rec.709 (sRGB)")
    np.testing.assert_allclose(rgb, np.broadcast_to(wanted, rgb.shape), atol=1e-4)


def test_a_space_that_the_config_lacks_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"ACEScgg.*is no colour space of.*ACEScg"):
        Colour(float_textures="ACEScgg")
