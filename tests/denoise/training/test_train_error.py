"""The error predictor learns where the denoiser errs, from the denoiser's own frames, and goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.sampling import METRICS
from pipeline.denoise import weights
from pipeline.denoise.error import load_error
from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.network.error_predictor import CHANNELS
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import PRESETS
from pipeline.denoise.training import error_course, judged, more_samples, patches, sequences, train_error
from pipeline.denoise.training.error_course import Course
from pipeline.denoise.training.train_error import ErrorPlan
from pipeline.errors import ConfigError, ProductError

PLAN = ErrorPlan("tiny", "d", steps=150, rate=4e-3)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Synthetic judgements whose error is a function of the inputs: a part of every frame is wrong by what is seen."""
    rng, files = np.random.default_rng(0), []
    for k in range(12):
        inputs = rng.random((CHANNELS, 32, 32)).astype(np.float16) * 0.2
        level = np.zeros((32, 32), np.float32)
        level[:, rng.integers(8, 24) :] = 1.0
        inputs[7] = level
        errors = np.stack([0.02 + 0.2 * level * scale for scale in (1.0, 0.5, 2.0, 1.0)]).astype(np.float16)
        files.append(tmp_path_factory.getbasetemp() / f"{k:03d}-0.npz")
        np.savez(files[-1], inputs=inputs, errors=errors)
    return files


def trained(frames: list[Path], out: Path, plan: ErrorPlan = PLAN, **options: Any) -> Path | None:
    return train_error.train_error(plan, frames[:9], frames[9:], out, every=50, **options)


def test_it_learns_where_the_denoiser_errs(frames: list[Path], tmp_path: Path) -> None:
    told: list[str] = []
    made = trained(frames, tmp_path, say=told.append)
    assert made is not None and made.name == "error-tiny.safetensors"
    card = json.loads(made.with_suffix(".json").read_text())

    assert float(told[-1].split()[-1]) < 0.8 * float(told[0].split()[-1])
    assert card["metrics"] == list(METRICS) and card["denoiser"] == "d" and card["seconds_per_step"] > 0
    for metric in METRICS:
        found = card["calibration"][metric]
        assert found["predicted"][-1] == pytest.approx(found["true"][-1], rel=0.1)
        assert found["true"][-1] > 3 * found["true"][0] and card["l1"][metric] < 0.7


