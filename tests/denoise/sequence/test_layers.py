"""Channels become frames, mapping by mapping; denoised layers become channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.backends import Denoised
from pipeline.denoise.frame import Frame
from pipeline.denoise.sequence.layers import Layout, frame_from, outputs, resolve
from pipeline.denoise.sequence.mapping import ChannelMapping, load
from pipeline.errors import AssetError

Layers = dict[str, np.ndarray]
Channels = dict[str, np.ndarray]
Colour = Callable[..., Channels]


def mapped(name: str, stored: Channels, mapping: ChannelMapping | None = None) -> tuple[Layout, Frame]:
    layout = resolve(name, mapping or load(name), list(stored))
    return layout, frame_from(layout, stored)


def cycles(layers: Layers, colour: Colour) -> Channels:
    """A view layer whose direct and indirect light each bring half of the irradiance."""
    whole = layers["albedo"] * layers["diffuse"] * 2 + layers["specular"] + layers["emission"]
    return {
        **colour("View.Combined.", np.concatenate([whole, layers["scalar"]], axis=-1), "RGBA"),
        **colour("View.DiffDir.", layers["diffuse"]),
        **colour("View.DiffInd.", layers["diffuse"]),
        **colour("View.DiffCol.", layers["albedo"]),
        **colour("View.Emit.", layers["emission"]),
        **colour("View.Denoising Albedo.", layers["albedo"]),
        **colour("View.Denoising Normal.", layers["normal"], "XYZ"),
        **colour("View.Vector.", layers["vector"], "XYZW"),
        "View.Depth.Z": layers["scalar"][..., 0],
    }


def test_cycles_is_split_by_its_light_passes_and_what_is_left_is_specular(layers: Layers, colour: Colour) -> None:
    stored = cycles(layers, colour)

    layout, frame = mapped("cycles", stored)

    assert layout.source == frame.source == "split"
    assert np.allclose(frame.components["diffuse"], layers["albedo"] * layers["diffuse"] * 2)
    assert np.array_equal(frame.components["emission"], layers["emission"])
    assert np.allclose(frame.components["specular"], layers["specular"], atol=1e-6)
    assert np.array_equal(frame.albedo, layers["albedo"])
    assert np.array_equal(frame.normal, layers["normal"])
    assert np.array_equal(frame.alpha, layers["scalar"][..., 0])


def test_motion_of_cycles_points_right_and_down_to_the_previous_and_the_next_frame(colour: Colour) -> None:
    # A point at pixel (10, 20) counted from the upper left was at (7, 24), and will be at (14, 15). Cycles counts y
    # from below, and stores previous − here and here − next (`primitive_motion_vector`): (−3, −4) and (−4, −5).
    vector = np.broadcast_to(np.array([-3.0, -4.0, -4.0, -5.0], np.float32), (2, 2, 4))
    stored = colour("V.Combined.", np.zeros((2, 2, 3), np.float32)) | colour("V.Vector.", vector, "XYZW")

    _, frame = mapped("cycles", stored)

    assert (frame.backward == [-3.0, 4.0]).all()
    assert (frame.forward == [4.0, -5.0]).all()


def test_motion_of_arnold_goes_over_the_shutter_and_back(colour: Colour) -> None:
    vector = np.broadcast_to(np.array([2.0, 3.0], np.float32), (2, 2, 2))
    stored = colour("", np.zeros((2, 2, 3), np.float32)) | colour("motionvector.", vector, "XY")

    _, frame = mapped("arnold", stored)

    assert (frame.forward == [2.0, -3.0]).all()
    assert (frame.backward == [-2.0, 3.0]).all()


def test_the_noisy_image_of_cycles_is_read_and_combined_is_written(layers: Layers, colour: Colour) -> None:
    stored = cycles(layers, colour) | colour("View.Noisy Image.", layers["beauty"])

    layout, _ = mapped("cycles", stored)

    assert layout.read["beauty"].verbatim == ("View.Noisy Image.R", "View.Noisy Image.G", "View.Noisy Image.B")
    assert layout.write["beauty"] == ("View.Combined.R", "View.Combined.G", "View.Combined.B")
    assert not layout.keeps_noisy


def test_of_several_view_layers_that_with_the_most_layers_is_taken(layers: Layers, colour: Colour) -> None:
    stored = cycles(layers, colour) | colour("Composite.Combined.", layers["extra"])

    layout, _ = mapped("cycles", stored)

    assert layout.write["beauty"][0] == "View.Combined.R"


@pytest.mark.parametrize("prefix", ["", "RGBA."])
def test_arnold_keeps_other_lobes_in_the_specular_component(layers: Layers, colour: Colour, prefix: str) -> None:
    transmission = layers["extra"]
    stored = {
        **colour(prefix, layers["beauty"] + transmission),
        **colour("diffuse.", layers["diffuse"]),
        **colour("specular.", layers["specular"]),
        **colour("emission.", layers["emission"]),
        **colour("denoise_albedo.", layers["albedo"]),
        **colour("N.", layers["normal"], "XYZ"),
    }

    layout, frame = mapped("arnold", stored)
    denoised = Denoised(**frame.components, alpha=np.ones(frame.shape, np.float32))
    written = outputs(layout, frame, denoised, stored, 1.0)

    assert frame.source == "split"
    assert np.allclose(frame.components["specular"], layers["specular"] + transmission, atol=1e-6)
    # The denoiser changed nothing, so every channel comes back as it was, the specular layer without transmission.
    assert set(written) == {
        *colour(prefix, layers["beauty"]),
        *(f"{c}.{a}" for c in ("diffuse", "specular", "emission") for a in "RGB"),
    }
    for name, values in written.items():
        assert np.allclose(values, stored[name], atol=2e-3), name


def test_renderman_without_its_split_is_unsplit_with_the_variance_of_luminance(layers: Layers, colour: Colour) -> None:
    stored = {
        **colour("", layers["beauty"]),
        **colour("mse.", np.full_like(layers["spread"], 0.25), "rgb"),
        **colour("albedo.", layers["albedo"], "rgb"),
        **colour("albedo_var.", layers["spread"], "rgb"),
        **colour("normal.", layers["normal"], "xyz"),
        **colour("normal_mse.", layers["spread"], "xyz"),
        **colour("forward.", layers["vector"], "xyz"),
        **colour("backward.", layers["vector"], "xyz"),
    }

    _, frame = mapped("renderman", stored)

    assert frame.source == "unsplit"
    assert np.array_equal(frame.components["beauty"], layers["beauty"])
    assert np.allclose(frame.variance["beauty"], 0.25)  # of one grey that every channel follows
    assert "albedo" not in frame.variance  # `_var` is of samples, not of the mean
    assert np.allclose(frame.variance["normal"], layers["spread"].mean(axis=-1))
    assert np.array_equal(frame.forward, layers["vector"][..., :2])


def test_renderman_with_diffuse_and_specular_is_split(layers: Layers, colour: Colour) -> None:
    stored = {
        **colour("Ci.", layers["diffuse"] + layers["specular"], "rgb"),
        **colour("diffuse.", layers["diffuse"], "rgb"),
        **colour("specular.", layers["specular"], "rgb"),
        **colour("albedo.", layers["albedo"], "rgb"),
        **colour("normal.", layers["normal"], "xyz"),
    }

    layout, frame = mapped("renderman", stored)

    assert frame.source == "split"
    assert layout.write["specular"] == ("specular.r", "specular.g", "specular.b")
    assert not frame.components["emission"].any()


@pytest.mark.parametrize(
    ("features", "source"),
    [((), "colour"), (("albedo",), "colour"), (("normal",), "colour"), (("albedo", "normal"), "features")],
)
def test_plain_files_are_colour_or_features(
    layers: Layers, colour: Colour, features: tuple[str, ...], source: str
) -> None:
    stored = colour("", layers["beauty"])
    for name in features:
        stored |= colour(f"{name}.", layers[name])

    assert mapped("plain", stored)[1].source == source


def test_our_own_beauty_is_the_noisy_one_and_shares_out_as_the_stored_components_do(
    layers: Layers, colour: Colour
) -> None:
    parts = ("diffuse", "specular", "emission")
    stored = {
        **colour("", np.concatenate([layers["beauty"], layers["scalar"]], axis=-1), "RGBA"),
        **colour("noisy.", layers["extra"]),
        **{k: v for part in parts for k, v in colour(f"{part}.", layers[part]).items()},
        **colour("albedo.", layers["albedo"]),
        **colour("N.", layers["normal"], "XYZ"),
        "Z": layers["scalar"][..., 0],
        **{f"motion.{way}.{axis}": layers["scalar"][..., 0] for way in ("forward", "backward") for axis in "XYV"},
        **{name: layers["scalar"][..., 0] for name in ("variance.Y", "samples.Y", "error.Y", "lambda.Y")},
    }

    layout, frame = mapped("penumbra", stored)
    denoised = Denoised.unsplit(layers["beauty"] * 2, layers["scalar"][..., 0])
    written = outputs(layout, frame, denoised, stored, 3.0)

    assert frame.source == "unsplit"
    assert not layout.keeps_noisy
    assert np.array_equal(frame.beauty, layers["extra"])
    for part in parts:
        assert np.allclose(written[f"{part}.G"], layers[part][..., 1] * 2, rtol=1e-5)
    assert (written["lambda.Y"] == 3.0).all()
    assert "noisy.R" not in written


def test_components_above_the_beauty_are_cut_to_it(layers: Layers, colour: Colour) -> None:
    # Renderers that clamp the beauty leave their other layers as they are.
    stored = {
        **colour("", np.minimum(layers["beauty"], 0.5)),
        **colour("diffuse.", layers["diffuse"]),
        **colour("albedo.", layers["albedo"]),
        **colour("N.", layers["normal"], "XYZ"),
    }

    _, frame = mapped("arnold", stored)

    assert min(part.min() for part in frame.components.values()) >= 0.0
    assert np.allclose(frame.beauty, np.minimum(layers["beauty"], 0.5), atol=1e-6)


def test_a_user_computes_layers_with_sum_times_and_scale(layers: Layers, colour: Colour) -> None:
    read: dict[str, Any] = {
        "beauty": "C.{R,G,B}",
        "albedo": {"sum": ["a.{R,G,B}", "b.{R,G,B}"], "times": "c.{R,G,B}", "scale": [2]},
    }
    stored = colour("C.", layers["beauty"])
    stored |= colour("a.", layers["albedo"]) | colour("b.", layers["spread"]) | colour("c.", layers["extra"])

    _, frame = mapped("own", stored, ChannelMapping.model_validate({"read": read}))

    assert np.allclose(frame.albedo, 2 * (layers["albedo"] + layers["spread"]) * layers["extra"])


def test_what_cannot_be_denoised_is_refused(layers: Layers, colour: Colour) -> None:
    with pytest.raises(AssetError, match="has no colour: mapping cycles looks for"):
        mapped("cycles", colour("", layers["beauty"]))
    with pytest.raises(AssetError, match=r"holds noisy\.B already: it was denoised before"):
        mapped("plain", colour("", layers["beauty"]) | colour("noisy.", layers["beauty"]))
    with pytest.raises(AssetError, match=r"lacks D\.B, D\.G, D\.R, which mapping own writes"):
        own = ChannelMapping.model_validate({"read": {"beauty": "{R,G,B}"}, "write": {"beauty": "D.{R,G,B}"}})
        mapped("own", colour("", layers["beauty"]), own)


def test_values_that_are_not_finite_are_left_to_the_frame_to_mend(layers: Layers, colour: Colour) -> None:
    vector = layers["vector"].copy()
    vector[0, 0] = np.nan
    stored = cycles(layers, colour) | colour("View.Vector.", vector, "XYZW")

    frame = mapped("cycles", stored)[1].sane()

    assert frame.mended == {"forward": 2, "backward": 2}
    assert frame.forward_valid is not None and frame.forward_valid[0, 0] == 0.0
