"""The shot's `denoise` block becomes a denoiser, or one clear line."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

from pipeline.config.denoise import Denoise
from pipeline.denoise.backends import backend
from pipeline.denoise.frame import Frame, frame_of
from pipeline.errors import ConfigError, ProductError


def test_none_gives_the_rendered_components_back(example: Any) -> None:
    denoiser = backend(Denoise(backend="none"))

    out = denoiser.denoise({1001: Frame.of(example.frame)}, 1001, 3.0)

    assert (denoiser.name, denoiser.radius) == ("none", 0)
    assert np.array_equal(out.beauty, example.frame.beauty)
    assert np.array_equal(out.alpha, example.frame.alpha)


def test_none_gives_the_beauty_of_an_unsplit_frame_back_as_specular() -> None:
    beauty = np.full((4, 5, 3), 0.5, np.float32)

    out = backend(Denoise(backend="none")).denoise({1: Frame({"beauty": beauty}, source="colour")}, 1, 1.0)

    assert np.array_equal(out.specular, beauty)
    assert not out.diffuse.any() and not out.emission.any()
    assert np.array_equal(out.alpha, np.ones((4, 5), np.float32))


def test_oidn_is_given_its_preset_and_threads() -> None:
    pytest.importorskip("pyoidn")

    denoiser: Any = backend(Denoise(backend="oidn", preset="paper"), threads=2)

    assert (denoiser.name, denoiser.radius, denoiser.threads) == ("oidn", 0, 2)
    assert denoiser.recipe.beauty == "high"


def test_kpcn_is_given_its_preset_radius_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    # The network brings torch along; what is tested here is what it is asked for.
    module: Any = types.ModuleType("pipeline.denoise.kpcn")
    module.Kpcn = lambda **given: given
    monkeypatch.setitem(sys.modules, "pipeline.denoise.kpcn", module)

    given: Any = backend(Denoise(backend="kpcn", preset="paper", temporal_radius=2), threads=3)

    assert given == {"preset": "paper", "radius": 2, "threads": 3, "cache": None}


def test_kpcn_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.denoise.backends.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"penumbra-pipeline\[learn\]"):
        backend(Denoise(backend="kpcn"))


def test_oidn_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("pipeline.denoise.oidn.find_spec", lambda name: None if name == "pyoidn" else find_spec(name))

    with pytest.raises(ConfigError, match=r"penumbra-pipeline\[oidn\]"):
        backend(Denoise(backend="oidn"))


@pytest.mark.parametrize("window", [{}, {1001: None}])
def test_a_window_without_its_centre_is_refused(window: dict[int, None]) -> None:
    with pytest.raises(ProductError, match="frame 1001"):
        frame_of(window, 1001)


def test_choosing_a_denoiser_loads_nothing_heavy() -> None:
    program = (
        "import sys; from pipeline.config.denoise import Denoise; from pipeline.denoise.backends import backend; "
        "backend(Denoise(backend='none')); "
        "print(sorted({'mitsuba', 'drjit', 'torch', 'pyoidn'} & set(sys.modules)))"
    )

    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert out.stdout.strip() == "[]"
