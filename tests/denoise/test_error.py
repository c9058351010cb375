"""The error predictor: its inputs, its maps, its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config.sampling import METRICS
from pipeline.denoise import weights
from pipeline.denoise.calibration import Correction
from pipeline.denoise.error import ErrorEstimator, load_error, save_error_bytes, shipped_estimator
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.error_predictor import (
    CHANNELS,
    ERROR_PRESETS,
    ErrorPredictor,
    error_inputs,
    error_preset,
)
from pipeline.errors import ConfigError


def frame(height: int = 21, width: int = 30, **changes: object) -> Frame:
    rng = np.random.default_rng(0)
    image = rng.random((height, width, 3), dtype=np.float32)
    return Frame(**{"components": {"beauty": image}, **changes})


# --- Inputs and maps --------------------------------------------------------------------------------------------------


def test_inputs_are_finite_whatever_layers_there_are() -> None:
    bare = error_inputs(frame(), np.zeros((21, 30, 3), np.float32))
    assert bare.shape == (CHANNELS, 21, 30) and np.isfinite(bare).all()
    np.testing.assert_array_equal(bare[7], 1.0)  # an unknown variance is a full one

    one = np.ones((21, 30), np.float32)
    full = error_inputs(
        frame(variance={"beauty": 0.01 * one}, count=15 * one, albedo=np.ones((21, 30, 3), np.float32)),
        np.ones((21, 30, 3), np.float32),
    )
    np.testing.assert_allclose(full[8], 0.5)
    np.testing.assert_allclose(full[9:12], np.log(2), rtol=1e-6)


def test_maps_cover_every_pixel_of_any_size_and_are_not_negative() -> None:
    estimator = ErrorEstimator(ErrorPredictor(ERROR_PRESETS["tiny"]))
    for metric in METRICS:
        predicted = estimator.predict(frame(), np.ones((21, 30, 3), np.float32), metric)
        assert predicted.shape == (21, 30) and predicted.min() >= 0 and predicted.dtype == np.float32


def test_corrections_apply_to_their_metric() -> None:
    network = ErrorPredictor(ERROR_PRESETS["tiny"])
    plain = ErrorEstimator(network)
    twice = ErrorEstimator(network, {"smape": Correction((0.0, 1.0), (0.0, 2.0))})
    denoised = np.ones((21, 30, 3), np.float32)

    np.testing.assert_allclose(twice.predict(frame(), denoised), 2 * plain.predict(frame(), denoised), rtol=1e-5)
    np.testing.assert_array_equal(twice.predict(frame(), denoised, "dssim"), plain.predict(frame(), denoised, "dssim"))


def test_a_network_of_one_metric_has_one_map_and_refuses_the_others() -> None:
    estimator = ErrorEstimator(ErrorPredictor(ERROR_PRESETS["tiny"], ("dssim",)))
    denoised = np.ones((21, 30, 3), np.float32)

    assert estimator.predict(frame(), denoised, "dssim").shape == (21, 30)
    with pytest.raises(ConfigError, match=r"sampling\.metric: the error predictor knows no smape \(dssim\)"):
        estimator.predict(frame(), denoised, "smape")


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metrics", [METRICS, ("mrse",)])
def test_a_predictor_comes_back_from_its_file(tmp_path: Path, metrics: tuple[str, ...]) -> None:
    network = ErrorPredictor(ERROR_PRESETS["tiny"], metrics)
    file = tmp_path / "error-tiny.safetensors"
    file.write_bytes(save_error_bytes(network, {"smape": Correction((0.0, 1.0), (0.0, 2.0))}, denoiser="abc"))
    back, corrections, denoiser = load_error(file)

    assert (
        denoiser == "abc" and back.metrics == metrics and corrections == {"smape": Correction((0.0, 1.0), (0.0, 2.0))}
    )
    for name, value in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 10])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "error-tiny.safetensors"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        load_error(file)
    assert "\n" not in str(refused.value)


def test_a_predictor_of_other_denoiser_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "directory", lambda: tmp_path)
    with pytest.raises(ConfigError, match="no weights that predict the smape of kpcn's preset tiny"):
        shipped_estimator("tiny")

    for name, content in (("tiny", b"denoiser"), ("error-tiny", None)):
        made = content or save_error_bytes(ErrorPredictor(ERROR_PRESETS["tiny"]), {}, denoiser="of another one")
        (tmp_path / f"{name}.safetensors").write_bytes(made)
        (tmp_path / f"{name}.json").write_text('{"metrics": ["smape"]}')
    with pytest.raises(ConfigError, match="trained on other weights"):
        shipped_estimator("tiny")
    with pytest.raises(ConfigError, match="unknown preset"):
        error_preset("huge")
