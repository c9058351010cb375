"""Corrections rise, keep the mean, and their deciles tell how well they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.denoise.calibration import Correction, Deciles, deciles


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 3.0), st.floats(0.0, 0.5))
def test_corrections_rise_and_keep_the_mean(seed: int, factor: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.gamma(2.0, 0.02, 20_000)
    true = np.maximum(factor * predicted * (1 + noise * rng.standard_normal(20_000)), 0)
    correction = Correction.fit(predicted, true)

    assert (np.diff(correction.predicted) > 0).all() and (np.diff(correction.true) >= 0).all()
    assert correction(predicted.astype(np.float32)).mean() == pytest.approx(true.mean(), rel=0.05)


def test_errors_beyond_those_that_were_seen_grow_in_proportion() -> None:
    correction = Correction((0.0, 0.1, 0.2), (0.0, 0.3, 0.4))

    np.testing.assert_allclose(correction(np.float32([0.05, 0.2, 0.4])), [0.15, 0.4, 0.8], rtol=1e-6)


def test_deciles_tell_how_far_predictions_are_from_the_truth() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random((40, 50))
    found = deciles(predicted, 2 * predicted)
    right = deciles(predicted, predicted)

    assert len(found.predicted) == 10 and list(found.predicted) == sorted(found.predicted)
    np.testing.assert_allclose(found.true, 2 * np.array(found.predicted))
    assert right.worst == 0.0 and found.worst == pytest.approx(0.95, abs=0.02)
    assert Deciles.mean([found, right]).true == pytest.approx(tuple(1.5 * p for p in found.predicted))