def test_interrupted_at_any_step_it_arrives_at_the_same_weights(
    frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ErrorPlan("tiny", "d", ("dssim",), steps=6)
    whole = trained(frames, tmp_path / "whole", plan)
    parts = None
    for _ in range(plan.steps):
        parts = parts or trained(frames, tmp_path / "parts", plan, minutes=0.0, say=lambda line: None)
    assert whole is not None and parts is not None and parts.name == "error-tiny-dssim.safetensors"

    one, other = load_error(whole)[0], load_error(parts)[0]
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_folder_holds_one_plan_of_each_network(frames: list[Path], tmp_path: Path) -> None:
    trained(frames, tmp_path, ErrorPlan("tiny", "d", steps=1))
    trained(frames, tmp_path, ErrorPlan("tiny", "d", ("mrse",), steps=2))
    with pytest.raises(ConfigError, match=r"a training of error-tiny with another steps"):
        trained(frames, tmp_path, ErrorPlan("tiny", "d", steps=2))
    with pytest.raises(ConfigError, match="no judged frames"):
        train_error.train_error(PLAN, [], frames, tmp_path)


# --- Frames -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def denoiser() -> Kpcn:
    torch.manual_seed(0)
    return Kpcn(network=KernelPredictor(PRESETS["tiny"]), radius=1, identity="first")


@pytest.fixture
def data(tmp_path: Path, sequence_of: Callable[..., sequences.Sequence]) -> Path:
    """One sequence to learn from, and one to validate on."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed in (7, 1_000_001):
        sequences.write(folder / f"{seed:08d}.npz", sequence_of(seed, height=24, width=24))
    return folder


def test_frames_are_judged_by_the_denoiser_itself_and_only_once(tmp_path: Path, data: Path, denoiser: Kpcn) -> None:
    files = sequences.listing(data)[:1]
    made = judged.judge(files, denoiser, tmp_path, variants=2, say=lambda line: None)
    stamps = [file.stat().st_mtime_ns for file in made.files]
    again = judged.judge(files, denoiser, tmp_path, variants=2, say=lambda line: None)
    one = judged.read(made.files[0])

    assert made.complete and made.seconds is not None and made.files[0].parent.name == "first"
    assert again.files == made.files and stamps == [file.stat().st_mtime_ns for file in again.files]
    assert one.inputs.shape == (CHANNELS, 24, 24) and one.errors.shape == (len(METRICS), 24, 24)
    assert np.isfinite(one.errors.astype(np.float32)).all() and one.errors.min() >= 0
    assert not judged.judge(files, denoiser, tmp_path, variants=9, minutes=0.0, say=lambda line: None).complete

    made.files[0].write_bytes(b"cut")
    with pytest.raises(ProductError, match="delete it"):
        judged.read(made.files[0])


def test_frames_show_uneven_maps_and_many_samples(data: Path) -> None:
    sequence = sequences.read(sequences.listing(data)[0])
    crop, uneven, most = patches.Crop(0, 0, 24), 0, 0.0
    for k in range(40):
        rng = patches.rng_of(0, k, 0)
        sample = judged._with_more(patches.assemble(sequence, rng, crop), sequence, crop, rng)
        frame = sample.window[0]
        assert frame is not None and frame.count is not None
        assert frame.count.min() >= 4 and frame.count.max() <= 64 + 3 * 96 + 1
        uneven += frame.count.max() > frame.count.min()
        most = max(most, float(frame.count.max()))
    assert 10 < uneven < 39 and most > 200


def test_a_frame_with_more_samples_has_the_noise_of_so_many() -> None:
    rng = np.random.default_rng(0)
    n1, n2, shape = 8, 56, (200, 200)
    few = rng.normal(1.0, n1**-0.5, (*shape, 1)).astype(np.float32).repeat(3, axis=-1)
    many = rng.normal(1.0, n2**-0.5, (*shape, 1)).astype(np.float32).repeat(9, axis=-1)
    count = np.full(shape, n1, np.float32)
    from pipeline.denoise.frame import Frame

    frame = Frame(
        components={"emission": few, "diffuse": few, "specular": few},
        variance={"emission": 1 / count, "albedo": count},
        count=count,
    )
    for wanted in (8, 16, 64):
        made = more_samples.with_more(frame, many, n2, np.full(shape, wanted, np.float32))
        assert made.components["emission"].var() == pytest.approx(1 / wanted, rel=0.05)
        np.testing.assert_allclose(made.variance["emission"], 1 / wanted, rtol=1e-5)
        np.testing.assert_array_equal(made.variance["albedo"], count)


# --- The course -------------------------------------------------------------------------------------------------------


def test_the_course_trains_one_network_or_one_for_each_metric_and_installs_them(
    tmp_path: Path, data: Path, denoiser: Kpcn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "weights"
    shipped.mkdir()
    monkeypatch.setattr(weights, "directory", lambda: shipped)
    (shipped / "tiny.safetensors").write_bytes(b"denoiser")
    (shipped / "tiny.json").write_text("{}")
    denoiser.identity = weights.fingerprint("tiny")
    (shipped / "error-tiny-mrse.safetensors").write_bytes(b"old")
    (shipped / "error-tiny-mrse.json").write_text('{"metrics": ["mrse"], "denoiser": "of older weights"}')
    course = Course("tiny", ("smape", "dssim"), variants=1, steps=2)

    assert error_course.run(course, data, tmp_path / "run", denoiser=denoiser, minutes=0.0, say=lambda line: None) == []
    (one,) = error_course.run(course, data, tmp_path / "run", denoiser=denoiser, say=lambda line: None)
    apart = Course("tiny", ("smape", "dssim"), apart=True, variants=1, steps=2)
    several = error_course.run(apart, data, tmp_path / "run", denoiser=denoiser, say=lambda line: None)
    error_course.install_predictors("tiny", [one, *several])

    assert weights.shipped() == ("error-tiny", "error-tiny-dssim", "error-tiny-smape", "tiny")
    assert weights.predictor_of("tiny", "smape") == "error-tiny-smape"
    assert weights.predictor_of("tiny", "mrse") is None
