"""The network behind the `Denoiser` interface: windows, λ, missing layers, caches. Weights are random: what is tested
holds for any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.denoise import features
from pipeline.denoise import kpcn as kpcn_module
from pipeline.denoise.cache import Cache
from pipeline.denoise.frame import Frame
from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.presets import PRESETS
from pipeline.errors import ConfigError, ProductError

SIZE = (26, 35)


class Counted(dict):  # type: ignore[type-arg]
    """A window that knows its frames' digests."""

    def digest(self, frame: int) -> str:
        return f"digest-of-{frame}"


def noise(seed: int, *, size: tuple[int, int] = SIZE, **changes: object) -> Frame:
    """A frame with every layer."""
    rng = np.random.default_rng(seed)

    def layer(*channels: int) -> np.ndarray:
        return rng.random((*size, *channels), dtype=np.float32)

    one = np.ones(size, np.float32)
    given: dict[str, object] = {
        "components": {"emission": 0.1 * layer(3), "diffuse": layer(3), "specular": layer(3)},
        "variance": {name: 0.1 * layer() for name in ("emission", "diffuse", "specular", "albedo", "normal")},
        "albedo": layer(3),
        "normal": layer(3),
        "alpha": layer(),
        "forward": 3 * layer(2),
        "backward": -3 * layer(2),
        "forward_valid": one,
        "backward_valid": one,
        "count": 16 * one,
    }
    return Frame(**{**given, **changes})


def network(*sources: str, preset: str = "tiny") -> KernelPredictor:
    torch.manual_seed(3)
    made = KernelPredictor(PRESETS[preset], sources or ("penumbra",))
    for special in made.specialisation:
        torch.nn.init.normal_(special.second.weight, std=0.3)  # type: ignore[union-attr, arg-type]
    return made


@pytest.fixture(scope="module")
def denoiser() -> Iterator[Kpcn]:
    yield Kpcn(network=network(), radius=1)


def test_parts_keep_what_they_were_and_sum_to_the_beauty(denoiser: Kpcn) -> None:
    window = {1: noise(1), 2: noise(2), 3: noise(3)}
    done = denoiser.denoise(window, 2, 1.0)

    assert done.beauty.shape == (*SIZE, 3) and done.beauty.dtype == np.float32
    for part in (done.emission, done.diffuse, done.specular, done.alpha):
        assert np.isfinite(part).all() and part.min() >= 0
    assert done.alpha.max() <= 1
    # Means of neighbourhoods of three frames of even noise: near its mean everywhere.
    assert done.emission.mean() == pytest.approx(0.05, rel=0.05)
    assert done.specular.mean() == pytest.approx(0.5, rel=0.05)


def test_emission_gets_the_kernels_of_the_specular_component(denoiser: Kpcn) -> None:
    frame = noise(1)
    doubled = replace(frame, components={**frame.components, "emission": frame.components["specular"]}, variance={})
    done = denoiser.denoise({1: doubled}, 1, 1.0)

    np.testing.assert_allclose(done.emission, done.specular, rtol=1e-5)


def test_a_flat_frame_comes_out_as_it_went_in(denoiser: Kpcn) -> None:
    flat = noise(1, components={"emission": np.zeros((*SIZE, 3), np.float32),
                                "diffuse": np.full((*SIZE, 3), 0.3, np.float32),
                                "specular": np.full((*SIZE, 3), 0.2, np.float32)},
                 albedo=np.full((*SIZE, 3), 0.5, np.float32), alpha=np.ones(SIZE, np.float32))  # fmt: skip
    done = denoiser.denoise({1: flat}, 1, 1.0)

    np.testing.assert_allclose(done.diffuse, 0.3, rtol=1e-4)
    np.testing.assert_allclose(done.specular, 0.2, rtol=1e-4)
    assert not done.emission.any()
    np.testing.assert_allclose(done.alpha, 1.0, rtol=1e-5)


def test_a_black_frame_stays_black(denoiser: Kpcn) -> None:
    black = {name: np.zeros((*SIZE, 3), np.float32) for name in ("emission", "diffuse", "specular")}
    done = denoiser.denoise({1: noise(1, components=black, albedo=np.zeros((*SIZE, 3), np.float32))}, 1, 1.0)

    assert not done.beauty.any()


def test_what_is_not_finite_does_not_spread(denoiser: Kpcn) -> None:
    frame = noise(1)
    diffuse = frame.components["diffuse"].copy()
    diffuse[10, 10] = np.nan
    motion = np.full((*SIZE, 2), np.nan, np.float32)
    hurt = replace(frame, components={**frame.components, "diffuse": diffuse}, forward=motion, backward=motion)

    assert np.isfinite(denoiser.denoise({1: hurt, 2: noise(2)}, 1, 1.0).beauty).all()


def test_frames_beyond_the_radius_are_not_read(denoiser: Kpcn) -> None:
    class Window(dict):  # type: ignore[type-arg]
        def __getitem__(self, frame: int) -> Frame:
            assert abs(frame - 5) <= 1
            return super().__getitem__(frame)

        def get(self, frame: int, default: object = None) -> object:
            assert abs(frame - 5) <= 1
            return super().get(frame, default)

    denoiser.denoise(Window({k: noise(k) for k in range(1, 10)}), 5, 1.0)


def test_a_neighbour_where_nothing_is_valid_changes_its_share_of_nothing(denoiser: Kpcn) -> None:
    lost = {name: np.zeros(SIZE, np.float32) for name in ("forward_valid", "backward_valid")}
    frame = noise(1, **lost)
    one = denoiser.denoise({1: frame, 2: noise(2, **lost)}, 1, 1.0)
    other = denoiser.denoise({1: frame, 2: noise(7, **lost)}, 1, 1.0)

    np.testing.assert_array_equal(one.beauty, other.beauty)


