"""Inverse CDFs and mixtures against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import lambertw
from scipy.stats import kstest, norm

from pipeline.match import kernels, samplers
from pipeline.match.samplers import Sampling


def test_the_smirnov_transform_inverts_the_cdf_of_the_absolute_gradient_kernel():
    u = np.array([-3.0, -1.0, -0.1, 0.2, 1.0, 2.5])
    cdf = np.where(u < 0, 0.5 * np.exp(-u * u / 2), 1 - 0.5 * np.exp(-u * u / 2))
    np.testing.assert_allclose(samplers.smirnov(cdf), u, rtol=1e-9)


def test_the_curvature_cdf_is_the_integral_of_its_density():
    for u in (-2.5, -1.0, -0.4, 0.0, 0.7, 1.0, 1.8):
        integral, _ = quad(lambda x: abs(x * x - 1) * norm.pdf(x) / samplers.HESSIAN_MASS, -12, u, points=[-1.0, 1.0])
        assert float(samplers.curvature_cdf(np.array(u))) == pytest.approx(integral, abs=1e-8)


def test_the_tabulated_inverse_agrees_with_the_one_by_lamberts_w():
    xi = np.concatenate([np.geomspace(1e-9, 0.24, 50), np.linspace(0.26, 0.74, 49)])
    tail = xi < 0.25
    # Below −σ: u² e^{−u²} = 16 ξ² / e on the branch −1; between −σ and σ the same of ξ − ½ on the principal branch.
    outer = -np.sqrt(-lambertw(-16 * xi[tail] ** 2 / np.e, -1).real)
    inner = np.sign(xi[~tail] - 0.5) * np.sqrt(-lambertw(-16 * (xi[~tail] - 0.5) ** 2 / np.e, 0).real)
    np.testing.assert_allclose(samplers.curvature_quantile(xi), np.concatenate([outer, inner]), atol=2e-4)


@pytest.mark.parametrize(
    "transform, cdf",
    [
        (samplers.smirnov, lambda u: np.where(u < 0, 0.5 * np.exp(-u * u / 2), 1 - 0.5 * np.exp(-u * u / 2))),
        (samplers.curvature_quantile, samplers.curvature_cdf),
    ],
)
def test_samples_follow_their_cdf(transform, cdf):
    assert kstest(transform(np.random.default_rng(1).random(20_000)), cdf).pvalue > 1e-3


@pytest.mark.parametrize("dimensions", [1, 2, 10])
def test_the_aggregate_gradient_weight_is_bounded_by_root_two_over_pi_times_n(dimensions):
    draw = samplers.draw_gradient(np.random.default_rng(2), 5000, dimensions, Sampling.AGGREGATE)
    assert np.abs(draw.weights).max() <= samplers.GRADIENT_MASS * dimensions * (1 + 1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 10])
def test_the_aggregate_hessian_weight_divides_by_the_mixture_and_stays_bounded(dimensions):
    """Each element's kernel is a part of the mixture, which is therefore at least 1/n² of its density."""
    draw = samplers.draw_hessian(np.random.default_rng(3), 5000, dimensions, Sampling.AGGREGATE)
    assert np.abs(draw.weights).max() <= max(samplers.HESSIAN_MASS, samplers.GRADIENT_MASS**2) * dimensions**2 + 1e-9


def test_kernels_are_the_derivatives_of_the_gaussian():
    sigma, tau, h = np.array([0.5, 2.0]), np.array([[0.3, -1.0], [-0.8, 2.5]]), 1e-5
    for i in range(2):
        step = h * np.eye(2)[i]
        numeric = (kernels.gaussian(tau + step, sigma) - kernels.gaussian(tau - step, sigma)) / (2 * h)
        np.testing.assert_allclose(kernels.gradient(tau, sigma)[:, i], numeric, rtol=1e-6, atol=1e-9)
        rows = (kernels.gradient(tau + step, sigma) - kernels.gradient(tau - step, sigma)) / (2 * h)
        np.testing.assert_allclose(kernels.hessian(tau, sigma)[:, i], rows, rtol=1e-6, atol=1e-9)


def test_the_hvp_kernel_is_hessian_times_v_and_the_limit_of_its_difference():
    sigma, tau, v = np.array([0.5, 2.0]), np.array([[0.3, -1.0], [-0.8, 2.5]]), np.array([0.7, -0.2])
    exact = kernels.hessian(tau, sigma) @ v
    np.testing.assert_allclose(kernels.hvp(tau, sigma, v), exact, rtol=1e-9)
    np.testing.assert_allclose(kernels.hvp_difference(tau, sigma, v, 1e-4), exact, rtol=1e-5, atol=1e-9)
