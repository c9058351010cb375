"""The modules of the network, each alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.denoise.backends import DEMODULATION
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.compositing import ScaleCompositing, composite
from pipeline.denoise.network.encoder import Encoder
from pipeline.denoise.network.extractor import ResidualExtractor, UNet
from pipeline.denoise.network.loss import EPSILON, asymmetric_smape, smape
from pipeline.denoise.network.pyramid import downsample, upsample
from pipeline.denoise.network.sources import (
    ALBEDO,
    COMPONENTS,
    IRRADIANCE,
    SOURCES,
    SPECULAR,
    coarser,
    exposure,
    inputs,
    noisy,
    source,
)
from pipeline.denoise.network.specialisation import KernelHead, Specialisation, log_lambda
from pipeline.denoise.network.temporal import Temporal
from pipeline.errors import ConfigError


def frame_of_noise(height: int = 20, width: int = 24, *, seed: int = 0, **changes: object) -> Frame:
    """A frame with every layer."""
    rng = np.random.default_rng(seed)

    def layer(*channels: int) -> np.ndarray:
        return rng.random((height, width, *channels), dtype=np.float32)

    one = np.ones((height, width), np.float32)
    given: dict[str, object] = {
        "components": {"emission": 0.1 * layer(3), "diffuse": layer(3), "specular": layer(3)},
        "variance": {name: 0.1 * layer() for name in ("emission", "diffuse", "specular", "albedo", "normal")},
        "albedo": layer(3),
        "normal": layer(3) - 0.5,
        "alpha": layer(),
        "forward": np.zeros((height, width, 2), np.float32),
        "backward": np.zeros((height, width, 2), np.float32),
        "forward_valid": one,
        "backward_valid": one,
        "count": 16 * one,
    }
    return Frame(**{**given, **changes})


# --- Inputs -----------------------------------------------------------------------------------------------------------


def test_what_kernels_are_applied_to_recombines_to_the_beauty() -> None:
    frame = frame_of_noise()
    diffuse = noisy(frame, IRRADIANCE) * (frame.albedo + np.float32(DEMODULATION))

    np.testing.assert_allclose(diffuse + noisy(frame, SPECULAR), frame.beauty, rtol=1e-5)
    assert noisy(frame, ALBEDO) is frame.albedo


def test_inputs_are_the_logarithm_of_exposed_colour_features_and_relative_variances() -> None:
    frame = frame_of_noise()
    planes = inputs(frame, IRRADIANCE, 2.0)

    assert planes.shape == (SOURCES["penumbra"].channels, 20, 24)
    np.testing.assert_allclose(planes[:3], np.moveaxis(np.log1p(2 * noisy(frame, IRRADIANCE)), -1, 0), rtol=1e-5)
    np.testing.assert_allclose(planes[4:7], np.moveaxis(np.log1p(frame.albedo), -1, 0), rtol=1e-5)
    variances = planes[[3, 7, 11]]
    assert variances.min() >= 0 and variances.max() <= 1
    np.testing.assert_array_equal(planes[12:14, 0, 0], [1, 0])
    np.testing.assert_allclose(planes[14], math.log2(17) / 8, rtol=1e-6)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_makes_finite_inputs_of_a_frame_that_lacks_layers(name: str, component: str) -> None:
    bare = Frame(components={"beauty": np.ones((6, 7, 3), np.float32)}, source=name)

    planes = inputs(bare, component, 1.0)
    assert planes.shape == (source(name).channels, 6, 7)
    assert np.isfinite(planes).all()


def test_nothing_that_is_not_finite_reaches_the_network() -> None:
    frame = frame_of_noise()
    diffuse = frame.components["diffuse"].copy()
    diffuse[3, 4, 1], diffuse[5, 6, 0], diffuse[7, 8, 2] = np.nan, np.inf, -1.0
    motion = np.zeros((20, 24, 2), np.float32)
    motion[2, 2, 0] = np.nan
    sane = frame_of_noise(components={**frame.components, "diffuse": diffuse}, forward=motion).sane()

    assert sane.mended == {"diffuse": 3, "forward": 1}
    assert sane.forward_valid[2, 2] == 0 and sane.forward_valid[2, 3] == 1
    planes = inputs(sane, IRRADIANCE, 1.0)
    assert np.isfinite(planes).all()
    assert planes[3, 3, 4] == planes[3, 5, 6] == planes[3, 7, 8] == 1  # as uncertain as can be
    assert frame_of_noise().sane().mended == {}


def test_exposure_brings_the_log_average_to_middle_grey_and_leaves_black_alone() -> None:
    grey = Frame(components={"beauty": np.full((40, 50, 3), 3.6, np.float32)})

    assert exposure(grey) == pytest.approx(0.05, rel=1e-4)
    assert exposure(Frame(components={"beauty": np.zeros((40, 50, 3), np.float32)})) == 1.0
    assert exposure(Frame(components={"beauty": np.full((5, 3, 3), 3.6, np.float32)})) == pytest.approx(0.05, rel=1e-4)


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="unknown source `blender`"):
        source("blender")


def test_coarser_inputs_average_linearly_and_quarter_the_variance() -> None:
    frame = frame_of_noise(components={"emission": np.zeros((20, 24, 3), np.float32),
                                       "diffuse": np.ones((20, 24, 3), np.float32),
                                       "specular": np.ones((20, 24, 3), np.float32)})  # fmt: skip
    fine = torch.from_numpy(inputs(frame, SPECULAR, 1.0))[None]
    coarse = coarser(fine, source("penumbra"))

    assert coarse.shape == (1, 15, 10, 12)
    torch.testing.assert_close(coarse[:, :3], fine[:, :3, ::2, ::2])
    torch.testing.assert_close(coarse[:, 3:4], downsample(fine[:, 3:4]) / 4)
    torch.testing.assert_close(coarse[:, 14], torch.full((1, 10, 12), math.log2(65) / 8))


# --- Modules ----------------------------------------------------------------------------------------------------------


def test_the_encoder_folds_pixels_where_it_has_a_stride() -> None:
    x = torch.rand(2, 5, 8, 12)

    assert Encoder(5, 16)(x).shape == (2, 16, 8, 12)
    assert Encoder(5, 16, stride=2)(x).shape == (2, 16, 4, 6)


def test_the_u_net_gives_features_at_every_resolution_of_any_size() -> None:
    features = UNet((8, 12, 16, 20))(torch.rand(1, 8, 13, 27))

    assert [tuple(f.shape) for f in features] == [(1, 8, 13, 27), (1, 12, 7, 14), (1, 16, 4, 7)]


def test_a_residual_block_with_zero_weights_is_the_identity() -> None:
    extractor = ResidualExtractor(6, 3)
    for parameter in extractor.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 6, 5, 4)

    torch.testing.assert_close(extractor(x)[0], x)


def test_a_window_of_one_frame_leaves_features_as_they_are() -> None:
    centre = torch.rand(1, 8, 6, 6)

    assert Temporal(8, 1).gather(centre, []) is centre


def test_what_is_invalid_of_a_neighbour_is_not_looked_at() -> None:
    temporal, centre, valid = Temporal(8, 1), torch.rand(1, 8, 6, 6), torch.zeros(1, 1, 6, 6)
    one, other = (temporal.compare(temporal.own(centre), torch.rand(1, 8, 6, 6), valid, 1) for _ in range(2))

    torch.testing.assert_close(one, other)


def test_the_neutral_lambda_changes_nothing_and_others_do() -> None:
    block, x = Specialisation(8), torch.rand(1, 8, 4, 4)

    assert torch.equal(block(x, log_lambda(1.0).reshape(1, 1, 1, 1)), x)
    assert not torch.equal(block(x, log_lambda(7.0).reshape(1, 1, 1, 1)), x)
    assert log_lambda(1.0) == 0 and log_lambda(10.0) == pytest.approx(1.0)


def test_kernel_heads_reach_the_resolution_of_the_image() -> None:
    assert KernelHead(8, 5, upscale=2)(torch.rand(1, 8, 3, 4)).shape == (1, 26, 6, 8)
    assert KernelHead(8, 3)(torch.rand(1, 8, 3, 4)).shape == (1, 10, 3, 4)


# --- Scales -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_down_and_up_keep_a_constant_at_odd_sizes(mode: str) -> None:
    x = torch.full((1, 2, 7, 9), 3.0)

    assert downsample(x).shape == (1, 2, 4, 5)
    torch.testing.assert_close(downsample(x), torch.full((1, 2, 4, 5), 3.0))
    torch.testing.assert_close(upsample(downsample(x), (7, 9), mode), x)  # type: ignore[arg-type]


def test_alpha_zero_keeps_the_fine_image_and_alpha_one_takes_the_coarse_ones_low_frequencies() -> None:
    fine, coarse = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 4, 4)

    torch.testing.assert_close(composite(fine, coarse, torch.zeros(1, 1, 8, 8), "nearest"), fine)
    mixed = composite(fine, coarse, torch.ones(1, 1, 8, 8), "nearest")
    torch.testing.assert_close(downsample(mixed), coarse)
    # Equation 5, written out.
    expected = fine - upsample(downsample(fine), (8, 8), "nearest") + upsample(coarse, (8, 8), "nearest")
    torch.testing.assert_close(mixed, expected)


def test_the_compositing_weight_is_between_none_and_all() -> None:
    module, exposed = ScaleCompositing(4).requires_grad_(False), torch.ones(1, 1, 1, 1)
    fine, coarse = 50 * torch.rand(1, 3, 7, 9), 50 * torch.rand(1, 3, 4, 5)
    alpha = module(fine, coarse, torch.zeros(1, 1, 7, 9), exposed, "bilinear")

    assert alpha.shape == (1, 1, 7, 9)
    assert float(alpha.min()) >= 0 and float(alpha.max()) <= 1
    torch.testing.assert_close(
        module(fine, coarse, torch.full((1, 1, 7, 9), 50.0), exposed, "bilinear"), torch.ones(1, 1, 7, 9)
    )


# --- Losses -----------------------------------------------------------------------------------------------------------


def test_smape_is_equation_2() -> None:
    d, r = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1.0, 1.0, 1.0])

    torch.testing.assert_close(smape(d, r), torch.tensor([1 / (1 + EPSILON), 0.0, 2 / (4 + EPSILON)]))
    assert smape(torch.tensor(-1.0), torch.tensor(0.0)) > smape(torch.tensor(-0.5), torch.tensor(0.0))


@pytest.mark.parametrize(
    ("denoised", "penalised"),
    [(0.5, True), (1.5, False)],
)
def test_errors_on_the_far_side_of_the_reference_weigh_lambda_times(denoised: float, penalised: bool) -> None:
    r, c, d = torch.tensor([[[[1.0]]]]), torch.tensor([[[[2.0]]]]), torch.tensor([[[[denoised]]]])

    ratio = asymmetric_smape(d, r, c, 4.0) / smape(d, r)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 4.0 if penalised else 1.0))
    torch.testing.assert_close(asymmetric_smape(d, r, c, 1.0), smape(d, r))
