"""The error predictor: its inputs, its corrections, its files, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.denoise import weights
from pipeline.denoise.error import Correction, ErrorEstimator, load_error, save_error_bytes
from pipeline.denoise.frame import Frame
from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.network.error_predictor import (
    CHANNELS,
    ERROR_PRESETS,
    METRICS,
    ErrorPredictor,
    error_inputs,
    error_preset,
)
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import PRESETS
from pipeline.denoise.training import judged
from pipeline.denoise.training.train_error import train_error
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
    estimator = ErrorEstimator(network=ErrorPredictor(ERROR_PRESETS["tiny"]))
    for metric in METRICS:
        predicted = estimator.predict(frame(), np.ones((21, 30, 3), np.float32), metric)
        assert predicted.shape == (21, 30) and predicted.min() >= 0 and predicted.dtype == np.float32


def test_corrections_apply_to_their_metric() -> None:
    network = ErrorPredictor(ERROR_PRESETS["tiny"])
    plain = ErrorEstimator(network=network)
    twice = ErrorEstimator(network=network, corrections={"smape": Correction((0.0, 1.0), (0.0, 2.0))})
    denoised = np.ones((21, 30, 3), np.float32)

    np.testing.assert_allclose(twice.predict(frame(), denoised), 2 * plain.predict(frame(), denoised), rtol=1e-5)
    np.testing.assert_array_equal(twice.predict(frame(), denoised, "dssim"), plain.predict(frame(), denoised, "dssim"))


# --- Corrections ------------------------------------------------------------------------------------------------------


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


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_predictor_comes_back_from_its_file(tmp_path: Path) -> None:
    network = ErrorPredictor(ERROR_PRESETS["tiny"])
    file = tmp_path / "error-tiny.safetensors"
    file.write_bytes(save_error_bytes(network, {"smape": Correction((0.0, 1.0), (0.0, 2.0))}, denoiser="abc"))
    back, corrections, denoiser = load_error(file)

    assert denoiser == "abc" and corrections == {"smape": Correction((0.0, 1.0), (0.0, 2.0))}
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
    with pytest.raises(ConfigError, match="no weights that predict the error of kpcn's preset tiny"):
        ErrorEstimator("tiny")

    for name, content in (("tiny", b"denoiser"), ("error-tiny", None)):
        made = content or save_error_bytes(ErrorPredictor(ERROR_PRESETS["tiny"]), {}, denoiser="of another one")
        (tmp_path / f"{name}.safetensors").write_bytes(made)
        (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(ConfigError, match="trained on other weights"):
        ErrorEstimator("tiny")
    with pytest.raises(ConfigError, match="unknown preset"):
        error_preset("huge")


# --- Training ---------------------------------------------------------------------------------------------------------


def test_it_learns_where_the_denoiser_errs(tmp_path: Path) -> None:
    """Synthetic judgements whose error is a function of the inputs: half of every frame is wrong by what is seen."""
    rng = np.random.default_rng(0)
    files = []
    for k in range(12):
        inputs = rng.random((CHANNELS, 32, 32)).astype(np.float16) * 0.2
        level = np.zeros((32, 32), np.float32)
        level[:, rng.integers(8, 24) :] = 1.0
        inputs[7] = level
        errors = np.stack([0.02 + 0.2 * level * scale for scale in (1.0, 0.5, 2.0, 1.0)]).astype(np.float16)
        file = tmp_path / "frames" / f"{k:03d}-0.npz"
        file.parent.mkdir(exist_ok=True)
        np.savez(file, inputs=inputs, errors=errors)
        files.append(file)
    told: list[str] = []
    made = train_error(
        files[:9], files[9:], preset="tiny", denoiser="d", steps=150, out=tmp_path, every=50, say=told.append
    )

    assert len(told) == 3 and float(told[-1].split()[-1]) < 0.8 * float(told[0].split()[-1])
    card = json.loads(made.with_suffix(".json").read_text())
    for metric in METRICS:
        found = card["calibration"][metric]
        assert found["predicted"][-1] == pytest.approx(found["true"][-1], rel=0.1)
        assert found["true"][-1] > 3 * found["true"][0]


def test_frames_are_judged_by_the_denoiser_itself_and_only_once(tmp_path: Path, sequence_file: Path) -> None:
    torch.manual_seed(0)
    denoiser = Kpcn(network=KernelPredictor(PRESETS["tiny"]), radius=1, identity="first")
    made = judged.judge([sequence_file], denoiser, tmp_path, variants=2, say=lambda line: None)
    stamps = [file.stat().st_mtime_ns for file in made]
    again = judged.judge([sequence_file], denoiser, tmp_path, variants=2, say=lambda line: None)
    one = judged.read(made[0])

    assert made == again and stamps == [file.stat().st_mtime_ns for file in again]
    assert judged.listing(tmp_path / "first") == made
    assert one.inputs.shape == (CHANNELS, 24, 24) and one.errors.shape == (len(METRICS), 24, 24)
    assert np.isfinite(one.errors.astype(np.float32)).all() and one.errors.min() >= 0
    other = judged.judge([sequence_file], Kpcn(network=denoiser.network, identity="second"), tmp_path, variants=1)
    assert other[0].parent.name == "second"


@pytest.fixture
def sequence_file(tmp_path: Path) -> Path:
    """A small sequence on disk."""
    from pipeline.denoise.training import sequences

    rng = np.random.default_rng(1)
    spp, size = np.array([4, 4, 8, 16, 32], np.int32), 24
    layers = {
        name: rng.random((*(({"F": 3, "S": 5, "H": size, "W": size})[axis] for axis in axes), channels)).astype(
            np.float16
        )
        for name, (axes, channels) in sequences.LAYERS.items()
    }
    file = tmp_path / "data" / "00000007.npz"
    file.parent.mkdir()
    sequences.write(file, sequences.Sequence(spp=spp, **layers, meta={"seed": 7, "reference_spp": 96}))
    return file