def test_each_frame_of_a_window_is_loaded_once(denoiser: Kpcn) -> None:
    loaded: list[int] = []

    class Lazy(dict):  # type: ignore[type-arg]
        def __getitem__(self, frame: int) -> Frame:
            loaded.append(frame)
            return super().__getitem__(frame)

    denoiser.denoise(Lazy({k: noise(k) for k in range(1, 4)}), 2, 1.0)
    assert sorted(loaded) == [1, 2, 3]


def test_windows_may_be_of_any_shape() -> None:
    wide = Kpcn(network=network(), radius=3)
    frames = {k: noise(k) for k in range(1, 8)}

    for present in ([4], [1, 2, 3, 4], [4, 5], [2, 4, 6], list(frames)):
        assert np.isfinite(wide.denoise({k: frames[k] for k in present}, 4, 1.0).beauty).all()


def test_lambda_is_a_number_or_a_map(denoiser: Kpcn) -> None:
    window = {1: noise(1), 2: noise(2)}
    prepared = denoiser.prepare(window, 1)
    number = denoiser.finish(prepared, 4.0)
    constant_map = denoiser.finish(prepared, np.full(SIZE, 4.0, np.float32))
    whole = denoiser.denoise(window, 1, 4.0)
    half = np.ones(SIZE, np.float32)
    half[:, 20:] = 4.0
    mixed = denoiser.finish(prepared, half)

    np.testing.assert_allclose(constant_map.beauty, number.beauty, rtol=2e-2, atol=1e-4)
    np.testing.assert_array_equal(whole.beauty, number.beauty)
    neutral = denoiser.finish(prepared, 1.0)
    assert np.abs(number.beauty - neutral.beauty).max() > 1e-3
    np.testing.assert_allclose(mixed.beauty[:, :8], neutral.beauty[:, :8], rtol=2e-2, atol=1e-4)
    assert prepared.bytes > 0 and prepared.frames == (1, 2)


@pytest.mark.parametrize(
    ("sources", "frame"),
    [
        (
            "colour",
            Frame(components={"beauty": np.random.default_rng(0).random((*SIZE, 3), np.float32)}, source="colour"),
        ),
        ("features", noise(1, components={"beauty": np.ones((*SIZE, 3), np.float32)}, variance={}, source="features")),
        ("split", noise(1, variance={}, alpha=None, count=None, source="split")),
    ],
)
def test_frames_of_other_renderers_go_through_their_own_encoders(sources: str, frame: Frame) -> None:
    done = Kpcn(network=network("penumbra", sources), radius=0).denoise({1: frame}, 1, 1.0)

    assert np.isfinite(done.beauty).all() and done.beauty.shape == (*SIZE, 3)
    if "beauty" in frame.components:
        assert not done.diffuse.any() and not done.emission.any()
        assert done.specular.mean() == pytest.approx(frame.beauty.mean(), rel=0.05)


def test_bad_input_is_one_line(denoiser: Kpcn) -> None:
    with pytest.raises(ProductError, match="frame 2: there are no buffers"):
        denoiser.denoise({1: noise(1)}, 2, 1.0)
    with pytest.raises(ConfigError, match="no encoder for the source `colour`"):
        denoiser.denoise({1: noise(1, source="colour")}, 1, 1.0)
    with pytest.raises(ConfigError, match="the λ map is 3×2 and the frames are 35×26"):
        denoiser.denoise({1: noise(1)}, 1, np.ones((2, 3), np.float32))
    with pytest.raises((ConfigError, ProductError), match=r"size|30"):
        denoiser.denoise({1: noise(1), 2: noise(2, size=(30, 30))}, 1, 1.0)


def test_features_of_a_frame_are_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    frames = {k: noise(k) for k in range(1, 5)}
    window = Counted(frames)
    first = Kpcn(network=network(), radius=1, cache=Cache(tmp_path, 2**28), identity="tiny")
    calls = []
    extract = KernelPredictor.extract
    monkeypatch.setattr(KernelPredictor, "extract", lambda *args: calls.append(1) or extract(*args))
    done = [first.denoise(window, k, 1.0).beauty for k in frames]

    assert len(calls) == 3 * len(frames)  # components
    calls.clear()
    second = Kpcn(network=network(), radius=1, cache=Cache(tmp_path, 2**28), identity="tiny")
    again = [second.denoise(window, k, 1.0).beauty for k in frames]
    assert not calls
    for one, other in zip(done, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("preset", ["tiny", "fast"])
def test_large_images_in_strips_are_the_same(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, where a strip's convolutions may be summed in another order, and no more."""
    monkeypatch.setattr(kpcn_module, "_quick_bf16", lambda device: False)
    denoiser = Kpcn(network=network(preset=preset), radius=1)
    tall = {k: noise(k, size=(613, 21)) for k in (1, 2)}
    lambda_ = np.linspace(1, 10, 613 * 21, dtype=np.float32).reshape(613, 21)
    whole = denoiser.denoise(tall, 1, lambda_).beauty
    for module in (kpcn_module, features):
        monkeypatch.setattr(module, "STRIP", 21 * 64)
        monkeypatch.setattr(module, "WHOLE", 21 * 64)
    strips = Kpcn(network=denoiser.network, radius=1)
    assert len(strips._strips((613, 21))) == 10

    np.testing.assert_allclose(strips.denoise(tall, 1, lambda_).beauty, whole, rtol=1e-4, atol=1e-5)
