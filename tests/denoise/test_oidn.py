"""Open Image Denoise: closer to the truth than the noise, components that sum to the beauty, the same bits again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.denoise.frame import Frame
from pipeline.denoise.oidn import PRESETS, Oidn, share_out
from pipeline.errors import ConfigError, DeviceError, ProductError
from pipeline.images.metrics import smape

pytest.importorskip("pyoidn")


def parts_of(out: Any) -> list[np.ndarray]:
    return [out.emission, out.diffuse, out.specular]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_beauty_comes_much_closer_to_the_truth(example: Any, preset: str) -> None:
    out = Oidn(preset=preset, threads=2).denoise({7: Frame.of(example.frame)}, 7, 1.0)

    assert smape(out.beauty, example.truth) < 0.5 * smape(example.frame.beauty, example.truth)


@pytest.mark.parametrize("preset", PRESETS)
def test_components_are_float32_and_never_negative_and_keep_to_their_places(example: Any, preset: str) -> None:
    out = Oidn(preset=preset, threads=2).denoise({7: Frame.of(example.frame)}, 7, 1.0)

    for part in parts_of(out):
        assert part.dtype == np.float32
        assert part.shape == example.frame.diffuse.shape
        assert part.min() >= 0.0
        assert np.isfinite(part).all()
    assert out.specular[:, :20].max() == 0.0  # far from what shines
    assert out.emission[20:].max() == 0.0  # far from the lamp
    assert np.array_equal(out.alpha, example.frame.alpha)


def test_two_runs_give_equal_bits_whatever_the_threads(example: Any) -> None:
    runs = [
        Oidn(preset="paper", threads=threads).denoise({7: Frame.of(example.frame)}, 7, 1.0) for threads in (1, 2, 2)
    ]

    for first, second in zip(parts_of(runs[0]), parts_of(runs[1]), strict=True):
        assert np.array_equal(first, second)
    for first, second in zip(parts_of(runs[1]), parts_of(runs[2]), strict=True):
        assert np.array_equal(first, second)


def test_the_input_is_left_as_it_was(example: Any) -> None:
    before = {name: getattr(example.frame, name).copy() for name in ("diffuse", "albedo", "normal")}

    Oidn(preset="paper", threads=2).denoise({7: Frame.of(example.frame)}, 7, 1.0)

    for name, values in before.items():
        assert np.array_equal(getattr(example.frame, name), values)


def test_shared_parts_sum_to_the_beauty() -> None:
    rng = np.random.default_rng(1)
    beauty = rng.gamma(0.5, 2.0, (16, 16, 3)).astype(np.float32)
    parts = {name: rng.gamma(0.2, 1.0, (16, 16, 3)).astype(np.float32) for name in ("emission", "diffuse", "specular")}

    shared = share_out(beauty, parts)

    assert np.allclose(sum(shared.values()), beauty, rtol=1e-5, atol=0.0)
    assert min(part.min() for part in shared.values()) >= 0.0
    assert np.allclose(shared["diffuse"] / shared["specular"], parts["diffuse"] / parts["specular"], rtol=1e-5)


def test_light_that_no_part_explains_is_diffuse() -> None:
    beauty = np.full((2, 2, 3), 0.25, np.float32)
    nothing = {name: np.zeros((2, 2, 3), np.float32) for name in ("emission", "diffuse", "specular")}

    shared = share_out(beauty, nothing)

    assert np.array_equal(shared["diffuse"], beauty)
    assert not shared["emission"].any()


def test_a_missing_frame_and_an_unknown_preset_are_refused(example: Any) -> None:
    with pytest.raises(ProductError, match="frame 8"):
        Oidn().denoise({7: Frame.of(example.frame)}, 8, 1.0)
    with pytest.raises(ConfigError, match=r"denoise\.preset: `best` is not a preset of oidn"):
        Oidn(preset="best")


def test_an_error_of_the_library_becomes_ours(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pyoidn = pytest.importorskip("pyoidn")
    monkeypatch.setattr(pyoidn, "OIDN_FILTER_TYPE_RT", "NoSuchFilter")

    with pytest.raises(DeviceError, match="Open Image Denoise"):
        Oidn(threads=2).denoise({7: Frame.of(example.frame)}, 7, 1.0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("features", [(), ("albedo",), ("normal",), ("albedo", "normal")])
def test_beauty_is_enough_and_features_are_optional(example: Any, preset: str, features: tuple[str, ...]) -> None:
    beauty = example.frame.beauty
    frame = Frame({"beauty": beauty}, **{name: getattr(example.frame, name) for name in features})

    out = Oidn(preset=preset, threads=2).denoise({7: frame}, 7, 1.0)

    assert smape(out.beauty, example.truth) < 0.7 * smape(beauty, example.truth)
    assert np.array_equal(out.beauty, out.specular)
    assert (out.alpha == 1.0).all()


def test_components_without_an_albedo_sum_to_the_beauty_all_the_same(example: Any) -> None:
    components = {name: getattr(example.frame, name) for name in ("emission", "diffuse", "specular")}
    frames = {1: Frame(components), 2: Frame({"beauty": example.frame.beauty})}

    split, whole = (Oidn(preset="fast", threads=2).denoise(frames, number, 1.0) for number in frames)

    assert np.allclose(split.beauty, whole.beauty, rtol=1e-5, atol=1e-6)
