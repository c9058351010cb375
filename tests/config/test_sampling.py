"""What guides the samples: metrics, references, and the weights that a guide needs, told in one line where wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import load_shot
from pipeline.config.sampling import METRICS, Sampling
from pipeline.denoise import weights
from pipeline.errors import ConfigError
from pipeline.images.metrics import ERROR_MAPS

KPCN = {"denoise.backend": "kpcn", "sampling.guide": "error"}


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    (tmp_path / "scene.xml").write_text("<scene/>")
    (tmp_path / "shot.yaml").write_text("shot: s\nscene: scene.xml\nframes: 1001-1004\nresolution: [8, 4]\n")
    return tmp_path


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights with a denoiser `fast`, and nothing that predicts its errors."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(weights, "directory", lambda: folder)
    ship(folder, "fast")
    return folder


def ship(folder: Path, name: str, **card: Any) -> None:
    (folder / f"{name}.safetensors").write_bytes(b"numbers")
    (folder / f"{name}.json").write_text(json.dumps(card))


def refusal(shot: Path, overrides: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        load_shot(shot, overrides)
    return str(refused.value)


def test_every_metric_of_the_schema_has_a_definition() -> None:
    assert set(METRICS) == set(ERROR_MAPS)


def test_auto_follows_the_weights_that_are_there(shot: Path, shipped: Path) -> None:
    assert load_shot(shot).sampling.guide == "variance"

    ship(shipped, weights.predictor("fast"), metrics=["smape"])

    assert load_shot(shot).sampling.guide == "error"
    assert load_shot(shot, {"sampling.metric": "mrse"}).sampling.guide == "variance"
    assert load_shot(shot, {"denoise.backend": "none"}).sampling.guide == "variance"
    assert load_shot(shot, {"sampling.guide": "uniform"}).sampling.guide == "uniform"


def test_a_metric_that_nothing_predicts_needs_another_guide_than_auto(shot: Path, shipped: Path) -> None:
    told = refusal(shot, {"sampling.metric": "dssim"})

    assert "sampling.metric: nothing predicts dssim of denoise.backend kpcn" in told
    assert told.endswith("(use smape or mrse)")

    ship(shipped, weights.predictor("fast", "dssim"), metrics=["dssim"])

    assert load_shot(shot, {"sampling.metric": "dssim"}).sampling.guide == "error"


@pytest.mark.parametrize(("guide", "metric"), [("variance", "dssim"), ("uniform", "ms_dssim")])
def test_what_variance_cannot_tell_is_refused(shot: Path, guide: str, metric: str) -> None:
    told = refusal(shot, {"sampling.guide": guide, "sampling.metric": metric})

    assert told == f"--metric: sampling.metric: guide {guide} knows the metrics smape and mrse, not {metric}"


@pytest.mark.parametrize("reference", ["a.%04d.%d.exr", "takes/%04d/a.exr"])
def test_a_reference_has_one_pattern_in_its_name(reference: str) -> None:
    with pytest.raises(ValueError, match="one frame pattern"):
        Sampling(guide="oracle", reference=reference)


def test_references_are_named_by_frame_and_missing_ones_are_told(shot: Path) -> None:
    for frame in (1001, 1003):
        (shot / f"truth.{frame}.exr").write_bytes(b"")
    oracle = {"sampling.guide": "oracle", "sampling.reference": "truth.%04d.exr"}

    assert Sampling(guide="oracle", reference="truth.%04d.exr").reference_of(7) == "truth.0007.exr"
    assert refusal(shot, oracle) == (
        "--reference: sampling.reference: reference truth.%04d.exr does not exist for 2 frames: 1002,1004"
    )
    near = refusal(shot, oracle | {"sampling.reference": "truht.%04d.exr", "frames": "1001"})
    assert near.endswith("does not exist for 1 frames: 1001 (did you mean truth.1001.exr?)")
    assert load_shot(shot, oracle | {"frames": "1001,1003"}).sampling.guide == "oracle"
    assert load_shot(shot, {"sampling.reference": "nowhere.%04d.exr"}).sampling.guide != "oracle"


def test_a_guide_without_weights_is_refused_and_one_whose_weights_know_other_metrics(shot: Path, shipped: Path) -> None:
    assert "none are shipped yet for preset fast (use variance or uniform)" in refusal(shot, KPCN)

    ship(shipped, "error-fast", metrics=["smape", "mrse"])
    assert load_shot(shot, KPCN).sampling.metric == "smape"
    told = refusal(shot, KPCN | {"sampling.metric": "dssim"})
    assert told == "--metric: sampling.metric: the shipped weights predict no dssim of preset fast (use mrse or smape)"
    ship(shipped, "error-fast-dssim", metrics=["dssim"])
    assert load_shot(shot, KPCN | {"sampling.metric": "dssim"}).sampling.metric == "dssim"


def test_weights_of_one_metric_stand_before_those_of_several(shipped: Path) -> None:
    ship(shipped, "error-fast", metrics=["smape", "mrse"])
    ship(shipped, "error-fast-smape", metrics=["smape"])

    assert weights.predictor_of("fast", "smape") == "error-fast-smape"
    assert weights.predictor_of("fast", "mrse") == "error-fast"
    assert weights.predictor_of("fast", "dssim") is None and weights.predictor_of("paper", "smape") is None
    assert weights.denoisers() == ("fast",)
    assert weights.together() == (("fast",), ("fast", "error-fast"), ("fast", "error-fast-smape"))


@pytest.mark.parametrize("value", [0.5, 10.5, -1.0])
def test_a_lambda_out_of_range_is_refused(shot: Path, value: float) -> None:
    assert "denoise.lambda: must be at " in refusal(shot, {"denoise.lambda": value})


def test_rounds_that_guide_read_one_neighbour_unless_asked_and_never_more_than_the_last(shot: Path) -> None:
    def radii(**keys: Any) -> tuple[int, int]:
        config = load_shot(shot, {f"denoise.{key}": value for key, value in keys.items()}).denoise
        return config.radius, config.draft_radius

    assert radii() == (1, 1)
    assert radii(temporal_radius=3) == (3, 1)
    assert radii(temporal_radius=3, intermediate_radius=0) == (3, 0)
    assert radii(temporal_radius=0, intermediate_radius=2) == (0, 0)
