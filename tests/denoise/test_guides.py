"""What samples follow: trouble that samples can mend."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.guides import where_samples_help


def test_samples_go_where_the_error_is_large_and_the_picture_noisy() -> None:
    error, variance = np.full((32, 48), 0.1, np.float32), np.full((32, 48), 0.01, np.float32)
    error[:, 16:] = variance[:, 32:] = 0.4
    found = where_samples_help(error, variance)
    calm, blurred_texture, noisy = (float(found[:, at].mean()) for at in (slice(4, 12), slice(20, 28), slice(36, 44)))
    assert calm < blurred_texture < noisy
    np.testing.assert_allclose(noisy, 0.4, rtol=1e-3)


def test_variances_that_are_not_known_do_not_end_in_the_map() -> None:
    variance = np.full((8, 8), np.nan, np.float32)
    variance[0, 0] = np.inf
    np.testing.assert_allclose(where_samples_help(np.full((8, 8), 0.25, np.float32), variance), 0.5, rtol=1e-5)
