"""A sequence made of numbers, and one made of a scene."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.training.sequences import LAYERS, Sequence


def make_sequence(
    seed: int = 0, *, spp: tuple[int, ...] = (4, 4, 8, 16, 32), radius: int = 1, height: int = 24, width: int = 20
) -> Sequence:
    """Light of gamma-distributed samples, and features without noise: all float16."""
    rng = np.random.default_rng(seed)
    extents = {"F": 2 * radius + 1, "S": len(spp), "H": height, "W": width}
    layers = {
        name: rng.random((*(extents[axis] for axis in axes), channels)).astype(np.float16)
        for name, (axes, channels) in LAYERS.items()
    }
    luminances = np.repeat(layers["colour"].max(axis=-1, keepdims=True), 4, axis=-1)
    layers["rms"] = (3 * luminances).astype(np.float16)  # more than the squared mean: there is some variance
    layers["features_rms"] = np.full_like(layers["features_rms"], 1.5)
    return Sequence(spp=np.array(spp, np.int32), **layers, meta={"seed": seed, "seconds": 1.5, "reference_spp": 96})


@pytest.fixture(scope="session")
def sequence() -> Sequence:
    return make_sequence()


@pytest.fixture(scope="session")
def sequence_of() -> Callable[..., Sequence]:
    return make_sequence


@pytest.fixture(scope="session")
def tiny_scenes() -> Iterator[Any]:
    """The module `tiny_scenes`, which processes that are started find too."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield importlib.import_module("tiny_scenes")
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def mitsuba() -> Any:
    """Mitsuba, with a variant set."""
    from pipeline.device import LLVM, set_variant

    set_variant(LLVM)
    import mitsuba

    return mitsuba
